package driver

import (
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/echo"
)

// of is the metadata of a child of the EchoCluster "a".
func of(name string, uid types.UID) *metav1.ObjectMeta {
	return &metav1.ObjectMeta{Name: name, UID: uid, Labels: echo.Labels("a")}
}

func isReported(reported <-chan time.Time) bool { return len(reported) == 1 }

func TestAnEchoClusterIsWholeWithItsFourthChildAndGoneWithItsLast(t *testing.T) {
	o := newObserver()
	whole := o.await("a", isWhole)
	o.record(deployment, of("a", "1"), true)
	o.record(service, of("a", "2"), true)
	o.record(networkPolicy, of("a", "3"), true)
	if isReported(whole) {
		t.Error("whole without the headless Service")
	}
	o.record(service, of("a-pods", "4"), true)
	if !isReported(whole) || !isReported(o.await("a", isWhole)) {
		t.Error("not whole")
	}
	gone := o.await("a", isGone)
	for which, name := range map[child]string{deployment: "a", service: "a", networkPolicy: "a"} {
		o.record(which, of(name, ""), false)
	}
	if isReported(gone) {
		t.Error("gone with a headless Service")
	}
	o.record(service, of("a-pods", "4"), false)
	if !isReported(gone) {
		t.Error("not gone")
	}
}

func TestAServiceIsBackWhenAnotherOneIsThere(t *testing.T) {
	o := newObserver()
	o.record(service, of("a", "old"), true)
	back := o.await("a", hasAnotherService("old"))
	o.record(service, of("a", "old"), true)
	o.record(service, of("a", "old"), false)
	if isReported(back) {
		t.Error("reported although it does not exist")
	}
	o.record(service, of("a", "new"), true)
	if !isReported(back) {
		t.Error("not reported as created again")
	}
}

func TestAChangeIsSeenInTheDeployment(t *testing.T) {
	o := newObserver()
	d := &apps.Deployment{ObjectMeta: *of("a", "1")}
	changed := o.await("a", hasDrain(20))
	for _, seconds := range []int32{10, 20} {
		if isReported(changed) {
			t.Error("reported too early")
		}
		c := &echo.EchoCluster{Spec: echo.Spec{DrainSeconds: seconds}}
		d.Spec = echo.Deployment(c).Spec
		o.record(deployment, d, true)
	}
	if !isReported(changed) {
		t.Error("not reported")
	}
}
