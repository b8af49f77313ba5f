package report

import (
	"fmt"
	"strings"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

const (
	left    = 230.0 // where bars begin
	unit    = 260.0 // the length of 1
	most    = 1.9   // what a longer bar is cut at
	bar     = 11.0
	group   = 34.0
	top     = 56.0
	ours    = "#2563eb"
	theirs  = "#9ca3af"
	letters = "#222"
)

// bars are what the picture shows of each client, as parts of the peer's figure.
func bars() []row {
	return []row{
		{measure.Created, "created, p50", measure.P50(measure.Created)},
		{measure.Created, "created, p99", measure.P99(measure.Created)},
		{measure.Changed, "changed, p50", measure.P50(measure.Changed)},
		{measure.Changed, "changed, p99", measure.P99(measure.Changed)},
		{measure.ChangedAgain, "changed again, p50", measure.P50(measure.ChangedAgain)},
		{measure.ChangedAgain, "changed again, p99", measure.P99(measure.ChangedAgain)},
		{measure.ChangedAlone, "changed one at a time, p50", measure.P50(measure.ChangedAlone)},
		{measure.ChangedAlone, "changed one at a time, p99", measure.P99(measure.ChangedAlone)},
		{measure.Repaired, "repaired one at a time, p50", measure.P50(measure.Repaired)},
		{measure.Repaired, "repaired one at a time, p99", measure.P99(measure.Repaired)},
		{measure.Repaired16, "repaired 16 at a time, p50", measure.P50(measure.Repaired16)},
		{measure.Repaired16, "repaired 16 at a time, p99", measure.P99(measure.Repaired16)},
		{measure.Created, "requests for a new one", measure.RequestsEach(measure.Created)},
		{measure.ChangedAgain, "requests for a change", measure.RequestsEach(measure.ChangedAlone)},
		{measure.ColdStart, "cold start", measure.Seconds(measure.ColdStart)},
		{"all", "processor time", measure.AllCPU},
		{measure.Settled, "resident memory, settled", measure.RSS(measure.Settled)},
	}
}

// Picture draws the operator and the floor beside the peer, which is 1.
func (r Run) Picture() string {
	all := bars()
	height := top + group*float64(len(all)) + 6
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 %.0f" font-family="sans-serif" font-size="11" fill="%s">
<rect width="800" height="%.0f" fill="#fff"/>
<text x="10" y="20" font-size="14">The operator and the floor, as parts of an operator with controller-runtime (less is better)</text>
`, height, letters, height)
	legend(&svg)
	fmt.Fprintf(&svg, `<path d="M%.1f %.0fV%.0f" stroke="#444"/>`+"\n", left+unit, top-6, height-6)
	for i, b := range all {
		y := top + group*float64(i)
		fmt.Fprintf(&svg, `<text x="%.0f" y="%.1f" text-anchor="end">%s</text>`+"\n", left-8, y+bar+4, b.name)
		r.draw(&svg, y, ours, measure.Ours, b.figure)
		r.draw(&svg, y+bar+2, theirs, measure.Floor, b.figure)
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

// draw draws one bar with its number, unless there is none.
func (r Run) draw(svg *strings.Builder, y float64, colour, client string, figure measure.Figure) {
	ratio := r.Rounds.Ratio(client, measure.Peer, figure)
	text := number(ratio)
	if text == "–" {
		return
	}
	length := unit * min(ratio, most)
	fmt.Fprintf(svg, `<rect x="%.0f" y="%.1f" width="%.1f" height="%.0f" fill="%s"/><text x="%.1f" y="%.1f">%s</text>`+"\n",
		left, y, length, bar, colour, left+length+5, y+bar-2, text)
}

func legend(svg *strings.Builder) {
	fmt.Fprintf(svg, `<rect x="%.0f" y="32" width="11" height="11" fill="%s"/><text x="%.0f" y="42">operator</text>`, left, ours, left+16)
	fmt.Fprintf(svg, `<rect x="%.0f" y="32" width="11" height="11" fill="%s"/><text x="%.0f" y="42">floor</text>`, left+80, theirs, left+96)
	fmt.Fprintf(svg, `<text x="%.1f" y="42" text-anchor="middle">peer = 1</text>`+"\n", left+unit)
}
