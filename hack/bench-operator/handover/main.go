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
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// scenario is how leaders end, and with which timings.
type scenario struct {
	name   string
	signal syscall.Signal
	timings
	bound time.Duration
}

// timings are the flags of the election, in seconds.
type timings struct{ duration, deadline, retry int }

var (
	usual = timings{15, 10, 2}
	fast  = timings{6, 4, 1}
)

// scenarios are measured in this order. Every bound is one of the 99th percentile.
var scenarios = []scenario{
	{"SIGTERM, 15/10/2 s", syscall.SIGTERM, usual, time.Second},
	{"SIGKILL, 6/4/1 s", syscall.SIGKILL, fast, 8 * time.Second},
	{"SIGKILL, 15/10/2 s", syscall.SIGKILL, usual, 18 * time.Second},
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
	var pair pair
	var document string
	trials := 50
	flag.StringVar(&pair.kubeconfig, "kubeconfig", "", "the administrator's kubeconfig, of a cluster with the CRD")
	flag.StringVar(&pair.program, "operator", "", "the operator's program")
	flag.StringVar(&pair.log, "log", "", "the file for the logs of the operators")
	flag.StringVar(&document, "document", "", "the document to write the figures into")
	flag.IntVar(&trials, "trials", trials, "how many leaders end in each scenario")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", pair.kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	if pair.client, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	lines := []string{"| the leader ends by | hand-overs | p50 ms | p99 ms | slowest ms | bound of p99, ms | |", "|---|--:|--:|--:|--:|--:|---|"}
	for _, scenario := range scenarios {
		times, err := pair.measure(ctx, scenario, trials)
		if err != nil {
			return fmt.Errorf("%s: %w", scenario.name, err)
		}
		line := row(scenario, times)
		fmt.Fprintln(os.Stderr, line)
		lines = append(lines, line)
	}
	return write(document, strings.Join(lines, "\n"))
}

// row returns the figures of a scenario as a row of a table.
func row(scenario scenario, times []time.Duration) string {
	slices.Sort(times)
	quantile := func(share float64) time.Duration { return times[int(share*float64(len(times)-1)+0.5)] }
	verdict := "met"
	if quantile(0.99) > scenario.bound {
		verdict = "**missed**"
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %s |", scenario.name, len(times), quantile(0.5).Milliseconds(),
		quantile(0.99).Milliseconds(), times[len(times)-1].Milliseconds(), scenario.bound.Milliseconds(), verdict)
}

// write replaces the table of the document.
func write(document, table string) error {
	const begin, end = "<!-- bench-handover -->", "<!-- /bench-handover -->"
	text, err := os.ReadFile(document)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	before, rest, hasBegin := strings.Cut(string(text), begin)
	_, after, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		return fmt.Errorf("%s has no %s … %s", document, begin, end)
	}
	replaced := before + begin + "\n\n" + table + "\n\n" + end + after
	if err := os.WriteFile(document, []byte(replaced), 0o644); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}
