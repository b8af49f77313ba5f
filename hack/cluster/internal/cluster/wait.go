package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/component"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

const (
	// timeout is longer than any step takes on a busy machine.
	timeout = 2 * time.Minute
	// pause is the polling interval.
	pause = 50 * time.Millisecond
)

// until polls a condition until it returns nil. It fails with the condition's last error when the time is over or the context ends.
func until(ctx context.Context, what string, look func(context.Context) error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait until %s: %w", what, context.Cause(ctx))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %s until %s; `cluster logs COMPONENT` shows more: %w", timeout, what, err)
		}
		time.Sleep(pause)
	}
}

// untilContainerd waits until a node's containerd accepts connections. A kubelet that starts earlier ends at once.
func untilContainerd(ctx context.Context, n layout.Node) error {
	answers := func(context.Context) error { return component.Answers(layout.ContainerdSocket(n)) }
	return until(ctx, "containerd of "+n.Name()+" answers", answers)
}
