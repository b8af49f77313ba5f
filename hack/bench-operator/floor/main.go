// Command floor creates the same objects with the fewest requests. It caches and compares nothing, and restores only what a watch reports
// as deleted. It is not an operator, but measures what the API server alone costs.
//
// For a new EchoCluster it sends four POSTs and one status; for a changed one, one PATCH and one status; for a Service that was
// deleted, a POST of what the watch has reported of it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// workers is the number of concurrent requests, as in the operators.
const workers = 16

func main() {
	address := flag.String("metrics", "127.0.0.1:8082", "where /metrics is served")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *address); err != nil && ctx.Err() == nil {
		log.Fatal("floor: ", err)
	}
}

// run processes events until a watch or a request fails. The benchmark then fails, too.
func run(ctx context.Context, address string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client, err := newClient()
	if err != nil {
		return err
	}
	f := &floor{client: client, work: make(chan func(context.Context) error, 1<<16)}
	for range workers {
		go f.serve(ctx, cancel)
	}
	go func() { cancel(serveMetrics(address, &f.processed)) }()
	go func() { cancel(f.watchServices(ctx)) }()
	go func() { cancel(f.watchClusters(ctx)) }()
	<-ctx.Done()
	return context.Cause(ctx)
}

// serve processes the work queue, until a request fails.
func (f *floor) serve(ctx context.Context, cancel context.CancelCauseFunc) {
	for {
		select {
		case <-ctx.Done():
			return
		case task := <-f.work:
			if err := task(ctx); err != nil {
				cancel(err)
			}
		}
	}
}

// serveMetrics serves the number of EchoClusters that were processed, as a metric whose name has the suffix of the operators' metric.
func serveMetrics(address string, processed *atomic.Int64) error {
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "floor_reconcile_total %d\n", processed.Load())
	}))
}
