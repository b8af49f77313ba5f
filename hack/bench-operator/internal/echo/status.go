package echo

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	apps "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Report returns the status of an EchoCluster whose Deployment is this one. Times of conditions move only with their status.
func Report(c *EchoCluster, deployment *apps.Deployment) Status {
	counts := deployment.Status
	status := Status{
		ObservedGeneration: c.Generation,
		Replicas:           counts.Replicas,
		ReadyReplicas:      counts.ReadyReplicas,
		UpdatedReplicas:    counts.UpdatedReplicas,
		AvailableReplicas:  counts.AvailableReplicas,
		Selector:           selectorText(c.Name),
		Address:            fmt.Sprintf("%s.%s.svc:%d", c.Name, c.Namespace, c.Spec.Listeners[0].Port),
		Image:              c.Spec.Image,
		Conditions:         slices.Clone(c.Status.Conditions),
	}
	isObserved := counts.ObservedGeneration >= deployment.Generation && deployment.Generation > 0
	isReady := isObserved && counts.UpdatedReplicas == c.Spec.Replicas && counts.AvailableReplicas >= c.Spec.Replicas
	set := func(name string, value bool, reason, message string) {
		condition := metav1.Condition{Type: name, Status: metav1.ConditionFalse, Reason: reason, Message: message, ObservedGeneration: c.Generation}
		if value {
			condition.Status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	available := fmt.Sprintf("%d of %d echo servers are available.", counts.AvailableReplicas, c.Spec.Replicas)
	if isReady {
		set("Ready", true, "Ready", available)
		set("Reconciling", false, "Settled", "No change is in progress.")
	} else {
		set("Ready", false, "ReplicasUnavailable", available)
		set("Reconciling", true, "RollingOut", available)
	}
	set("Stalled", false, "AsExpected", "Nothing is needed.")
	return status
}

// Settled returns the status of an EchoCluster without pods, as if its Deployment had been observed already.
func Settled(c *EchoCluster) Status {
	return Report(c, &apps.Deployment{
		ObjectMeta: metav1.ObjectMeta{Generation: 1}, Status: apps.DeploymentStatus{ObservedGeneration: 1},
	})
}

// selectorText is the selector in the form of the scale subresource.
func selectorText(name string) string {
	labels := Labels(name)
	pairs := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		pairs = append(pairs, key+"="+labels[key])
	}
	return strings.Join(pairs, ",")
}
