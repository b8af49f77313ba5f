package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

// row is a figure that all clients are compared by.
type row struct {
	scenario string
	name     string
	figure   measure.Figure
}

// rows are all figures, in the order of the scenarios.
func rows() []row {
	var all []row
	for _, scenario := range []string{measure.Created, measure.Changed, measure.ChangedAgain, measure.ChangedAlone, measure.Repaired, measure.Repaired16, measure.Deleted} {
		all = append(all,
			row{scenario, "p50, ms", measure.P50(scenario)},
			row{scenario, "p99, ms", measure.P99(scenario)},
			row{scenario, "all, s", measure.Seconds(scenario)},
			row{scenario, "requests for each", measure.RequestsEach(scenario)},
			row{scenario, "processor time, s", measure.CPU(scenario)},
		)
	}
	return append(all,
		row{measure.Created, "resident memory, MB", measure.RSS(measure.Created)},
		row{measure.Settled, "requests", measure.AllRequests(measure.Settled)},
		row{measure.Settled, "watches renewed", measure.AllWatches(measure.Settled)},
		row{measure.Settled, "processor time, s", measure.CPU(measure.Settled)},
		row{measure.Settled, "resident memory, MB", measure.RSS(measure.Settled)},
		row{measure.Settled, "most resident memory so far, MB", measure.Peak(measure.Settled)},
		row{measure.ColdStart, "first reconciles of all, s", measure.Seconds(measure.ColdStart)},
		row{measure.ColdStart, "requests", measure.AllRequests(measure.ColdStart)},
		row{measure.ColdStart, "writes", measure.AllWrites(measure.ColdStart)},
		row{measure.ColdStart, "processor time, s", measure.CPU(measure.ColdStart)},
		row{measure.ColdStart, "most resident memory, MB", measure.Peak(measure.ColdStart)},
		row{measure.DuringResync, "p50, ms", measure.P50(measure.DuringResync)},
		row{measure.DuringResync, "slowest, ms", measure.Slowest(measure.DuringResync)},
		row{"all", "processor time, s", measure.AllCPU},
		row{"all", "processors taken by other programs, %", measure.Others},
	)
}

// comparison is the table of all figures.
func comparison(rounds measure.Rounds) string {
	heading := []string{"scenario", "figure"}
	clients := present(rounds)
	heading = append(heading, clients...)
	others := slices.DeleteFunc(slices.Clone(clients), func(client string) bool { return client == measure.Ours })
	slices.Reverse(others)
	for _, other := range others {
		heading = append(heading, "ours / "+other)
	}
	lines := [][]string{heading}
	for _, r := range rows() {
		line := []string{r.scenario, r.name}
		for _, client := range clients {
			line = append(line, number(rounds.Median(client, r.figure)))
		}
		for _, other := range others {
			line = append(line, number(rounds.Ratio(measure.Ours, other, r.figure)))
		}
		lines = append(lines, line)
	}
	return table("ll"+strings.Repeat("-", len(heading)-2), lines)
}

// present returns the clients that had turns, in the order of the tables.
func present(rounds measure.Rounds) []string {
	clients := []string{measure.Floor, measure.Peer, measure.Ours}
	return slices.DeleteFunc(clients, func(client string) bool { return !rounds.Has(client) })
}

// requests is the table of the requests of each client in the first round: for each EchoCluster, or in all where nothing changes.
func requests(rounds measure.Rounds) string {
	lines := [][]string{{"scenario", "client", "requests"}}
	for _, scenario := range measure.Scenarios {
		isInAll := scenario == measure.Settled || scenario == measure.ColdStart
		heading := scenario + ", for each"
		if isInAll {
			heading = scenario + ", in all"
		}
		for _, client := range present(rounds) {
			result := rounds[0][client][scenario]
			if isInAll {
				result.Count = 1
			}
			lines = append(lines, []string{heading, client, list(result, isInAll)})
		}
	}
	return table("lll", lines)
}

// list lists requests with their numbers. Watches are listed only if withWatches is set, and a request only if at least one EchoCluster
// in 200 needs it.
func list(result measure.Result, withWatches bool) string {
	var list []string
	for _, request := range result.Requests.Sorted() {
		each := float64(result.Requests[request]) / float64(max(1, result.Count))
		if (withWatches || request.Verb != "watch") && each >= 0.005 {
			list = append(list, fmt.Sprintf("%s %s", request, number(each)))
		}
	}
	return strings.Join(list, ", ")
}

// goalTable is the table of goals.
func goalTable(rounds measure.Rounds) string {
	lines := [][]string{{"goal", "bound", "measured", ""}}
	for _, g := range goals() {
		if g.isMeasured(rounds) {
			lines = append(lines, g.row(rounds))
		}
	}
	return table("llll", lines)
}

// table writes Markdown; of columns marked `-`, numbers are at the right.
func table(columns string, lines [][]string) string {
	var text strings.Builder
	for i, line := range lines {
		fmt.Fprintf(&text, "| %s |\n", strings.Join(line, " | "))
		if i > 0 {
			continue
		}
		for _, column := range columns {
			if column == '-' {
				text.WriteString("|--:")
			} else {
				text.WriteString("|---")
			}
		}
		text.WriteString("|\n")
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// number formats a figure with three significant digits, and `–` where there is none, such as a ratio to zero.
func number(value float64) string {
	switch size := math.Abs(value); {
	case math.IsNaN(value) || math.IsInf(value, 0):
		return "–"
	case value == math.Trunc(value) && size < 1e6:
		return fmt.Sprintf("%.0f", value)
	case size >= 100:
		return fmt.Sprintf("%.0f", value)
	case size >= 10:
		return fmt.Sprintf("%.1f", value)
	default:
		return fmt.Sprintf("%.2f", value)
	}
}
