package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

const (
	// pollInterval is how often the progress of a starting client is checked.
	pollInterval = 20 * time.Millisecond
	// idleTime is how long a client must not reconcile for its first reconciles to have ended.
	idleTime = time.Second
)

// coldStart stops the client and starts it again. The time is that from its start to the end of its last reconcile. Each EchoCluster is
// reconciled at least once.
func (t *turn) coldStart(ctx context.Context) (measure.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t.process.stop()
	if _, err := t.untilQuiet(ctx); err != nil {
		return measure.Result{}, err
	}
	begun := time.Now()
	if err := t.start(); err != nil {
		return measure.Result{}, err
	}
	took, err := t.firstReconciles(ctx, begun)
	if err != nil {
		return measure.Result{}, err
	}
	requests, err := t.untilQuiet(ctx)
	if err != nil {
		return measure.Result{}, err
	}
	usage, err := t.process.usage()
	return measure.Result{
		Count: t.Options.Count, Total: took, Requests: requests, CPU: usage.cpu, RSS: usage.rss, Peak: usage.peak,
	}, err
}

// firstReconciles waits until each EchoCluster is reconciled, and for a while no more, and returns the time until the last reconcile.
func (t *turn) firstReconciles(ctx context.Context, begun time.Time) (time.Duration, error) {
	reconciles, latest := 0, begun
	for reconciles < t.Options.Count || time.Since(latest) < idleTime {
		if err := sleep(ctx, pollInterval); err != nil {
			return 0, fmt.Errorf("after %d reconciles: %w", reconciles, err)
		}
		now, err := t.process.reconciles(ctx)
		if err != nil {
			return 0, err
		}
		if now != reconciles {
			reconciles, latest = now, time.Now()
		}
	}
	return latest.Sub(begun), nil
}
