package driver

import (
	"context"
	"fmt"
	"sync"
	"time"

	apps "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/echo"
)

// child is one of the four children that every EchoCluster has.
type child int

const (
	deployment child = iota
	service
	headless
	networkPolicy
	children // their number
)

// fleet is the state of one EchoCluster's children, as watches have reported it.
type fleet struct {
	present [children]types.UID // "" is absent
	drain   string              // the Deployment's argument
	waits   []wait
}

// wait is a pending wait for a condition of a fleet.
type wait struct {
	isSo     func(*fleet) bool
	reported chan<- time.Time
}

// observer follows the children in one namespace, and records when each change was reported.
type observer struct {
	lock   sync.Mutex
	fleets map[string]*fleet
	latest time.Time
}

func newObserver() *observer { return &observer{fleets: map[string]*fleet{}} }

// await returns a channel that receives the time at which a condition of an EchoCluster's children holds.
func (o *observer) await(name string, isSo func(*fleet) bool) <-chan time.Time {
	reported := make(chan time.Time, 1)
	o.lock.Lock()
	defer o.lock.Unlock()
	f := o.fleet(name)
	if isSo(f) {
		reported <- time.Now()
	} else {
		f.waits = append(f.waits, wait{isSo, reported})
	}
	return reported
}

// state returns the state of an EchoCluster's children.
func (o *observer) state(name string) fleet {
	o.lock.Lock()
	defer o.lock.Unlock()
	return *o.fleet(name)
}

// quietSince returns the time of the last event.
func (o *observer) quietSince() time.Time {
	o.lock.Lock()
	defer o.lock.Unlock()
	return o.latest
}

func (o *observer) fleet(name string) *fleet {
	f := o.fleets[name]
	if f == nil {
		f = &fleet{}
		o.fleets[name] = f
	}
	return f
}

// record records that a child exists, or no longer does, and notifies pending waits.
func (o *observer) record(which child, object metav1.Object, isThere bool) {
	now := time.Now()
	name := object.GetLabels()["app.kubernetes.io/instance"]
	if which == service && object.GetName() == echo.HeadlessName(name) {
		which = headless
	}
	o.lock.Lock()
	defer o.lock.Unlock()
	o.latest = now
	f := o.fleet(name)
	f.present[which] = ""
	if isThere {
		f.present[which] = object.GetUID()
	}
	if d, isDeployment := object.(*apps.Deployment); isDeployment {
		f.drain = drainOf(d)
	}
	still := f.waits[:0]
	for _, w := range f.waits {
		if w.isSo(f) {
			w.reported <- now
		} else {
			still = append(still, w)
		}
	}
	f.waits = still
}

// drainOf finds the argument that a change of drainSeconds changes.
func drainOf(d *apps.Deployment) string {
	const prefix = "--drain-seconds="
	for _, c := range d.Spec.Template.Spec.Containers {
		for _, argument := range c.Args {
			if len(argument) > len(prefix) && argument[:len(prefix)] == prefix {
				return argument
			}
		}
	}
	return ""
}

// isWhole reports whether all children exist.
func isWhole(f *fleet) bool {
	for _, uid := range f.present {
		if uid == "" {
			return false
		}
	}
	return true
}

// isGone reports whether no child exists.
func isGone(f *fleet) bool { return f.present == [children]types.UID{} }

// hasDrain reports whether the Deployment has a value of drainSeconds.
func hasDrain(seconds int32) func(*fleet) bool {
	argument := echo.Drain(seconds)
	return func(f *fleet) bool { return f.drain == argument }
}

// hasAnotherService reports whether a Service exists with another UID.
func hasAnotherService(than types.UID) func(*fleet) bool {
	return func(f *fleet) bool { return f.present[service] != "" && f.present[service] != than }
}

// latency waits for the channel of await, and returns how long it took.
func latency(ctx context.Context, name string, begun time.Time, reported <-chan time.Time) (time.Duration, error) {
	select {
	case at := <-reported:
		return max(0, at.Sub(begun)), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("waited in vain for the children of %s: %w", name, context.Cause(ctx))
	}
}
