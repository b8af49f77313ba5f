package main

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/echo"
)

// floor is the pending work and the existing EchoClusters: a Service whose EchoCluster is deleted is not created again.
type floor struct {
	client    clients
	work      chan func(context.Context) error
	live      sync.Map
	processed atomic.Int64
}

// reconcile creates or changes the children of an EchoCluster, depending on its status.
func (f *floor) reconcile(c *echo.EchoCluster) {
	f.live.Store(c.UID, true)
	switch c.Status.ObservedGeneration {
	case c.Generation:
		f.processed.Add(1)
	case 0:
		f.work <- func(ctx context.Context) error { return f.create(ctx, c) }
	default:
		f.work <- func(ctx context.Context) error { return f.change(ctx, c) }
	}
}

// create creates all children, and reports the EchoCluster as settled, since it has no pods.
func (f *floor) create(ctx context.Context, c *echo.EchoCluster) error {
	options := metav1.CreateOptions{}
	_, err := f.client.AppsV1().Deployments(c.Namespace).Create(ctx, echo.Deployment(c), options)
	if ignoreExisting(err) == nil {
		_, err = f.client.CoreV1().Services(c.Namespace).Create(ctx, echo.Service(c), options)
	}
	if ignoreExisting(err) == nil {
		_, err = f.client.CoreV1().Services(c.Namespace).Create(ctx, echo.HeadlessService(c), options)
	}
	if ignoreExisting(err) == nil {
		_, err = f.client.NetworkingV1().NetworkPolicies(c.Namespace).Create(ctx, echo.NetworkPolicy(c), options)
	}
	if ignoreExisting(err) != nil {
		return err
	}
	return f.report(ctx, c)
}

// change patches the Deployment, which is the child that the benchmark changes.
func (f *floor) change(ctx context.Context, c *echo.EchoCluster) error {
	patch, err := json.Marshal(map[string]any{"spec": echo.Deployment(c).Spec})
	if err != nil {
		return err
	}
	_, err = f.client.AppsV1().Deployments(c.Namespace).Patch(ctx, c.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return err
	}
	return f.report(ctx, c)
}

// report writes the status.
func (f *floor) report(ctx context.Context, c *echo.EchoCluster) error {
	patch, err := json.Marshal(map[string]any{"status": echo.Settled(c)})
	if err != nil {
		return err
	}
	return f.client.echoClusters.Patch(types.MergePatchType).Namespace(c.Namespace).Resource(echo.Resource).Name(c.Name).
		SubResource("status").Body(patch).Do(ctx).Error()
}

// restore creates a deleted Service again.
func (f *floor) restore(service *core.Service) {
	owner := metav1.GetControllerOf(service)
	if owner == nil {
		return
	}
	if _, isLive := f.live.Load(owner.UID); !isLive {
		return
	}
	again := &core.Service{
		ObjectMeta: metav1.ObjectMeta{
			Name: service.Name, Namespace: service.Namespace, Labels: service.Labels, OwnerReferences: service.OwnerReferences,
		},
		Spec: service.Spec,
	}
	if again.Spec.ClusterIP != core.ClusterIPNone {
		again.Spec.ClusterIP, again.Spec.ClusterIPs = "", nil
	}
	f.work <- func(ctx context.Context) error {
		_, err := f.client.CoreV1().Services(again.Namespace).Create(ctx, again, metav1.CreateOptions{})
		return ignoreExisting(err)
	}
}

// ignoreExisting treats an object that exists already as created.
func ignoreExisting(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// newEchoRequest returns a request for the EchoClusters of all namespaces.
func newEchoRequest(client rest.Interface, options metav1.ListOptions) *rest.Request {
	return client.Get().Resource(echo.Resource).VersionedParams(&options, metav1.ParameterCodec)
}
