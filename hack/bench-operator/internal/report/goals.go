// Package report formats measurements: tables for the terminal and docs/performance.md, and a picture. It does no I/O.
package report

import (
	"fmt"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

// goal is a bound on a figure of the operator, or on its ratio to that of another client.
type goal struct {
	name    string
	against string // the client that a ratio is to, or ""
	figure  measure.Figure
	most    float64
	unit    string
}

// goals are the goals of the operator.
func goals() []goal {
	var all []goal
	for _, scenario := range []string{measure.Created, measure.Changed, measure.ChangedAgain, measure.ChangedAlone, measure.Repaired, measure.Repaired16} {
		all = append(all,
			goal{scenario + ", p50 against peer", measure.Peer, measure.P50(scenario), 0.9, ""},
			goal{scenario + ", p99 against peer", measure.Peer, measure.P99(scenario), 0.9, ""},
		)
	}
	return append(all,
		goal{"processor time of all scenarios against peer", measure.Peer, measure.AllCPU, 0.5, ""},
		goal{"resident memory, settled, against peer", measure.Peer, measure.RSS(measure.Settled), 0.5, ""},
		goal{"requests for a new EchoCluster", "", measure.RequestsEach(measure.Created), 6, ""},
		goal{"requests for a first change, which converts the ownership of a child", "", measure.RequestsEach(measure.Changed), 4, ""},
		goal{"requests for a change", "", measure.RequestsEach(measure.ChangedAlone), 3, ""},
		goal{"requests while all is settled", "", measure.AllRequests(measure.Settled), 0, ""},
		goal{"writes at a cold start", "", measure.AllWrites(measure.ColdStart), 0, ""},
		goal{"cold start", "", measure.Seconds(measure.ColdStart), 2, " s"},
		goal{"slowest new EchoCluster during a resync of all", "", measure.Slowest(measure.DuringResync), 1000, " ms"},
	)
}

// isMeasured reports whether the clients that the goal compares had a turn.
func (g goal) isMeasured(rounds measure.Rounds) bool {
	return rounds.Has(measure.Ours) && (g.against == "" || rounds.Has(g.against))
}

// measured returns the goal's figure.
func (g goal) measured(rounds measure.Rounds) float64 {
	if g.against == "" {
		return rounds.Median(measure.Ours, g.figure)
	}
	return rounds.Ratio(measure.Ours, g.against, g.figure)
}

// row is the goal's row of the table.
func (g goal) row(rounds measure.Rounds) []string {
	measured := g.measured(rounds)
	result := "met"
	if !(measured <= g.most) { // NaN is missed
		result = "**missed**"
	}
	return []string{g.name, fmt.Sprintf("≤ %v%s", g.most, g.unit), number(measured) + g.unit, result}
}
