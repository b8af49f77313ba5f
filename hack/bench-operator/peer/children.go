package main

import (
	"context"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/echo"
)

func (r *reconciler) deployment(ctx context.Context, c *echo.EchoCluster) (*apps.Deployment, error) {
	wanted := echo.Deployment(c)
	found := &apps.Deployment{ObjectMeta: named(wanted)}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, found, func() error {
		wanted.Spec.Template.Annotations = found.Spec.Template.Annotations // `kubectl rollout restart` writes there
		found.Spec = wanted.Spec
		return r.adopt(c, found, wanted)
	})
	return found, err
}

func (r *reconciler) service(ctx context.Context, c *echo.EchoCluster) error {
	return r.anyService(ctx, c, echo.Service(c))
}

func (r *reconciler) headlessService(ctx context.Context, c *echo.EchoCluster) error {
	return r.anyService(ctx, c, echo.HeadlessService(c))
}

// anyService leaves alone what the API server decides, such as addresses.
func (r *reconciler) anyService(ctx context.Context, c *echo.EchoCluster, wanted *core.Service) error {
	found := &core.Service{ObjectMeta: named(wanted)}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, found, func() error {
		found.Spec.Type, found.Spec.Selector, found.Spec.Ports = wanted.Spec.Type, wanted.Spec.Selector, wanted.Spec.Ports
		found.Spec.IPFamilyPolicy, found.Spec.InternalTrafficPolicy = wanted.Spec.IPFamilyPolicy, wanted.Spec.InternalTrafficPolicy
		found.Spec.SessionAffinity = wanted.Spec.SessionAffinity
		if found.ResourceVersion == "" { // it never changes
			found.Spec.ClusterIP = wanted.Spec.ClusterIP
		}
		return r.adopt(c, found, wanted)
	})
	return err
}

func (r *reconciler) networkPolicy(ctx context.Context, c *echo.EchoCluster) error {
	wanted := echo.NetworkPolicy(c)
	found := &networking.NetworkPolicy{ObjectMeta: named(wanted)}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, found, func() error {
		found.Spec = wanted.Spec
		return r.adopt(c, found, wanted)
	})
	return err
}

// budget is there for two pods or more, and goes with the second.
func (r *reconciler) budget(ctx context.Context, c *echo.EchoCluster) error {
	wanted := echo.PodDisruptionBudget(c)
	if wanted == nil {
		found := &policy.PodDisruptionBudget{}
		if err := r.Get(ctx, client.ObjectKeyFromObject(c), found); err != nil {
			return client.IgnoreNotFound(err)
		}
		return client.IgnoreNotFound(r.Delete(ctx, found))
	}
	found := &policy.PodDisruptionBudget{ObjectMeta: named(wanted)}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, found, func() error {
		found.Spec = wanted.Spec
		return r.adopt(c, found, wanted)
	})
	return err
}

func named(wanted client.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: wanted.GetName(), Namespace: wanted.GetNamespace()}
}

// adopt sets our labels among those of others, and the owner.
func (r *reconciler) adopt(c *echo.EchoCluster, found, wanted client.Object) error {
	labels := found.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range wanted.GetLabels() {
		labels[key] = value
	}
	found.SetLabels(labels)
	return controllerutil.SetControllerReference(c, found, r.Scheme())
}
