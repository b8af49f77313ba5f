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

// floor is what there is to do, and which EchoClusters there are: a Service of one that is gone is not made again.
type floor struct {
	client clients
	work   chan func(context.Context) error
	live   sync.Map
	seen   atomic.Int64
}

// look decides by the status what an EchoCluster needs.
func (f *floor) look(c *echo.EchoCluster) {
	f.live.Store(c.UID, true)
	switch c.Status.ObservedGeneration {
	case c.Generation:
		f.seen.Add(1)
	case 0:
		f.work <- func(ctx context.Context) error { return f.create(ctx, c) }
	default:
		f.work <- func(ctx context.Context) error { return f.change(ctx, c) }
	}
}

// create makes all children, and says that nothing more is to come: without pods, all is well at once.
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

// restore makes a Service again as it was.
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

// ignoreExisting takes an object that is there already for one that was made.
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
