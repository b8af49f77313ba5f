package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

// largeCount is from how many EchoClusters on a run has a section of its own, without a picture.
const largeCount = 10_000

// markers returns the beginning and the end of the section in docs/performance.md that the run replaces.
func (r Run) markers() (string, string) {
	name := "bench-operator"
	if r.IsLarge() {
		name = "bench-operator-large"
	}
	return markers(name)
}

// markers returns the beginning and the end of the section of this name.
func markers(name string) (string, string) {
	return "<!-- " + name + " -->", "<!-- /" + name + " -->"
}

// IsLarge reports whether the run has a section of its own.
func (r Run) IsLarge() bool { return r.Count >= largeCount }

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
	of := "of the operator"
	var parts []string
	if r.IsLarge() {
		of = fmt.Sprintf("with %d EchoClusters", r.Count)
	} else {
		parts = append(parts, "![The operator and the floor, as parts of the peer]("+PictureFile+")")
	}
	parts = append(parts,
		fmt.Sprintf("%d EchoClusters, %s of each client, %.0f s settled, %.0f s in all.",
			r.Count, times(len(r.Rounds)), r.Settled.Seconds(), r.Took.Seconds()),
		"### Goals "+of, goalTable(r.Rounds),
		"### All figures "+of, comparison(r.Rounds),
		"### Requests "+of, requests(r.Rounds),
	)
	return strings.Join(parts, "\n\n") + "\n"
}

func times(rounds int) string {
	if rounds == 1 {
		return "1 turn"
	}
	return fmt.Sprintf("%d turns", rounds)
}

// Replace replaces the run's section of a document.
func (r Run) Replace(document string) (string, error) {
	begin, end := r.markers()
	return replace(document, begin, end, r.Section())
}

// ReplaceSection replaces the section of this name of a document.
func ReplaceSection(document, name, section string) (string, error) {
	begin, end := markers(name)
	return replace(document, begin, end, section)
}

func replace(document, begin, end, section string) (string, error) {
	before, rest, hasBegin := strings.Cut(document, begin)
	_, after, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		return "", fmt.Errorf("the document has no %s … %s", begin, end)
	}
	return before + begin + "\n\n" + section + "\n" + end + after, nil
}
