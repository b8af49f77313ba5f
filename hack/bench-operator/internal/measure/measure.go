// Package measure has what the benchmark measures, and how figures of several rounds become one. It does no I/O.
package measure

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Clients, in the order of their turns.
const (
	Peer  = "peer"
	Ours  = "ours"
	Floor = "floor"
)

// Clients are all of them.
var Clients = []string{Peer, Ours, Floor}

// Scenarios, in their order within a turn.
const (
	Created      = "created"
	Changed      = "changed"
	ChangedAgain = "changed again"
	ChangedAlone = "changed, one at a time"
	Repaired     = "repaired, one at a time"
	Repaired16   = "repaired, 16 at a time"
	Settled      = "settled"
	ColdStart    = "cold start"
	DuringResync = "new during a resync"
	Deleted      = "deleted"
)

// Scenarios are all of them.
var Scenarios = []string{Created, Changed, ChangedAgain, ChangedAlone, Repaired, Repaired16, Settled, ColdStart, DuringResync, Deleted}

// Request is a kind of request of a client to the API server.
type Request struct {
	Verb     string
	Resource string // with its subresource: echoclusters/status
	Code     int    // of a refusal, else 0
}

// String returns the request as text.
func (r Request) String() string {
	if r.Code == 0 {
		return r.Verb + " " + r.Resource
	}
	return fmt.Sprintf("%s %s (%d)", r.Verb, r.Resource, r.Code)
}

// Requests counts requests.
type Requests map[Request]int

// Add adds the counts of others.
func (r Requests) Add(others Requests) {
	for request, count := range others {
		r[request] += count
	}
}

// Total counts all but watches: those are renewed whatever happens.
func (r Requests) Total() int {
	return r.count(func(request Request) bool { return request.Verb != "watch" })
}

// Watches counts watches.
func (r Requests) Watches() int {
	return r.count(func(request Request) bool { return request.Verb == "watch" })
}

// Writes counts what could change something, refused or not. A review of the client's own permissions is created, but not stored.
func (r Requests) Writes() int {
	return r.count(func(request Request) bool {
		return !slices.Contains([]string{"get", "list", "watch"}, request.Verb) && request.Resource != "selfsubjectaccessreviews"
	})
}

func (r Requests) count(counts func(Request) bool) int {
	sum := 0
	for request, count := range r {
		if counts(request) {
			sum += count
		}
	}
	return sum
}

// Sorted returns the requests, sorted by their text.
func (r Requests) Sorted() []Request {
	return slices.SortedFunc(maps.Keys(r), func(one, other Request) int { return strings.Compare(one.String(), other.String()) })
}

// Result is what one scenario of one turn has measured.
type Result struct {
	// Count is how many EchoClusters it was about.
	Count int
	// Latencies are those of single EchoClusters.
	Latencies []time.Duration
	// Total is how long all of it took.
	Total time.Duration
	// Requests are the client's own.
	Requests Requests
	// CPU is the client's own.
	CPU time.Duration
	// RSS is the client's resident memory at the end, in bytes.
	RSS int64
	// Peak is the most that it ever was, in bytes.
	Peak int64
	// Others is the share of the machine's processors that went to what has nothing to do with the benchmark.
	Others float64
}

// Quantile returns the latency that a share of all did not exceed, by the nearest rank.
func (r Result) Quantile(share float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.Latencies))
	rank := int(share*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Turn is what one client has shown in one round, by scenario.
type Turn map[string]Result

// Rounds are all turns: of each round, one for each client.
type Rounds []map[string]Turn

// Has reports whether a client had turns.
func (r Rounds) Has(client string) bool { return len(r) > 0 && r[0][client] != nil }

// Figure is one number of a turn.
type Figure func(Turn) float64

// Median returns a client's figure: the median of its rounds.
func (r Rounds) Median(client string, figure Figure) float64 {
	values := make([]float64, 0, len(r))
	for _, round := range r {
		values = append(values, figure(round[client]))
	}
	return median(values)
}

// Ratio returns how a client's figure stands to that of another: the median of the ratios within each round.
func (r Rounds) Ratio(client, to string, figure Figure) float64 {
	values := make([]float64, 0, len(r))
	for _, round := range r {
		values = append(values, figure(round[client])/figure(round[to]))
	}
	return median(values)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}
