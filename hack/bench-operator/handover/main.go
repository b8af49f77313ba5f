// Command handover measures how long it takes until another operator leads after the leader has ended: in an orderly way (SIGTERM), and
// without notice (SIGKILL).
//
// It runs two operators of the built program on a control plane without nodes. The time is that from the signal until the Lease names the
// other operator, as a watch reports it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/driver"
	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/report"
)

// scenario is how leaders end, and the bound of the 99th percentile.
type scenario struct {
	name string
	driver.End
	bound time.Duration
}

var (
	usual = driver.Timings{Duration: 15, Deadline: 10, Retry: 2}
	fast  = driver.Timings{Duration: 6, Deadline: 4, Retry: 1}
)

// scenarios are measured in this order.
var scenarios = []scenario{
	{"SIGTERM, 15/10/2 s", driver.End{Signal: syscall.SIGTERM, Timings: usual}, time.Second},
	{"SIGKILL, 6/4/1 s", driver.End{Signal: syscall.SIGKILL, Timings: fast}, 8 * time.Second},
	{"SIGKILL, 15/10/2 s", driver.End{Signal: syscall.SIGKILL, Timings: usual}, 18 * time.Second},
}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal("handover: ", err)
	}
}

func run(ctx context.Context) error {
	var options driver.Options
	var operator, document string
	flag.StringVar(&options.Kubeconfig, "kubeconfig", "", "the administrator's kubeconfig")
	flag.StringVar(&options.CRD, "crd", "crds/echoclusters.yaml", "the CRD")
	flag.StringVar(&options.Work, "work", "", "a folder for logs")
	flag.StringVar(&operator, "operator", "", "the operator's program")
	flag.StringVar(&document, "document", "", "the document to write the figures into")
	flag.IntVar(&options.Count, "trials", 50, "how many leaders end in each scenario")
	flag.Parse()
	table := "| the leader ends by | hand-overs | p50 ms | p99 ms | slowest ms | bound of p99, ms | |\n|---|--:|--:|--:|--:|--:|---|\n"
	for _, scenario := range scenarios {
		times, err := driver.HandOver(ctx, options, operator, scenario.End)
		if err != nil {
			return fmt.Errorf("%s: %w", scenario.name, err)
		}
		line := row(scenario, measure.Result{Latencies: times})
		fmt.Fprint(os.Stderr, line)
		table += line
	}
	text, err := os.ReadFile(document)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	replaced, err := report.ReplaceSection(string(text), "bench-handover", table)
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	if err := os.WriteFile(document, []byte(replaced), 0o644); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

// row returns the figures of a scenario as a row of a table.
func row(scenario scenario, result measure.Result) string {
	verdict := "met"
	if result.Quantile(0.99) > scenario.bound {
		verdict = "**missed**"
	}
	figures := []any{scenario.name, len(result.Latencies)}
	for _, time := range []time.Duration{result.Quantile(0.5), result.Quantile(0.99), result.Quantile(1), scenario.bound} {
		figures = append(figures, time.Milliseconds())
	}
	return fmt.Sprintf("| "+strings.Repeat("%v | ", len(figures))+"%s |\n", append(figures, verdict)...)
}
