package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

const (
	// look is how often the progress of a starting client is checked.
	look = 20 * time.Millisecond
	// respite is how long a client may do nothing for its first passes to be over.
	respite = time.Second
)

// coldStart ends the client and starts it again. The time is that from its start to the end of its last pass: each EchoCluster has had
// one by then, and some clients do more than one.
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
	took, err := t.firstPasses(ctx, begun)
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

// firstPasses waits until there was a pass for each EchoCluster, and for a while no other, and returns when the last one ended.
func (t *turn) firstPasses(ctx context.Context, begun time.Time) (time.Duration, error) {
	passes, latest := 0, begun
	for passes < t.Options.Count || time.Since(latest) < respite {
		if err := sleep(ctx, look); err != nil {
			return 0, fmt.Errorf("after %d passes: %w", passes, err)
		}
		now, err := t.process.passes(ctx)
		if err != nil {
			return 0, err
		}
		if now != passes {
			passes, latest = now, time.Now()
		}
	}
	return latest.Sub(begun), nil
}
