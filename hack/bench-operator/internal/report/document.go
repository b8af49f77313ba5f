package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

// Markers of the section in docs/performance.md that a run replaces.
const (
	begin = "<!-- bench-operator -->"
	end   = "<!-- /bench-operator -->"
)

// PictureFile is the picture's name beside the document.
const PictureFile = "performance-operator.svg"

// Run is the run that is reported.
type Run struct {
	Rounds  measure.Rounds
	Count   int
	Settled time.Duration
	Took    time.Duration
}

// Section returns the report of a run, in Markdown.
func (r Run) Section() string {
	parts := []string{
		"![The operator and the floor, as parts of the peer](" + PictureFile + ")",
		fmt.Sprintf("%d EchoClusters, %s of each client, %.0f s settled, %.0f s in all.",
			r.Count, times(len(r.Rounds)), r.Settled.Seconds(), r.Took.Seconds()),
		"### Goals of the operator", goalTable(r.Rounds),
		"### All figures of the operator", comparison(r.Rounds),
		"### Requests of the operator", requests(r.Rounds),
	}
	return strings.Join(parts, "\n\n") + "\n"
}

func times(rounds int) string {
	if rounds == 1 {
		return "1 turn"
	}
	return fmt.Sprintf("%d turns", rounds)
}

// Replace replaces the section between the markers of a document.
func Replace(document, section string) (string, error) {
	before, rest, hasBegin := strings.Cut(document, begin)
	_, after, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		return "", fmt.Errorf("the document has no %s … %s", begin, end)
	}
	return before + begin + "\n\n" + section + "\n" + end + after, nil
}
