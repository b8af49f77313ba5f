package driver

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

const (
	// pods of each EchoCluster: none, so that no node is needed, an EchoCluster is settled as soon as its Deployment is observed, and
	// Kubernetes' own controllers do the same for all clients: one empty ReplicaSet, two empty EndpointSlices.
	pods = 0
	// otherDrain is the new value of drainSeconds; the default is 10.
	otherDrain = 20
	// thirdDrain is the value after that.
	thirdDrain = 30
	// fourthDrain is the value after that.
	fourthDrain = 40
	// mostChanges is how many EchoClusters are changed one after the other.
	mostChanges = 100
	// mostRepairs is how many Services are deleted one after the other.
	mostRepairs = 100
	// mostRepairs16 is how many are deleted 16 at a time.
	mostRepairs16 = 320
	// limit is the timeout of a scenario.
	limit = 30 * time.Minute
)

// scenario is a measured scenario.
type scenario struct {
	name string
	run  func(*turn, context.Context) (measure.Result, error)
}

// scenarios are all scenarios, in order.
var scenarios = []scenario{
	{measure.Created, (*turn).created},
	{measure.Changed, (*turn).changed},
	{measure.ChangedAgain, (*turn).changedAgain},
	{measure.ChangedAlone, (*turn).changedAlone},
	{measure.Repaired, (*turn).repaired},
	{measure.Repaired16, (*turn).repaired16},
	{measure.Settled, (*turn).settled},
	{measure.ColdStart, (*turn).coldStart},
	{measure.DuringResync, (*turn).duringResync},
	{measure.Deleted, (*turn).deleted},
}

// name returns the name of an EchoCluster.
func name(i int) string { return fmt.Sprintf("echo-%05d", i) }

// created creates all EchoClusters as fast as the API server accepts them, and waits until each has all children.
func (t *turn) created(ctx context.Context) (measure.Result, error) {
	return t.all(ctx, isWhole, func(ctx context.Context, name string) error {
		return t.cluster.create(ctx, t.namespace, name, pods)
	})
}

// changed changes a field of all EchoClusters, and waits until each Deployment has it.
func (t *turn) changed(ctx context.Context) (measure.Result, error) {
	return t.drains(ctx, t.Options.Count, width, otherDrain)
}

// changedAgain changes it once more. Only before its first change does the operator convert the ownership of a child.
func (t *turn) changedAgain(ctx context.Context) (measure.Result, error) {
	return t.drains(ctx, t.Options.Count, width, thirdDrain)
}

// changedAlone changes it of some EchoClusters one after the other, so that Kubernetes' own controllers react to each at once.
func (t *turn) changedAlone(ctx context.Context) (measure.Result, error) {
	return t.drains(ctx, min(mostChanges, t.Options.Count), 1, fourthDrain)
}

func (t *turn) drains(ctx context.Context, count, width int, seconds int32) (measure.Result, error) {
	return t.each(ctx, count, width, hasDrain(seconds), func(ctx context.Context, name string) error {
		return t.cluster.setDrain(ctx, t.namespace, name, seconds)
	})
}

// deleted deletes all EchoClusters, and waits until no child exists. The garbage collector does the work; a client can only slow it down.
func (t *turn) deleted(ctx context.Context) (measure.Result, error) {
	return t.all(ctx, isGone, func(ctx context.Context, name string) error {
		return t.cluster.delete(ctx, t.namespace, name)
	})
}

// all makes a request for each EchoCluster, and waits for its effect.
func (t *turn) all(ctx context.Context, isSo func(*fleet) bool, do func(context.Context, string) error) (measure.Result, error) {
	return t.each(ctx, t.Options.Count, width, isSo, do)
}

// each makes a request for each of some EchoClusters, and waits for its effect: at the end, or before the next request where there is one
// at a time. A latency begins with the request.
func (t *turn) each(ctx context.Context, count, width int, isSo func(*fleet) bool, do func(context.Context, string) error) (measure.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return t.measured(ctx, func() (measure.Result, error) {
		reported, begun := make([]<-chan time.Time, count), make([]time.Time, count)
		for i := range count {
			reported[i] = t.observer.await(name(i), isSo)
		}
		result := measure.Result{Count: count, Latencies: make([]time.Duration, count)}
		start := time.Now()
		err := inParallel(ctx, width, count, func(ctx context.Context, i int) error {
			begun[i] = time.Now()
			err := do(ctx, name(i))
			if err == nil && width == 1 {
				result.Latencies[i], err = latency(ctx, name(i), begun[i], reported[i])
			}
			return err
		})
		for i := 0; i < count && err == nil && width > 1; i++ {
			result.Latencies[i], err = latency(ctx, name(i), begun[i], reported[i])
		}
		result.Total = time.Since(start)
		return result, err
	})
}

// repaired deletes Services one after the other.
func (t *turn) repaired(ctx context.Context) (measure.Result, error) {
	return t.repairs(ctx, 1, 0, min(mostRepairs, t.Options.Count))
}

// repaired16 deletes Services 16 at a time: other ones than those of `repaired`, if there are enough.
func (t *turn) repaired16(ctx context.Context) (measure.Result, error) {
	count := min(mostRepairs16, t.Options.Count)
	return t.repairs(ctx, width, min(mostRepairs, t.Options.Count-count), count)
}

// repairs deletes the Services of some EchoClusters, and waits until each exists again.
func (t *turn) repairs(ctx context.Context, width, first, count int) (measure.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return t.measured(ctx, func() (measure.Result, error) {
		result := measure.Result{Count: count, Latencies: make([]time.Duration, count)}
		start := time.Now()
		err := inParallel(ctx, width, count, func(ctx context.Context, i int) error {
			name := name(first + i)
			known := t.observer.state(name)
			back := t.observer.await(name, hasAnotherService(known.present[service]))
			begun := time.Now()
			err := t.cluster.CoreV1().Services(t.namespace).Delete(ctx, name, metav1.DeleteOptions{})
			if err == nil {
				result.Latencies[i], err = latency(ctx, name, begun, back)
			}
			return err
		})
		result.Total = time.Since(start)
		return result, err
	})
}

// settled waits without any change.
func (t *turn) settled(ctx context.Context) (measure.Result, error) {
	if _, err := t.audit.next(); err != nil {
		return measure.Result{}, err
	}
	before, err := t.process.usage()
	if err != nil {
		return measure.Result{}, err
	}
	if err := sleep(ctx, t.Options.Settled); err != nil {
		return measure.Result{}, err
	}
	after, err := t.process.usage()
	if err != nil {
		return measure.Result{}, err
	}
	requests, err := t.audit.next()
	return measure.Result{
		Count: t.Options.Count, Total: t.Options.Settled, Requests: requests, CPU: after.cpu - before.cpu, RSS: after.rss, Peak: after.peak,
	}, err
}
