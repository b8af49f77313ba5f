package driver

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// until polls a condition every 50 ms until it is true.
func until(ctx context.Context, limit time.Duration, what string, look func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		isSo, err := look()
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if isSo {
			return nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("waited in vain until %s: %w", what, err)
		}
	}
}

// sleep waits, unless the context ends.
func sleep(ctx context.Context, duration time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(duration):
		return nil
	}
}

// inParallel calls a function `count` times, `width` at a time.
func inParallel(ctx context.Context, width, count int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(width)
	for i := range count {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}
