package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

// turn is a client whose every figure is so many milliseconds, seconds, megabytes and requests.
func turn(size int) measure.Turn {
	t := measure.Turn{}
	for _, scenario := range measure.Scenarios {
		t[scenario] = measure.Result{
			Count: 10, Total: time.Duration(size) * time.Second,
			Latencies: []time.Duration{time.Duration(size) * time.Millisecond},
			Requests:  measure.Requests{{Verb: "create", Resource: "services"}: 10 * size}, CPU: time.Duration(size) * time.Second,
			RSS: int64(size) * 1e6, Peak: int64(size) * 1e6,
		}
	}
	t[measure.Settled] = measure.Result{Count: 10, Total: time.Minute, Requests: measure.Requests{}, RSS: int64(size) * 1e6, CPU: time.Duration(size) * time.Second}
	return t
}

func run() Run {
	rounds := measure.Rounds{{measure.Floor: turn(1), measure.Peer: turn(10), measure.Ours: turn(5)}}
	return Run{Rounds: rounds, Count: 10, Settled: time.Minute, Took: 90 * time.Second}
}

func TestGoalsAreEvaluatedByRatioOrFigure(t *testing.T) {
	text := run().Section()
	for _, row := range []string{
		"| created, p50 against peer | ≤ 0.9 | 0.50 | met |",
		"| processor time of all scenarios against peer | ≤ 0.5 | 0.50 | met |",
		"| requests for a change | ≤ 3 | 5 | **missed** |",
		"| slowest new EchoCluster during a resync of all | ≤ 1000 ms | 5 ms | met |",
		"| requests while all is settled | ≤ 0 | 0 | met |",
		"| cold start | ≤ 2 s | 5 s | **missed** |",
		"| settled | requests | 0 | 0 | 0 | – | – |",
		"| created, for each | floor | create services 1 |",
	} {
		if !strings.Contains(text, row+"\n") {
			t.Errorf("there is no row %s in\n%s", row, text)
		}
	}
}

func TestOnlyTheSectionBetweenTheMarkersIsReplaced(t *testing.T) {
	small, large := run(), run()
	large.Count = 10_000
	for _, r := range []Run{small, large} {
		begin, end := r.markers()
		got, err := r.Replace("a\n" + begin + "\nold\n" + end + "\nb\n")
		if expected := "a\n" + begin + "\n\n" + r.Section() + "\n" + end + "\nb\n"; err != nil || got != expected {
			t.Errorf("got %q, %v", got, err)
		}
		if _, err := r.Replace("a\n" + end + begin); err == nil {
			t.Error("no error without markers")
		}
	}
	if begin, _ := large.markers(); strings.Contains("<!-- bench-operator -->", begin) {
		t.Error("a large run replaces the section of the others")
	}
}

func TestThePictureIsXMLAndHasABarForEachFigure(t *testing.T) {
	picture := run().Picture()
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Count(picture, `fill="`+ours+`"`); got != len(bars())+1 {
		t.Errorf("%d bars", got)
	}
}

func TestNumbersHaveThreeDigitsThatMatter(t *testing.T) {
	for value, expected := range map[float64]string{0: "0", 5: "5", 0.456: "0.46", 12.34: "12.3", 1234.5: "1234", math.Inf(1): "–", math.NaN(): "–"} {
		if got := number(value); got != expected {
			t.Errorf("%v: got %s", value, got)
		}
	}
}
