package driver

import (
	"context"
	"fmt"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

const (
	// resyncTime is how long new EchoClusters are created. The reconciles of all others begin and end within it.
	resyncTime = 8 * time.Second
	// podMonitors is the path of the CustomResourceDefinition of PodMonitors.
	podMonitors = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/podmonitors.monitoring.coreos.com"
)

// podMonitorDefinition is what `kubectl apply` of the Prometheus Operator's definition comes to for the operator.
const podMonitorDefinition = `{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
"metadata": {"name": "podmonitors.monitoring.coreos.com"}, "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced",
"names": {"kind": "PodMonitor", "listKind": "PodMonitorList", "singular": "podmonitor", "plural": "podmonitors"},
"versions": [{"name": "v1", "served": true, "storage": true,
"schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}}`

// duringResync makes the operator reconcile all EchoClusters at once, as PodMonitors become available, and creates others meanwhile, one
// after the other. The other clients do not use PodMonitors, and have nothing else to do.
func (t *turn) duringResync(ctx context.Context) (measure.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	before, err := t.process.reconciles(ctx)
	if err != nil {
		return measure.Result{}, err
	}
	var names []string
	result, err := t.measured(ctx, func() (measure.Result, error) {
		if err := t.cluster.apply(podMonitors, []byte(podMonitorDefinition)).Do(ctx).Error(); err != nil {
			return measure.Result{}, fmt.Errorf("define PodMonitors: %w", err)
		}
		result := measure.Result{}
		for start := time.Now(); time.Since(start) < resyncTime; result.Count++ {
			name := fmt.Sprintf("new-%05d", result.Count)
			names = append(names, name)
			whole := t.observer.await(name, isWhole)
			begun := time.Now()
			if err := t.cluster.create(ctx, t.namespace, name, pods); err != nil {
				return result, err
			}
			took, err := latency(ctx, name, begun, whole)
			if err != nil {
				return result, err
			}
			result.Latencies = append(result.Latencies, took)
		}
		result.Total = resyncTime
		return result, nil
	})
	if err != nil {
		return result, err
	}
	after, err := t.process.reconciles(ctx)
	if err != nil {
		return result, err
	}
	if t.client.Name == measure.Ours && after-before < t.Options.Count {
		return result, fmt.Errorf("the operator has not reconciled all EchoClusters: %d reconciles", after-before)
	}
	return result, t.endResync(ctx, names)
}

// endResync deletes what duringResync has created.
func (t *turn) endResync(ctx context.Context, names []string) error {
	if err := asJSON(t.cluster.raw().Delete().AbsPath(podMonitors)).Do(ctx).Error(); err != nil {
		return fmt.Errorf("delete the definition of PodMonitors: %w", err)
	}
	for _, name := range names {
		gone := t.observer.await(name, isGone)
		if err := t.cluster.delete(ctx, t.namespace, name); err != nil {
			return err
		}
		if _, err := latency(ctx, name, time.Now(), gone); err != nil {
			return err
		}
	}
	_, err := t.untilQuiet(ctx)
	return err
}
