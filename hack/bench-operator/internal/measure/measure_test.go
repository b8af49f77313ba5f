package measure

import (
	"testing"
	"time"
)

func TestAQuantileIsALatencyThatOccurred(t *testing.T) {
	result := Result{}
	for i := 100; i >= 1; i-- {
		result.Latencies = append(result.Latencies, time.Duration(i)*time.Millisecond)
	}
	for share, expected := range map[float64]time.Duration{0.5: 50, 0.99: 99, 1: 100, 0: 1} {
		if got := result.Quantile(share); got != expected*time.Millisecond {
			t.Errorf("%v: got %v", share, got)
		}
	}
	if got := (Result{}).Quantile(0.5); got != 0 {
		t.Errorf("of nothing: got %v", got)
	}
}

func TestWatchesAreNoRequestsAndReadsNoWrites(t *testing.T) {
	requests := Requests{{"watch", "services", 0}: 4, {"get", "services", 404}: 2, {"create", "services", 409}: 1}
	requests.Add(Requests{{"create", "services", 0}: 3})
	if requests.Total() != 6 || requests.Watches() != 4 || requests.Writes() != 4 {
		t.Errorf("got %d, %d, %d", requests.Total(), requests.Watches(), requests.Writes())
	}
	if got := requests.Sorted()[1].String(); got != "create services (409)" {
		t.Errorf("got %q", got)
	}
}

func TestARatioIsTakenWithinEachRound(t *testing.T) {
	turn := func(seconds int) Turn { return Turn{Created: {Total: time.Duration(seconds) * time.Second}} }
	rounds := Rounds{
		{Peer: turn(10), Ours: turn(5)},
		{Peer: turn(100), Ours: turn(90)},
		{Peer: turn(20), Ours: turn(12)},
	}
	if got := rounds.Ratio(Ours, Peer, Seconds(Created)); got != 0.6 {
		t.Errorf("got %v", got)
	}
	if got := rounds.Median(Ours, Seconds(Created)); got != 12 {
		t.Errorf("got %v", got)
	}
	if got := rounds[:2].Median(Peer, Seconds(Created)); got != 55 {
		t.Errorf("got %v", got)
	}
}
