package driver

import (
	"runtime"
	"testing"
	"time"
)

func TestPassesAreCountedWhateverTheirLabelsAre(t *testing.T) {
	const metrics = `# HELP one_reconcile Reconciles
one_reconcile_total{result="Applied"} 12
one_reconcile_total{result="a b"} 3
echo_operator_reconcile_outcomes_total{outcome="Applied"} 7
floor_reconcile_total 100
controller_runtime_reconcile_total{controller="echocluster",result="success"} 1e+03
controller_runtime_reconcile_errors_total{controller="echocluster"} 7
`
	if got := countReconciles([]byte(metrics)); got != 1115 {
		t.Errorf("got %d", got)
	}
}

func TestUsageIsReadFromProc(t *testing.T) {
	const stat = "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0"
	const status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
	got, err := parseUsage(stat, status)
	if expected := (usage{cpu: 2 * time.Second, rss: 1 << 20, peak: 2 << 20}); err != nil || got != expected {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parseUsage(stat, "Name:\ta\n"); err == nil {
		t.Error("no error without memory")
	}
}

func TestOthersHaveWhatNeitherTheBenchmarkNorTheClientHasUsed(t *testing.T) {
	busy := parseBusy("cpu  100 20 30 4000 500 6 7 8 90 10\ncpu0 1 1 1 1\n")
	if busy != 1710*time.Millisecond {
		t.Errorf("busy: %v", busy)
	}
	begin := machine{at: time.Now()}
	end := machine{at: begin.at.Add(10 * time.Second), busy: 8 * time.Second, ours: 5 * time.Second}
	if got := begin.others(end, time.Second) * float64(runtime.NumCPU()); got != 0.2 {
		t.Errorf("others: %v", got)
	}
	if got := begin.others(end, time.Minute); got != 0 {
		t.Errorf("less than nothing: %v", got)
	}
}

func TestAProcessCanBeStoppedTwiceAndItsEndIsTold(t *testing.T) {
	p, err := start(Client{Name: "sleeper", Command: func(string) []string { return []string{"sleep", "60"} }}, "", t.TempDir()+"/log")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.hasEnded(); err != nil {
		t.Error(err)
	}
	p.stop()
	p.stop()
	if err := p.hasEnded(); err == nil {
		t.Error("it is reported as running")
	}
}
