package main

import (
	"context"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/echo"
)

// reconciler brings the children of one EchoCluster to their desired form.
type reconciler struct{ client.Client }

// setUp wires the watches. An EchoCluster's own status is no news, and neither is that of a budget; a Deployment's is.
func (r *reconciler) setUp(manager ctrl.Manager) error {
	spec := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	specOrLabels := builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.LabelChangedPredicate{}))
	return ctrl.NewControllerManagedBy(manager).
		For(&echo.EchoCluster{}, spec).
		Owns(&apps.Deployment{}).
		Owns(&core.Service{}).
		Owns(&networking.NetworkPolicy{}, specOrLabels).
		Owns(&policy.PodDisruptionBudget{}, specOrLabels).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r)
}

// Reconcile makes or changes what differs. Deleting is Kubernetes' work, by the owner references.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	c := &echo.EchoCluster{}
	if err := r.Get(ctx, request.NamespacedName, c); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !c.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	deployment, err := r.deployment(ctx, c)
	if err != nil {
		return ctrl.Result{}, err
	}
	for _, child := range []func(context.Context, *echo.EchoCluster) error{r.service, r.headlessService, r.networkPolicy, r.budget} {
		if err := child(ctx, c); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{}, r.report(ctx, c, deployment)
}

// report writes the status where it differs.
func (r *reconciler) report(ctx context.Context, c *echo.EchoCluster, deployment *apps.Deployment) error {
	status := echo.Report(c, deployment)
	if equality.Semantic.DeepEqual(status, c.Status) {
		return nil
	}
	reported := c.DeepCopyObject().(*echo.EchoCluster) // the answer is decoded into it, and c is the cache's
	reported.Status = status
	return client.IgnoreNotFound(r.Status().Patch(ctx, reported, client.MergeFrom(c)))
}
