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

// reconciler brings the children of an EchoCluster to their desired state.
type reconciler struct{ client.Client }

// setUp starts the watches. Changes of the status of a Deployment trigger a reconcile; those of other statuses do not.
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

// Reconcile creates or changes what differs. The garbage collector deletes children, by their owner references.
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
	reported := c.DeepCopyObject().(*echo.EchoCluster) // the response is decoded into it, and c belongs to the cache
	reported.Status = status
	return client.IgnoreNotFound(r.Status().Patch(ctx, reported, client.MergeFrom(c)))
}
