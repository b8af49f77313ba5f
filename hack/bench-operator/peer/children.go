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
	desired := echo.Deployment(c)
	found := &apps.Deployment{ObjectMeta: named(desired)}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, found, func() error {
		desired.Spec.Template.Annotations = found.Spec.Template.Annotations // `kubectl rollout restart` writes there
		found.Spec = desired.Spec
		return r.adopt(c, found, desired)
	})
	return found, err
}

func (r *reconciler) service(ctx context.Context, c *echo.EchoCluster) error {
	return r.anyService(ctx, c, echo.Service(c))
}

func (r *reconciler) headlessService(ctx context.Context, c *echo.EchoCluster) error {
	return r.anyService(ctx, c, echo.HeadlessService(c))
}

// anyService keeps the fields that the API server sets, such as addresses.
func (r *reconciler) anyService(ctx context.Context, c *echo.EchoCluster, desired *core.Service) error {
	found := &core.Service{ObjectMeta: named(desired)}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, found, func() error {
		found.Spec.Type, found.Spec.Selector, found.Spec.Ports = desired.Spec.Type, desired.Spec.Selector, desired.Spec.Ports
		found.Spec.IPFamilyPolicy, found.Spec.InternalTrafficPolicy = desired.Spec.IPFamilyPolicy, desired.Spec.InternalTrafficPolicy
		found.Spec.SessionAffinity = desired.Spec.SessionAffinity
		if found.ResourceVersion == "" { // it is immutable
			found.Spec.ClusterIP = desired.Spec.ClusterIP
		}
		return r.adopt(c, found, desired)
	})
	return err
}

func (r *reconciler) networkPolicy(ctx context.Context, c *echo.EchoCluster) error {
	desired := echo.NetworkPolicy(c)
	found := &networking.NetworkPolicy{ObjectMeta: named(desired)}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, found, func() error {
		found.Spec = desired.Spec
		return r.adopt(c, found, desired)
	})
	return err
}

// budget exists only for two pods or more.
func (r *reconciler) budget(ctx context.Context, c *echo.EchoCluster) error {
	desired := echo.PodDisruptionBudget(c)
	if desired == nil {
		found := &policy.PodDisruptionBudget{}
		if err := r.Get(ctx, client.ObjectKeyFromObject(c), found); err != nil {
			return client.IgnoreNotFound(err)
		}
		return client.IgnoreNotFound(r.Delete(ctx, found))
	}
	found := &policy.PodDisruptionBudget{ObjectMeta: named(desired)}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, found, func() error {
		found.Spec = desired.Spec
		return r.adopt(c, found, desired)
	})
	return err
}

func named(desired client.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: desired.GetName(), Namespace: desired.GetNamespace()}
}

// adopt adds our labels to those of other clients, and sets the owner.
func (r *reconciler) adopt(c *echo.EchoCluster, found, desired client.Object) error {
	labels := found.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	for key, value := range desired.GetLabels() {
		labels[key] = value
	}
	found.SetLabels(labels)
	return controllerutil.SetControllerReference(c, found, r.Scheme())
}
