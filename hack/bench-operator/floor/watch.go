package main

import (
	"context"
	"errors"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/echo"
)

// watchClusters lists the EchoClusters, and follows their events.
func (f *floor) watchClusters(ctx context.Context) error {
	request := func(options metav1.ListOptions) *rest.Request { return newEchoRequest(f.client.echoClusters, options) }
	var list echo.EchoClusterList
	if err := request(metav1.ListOptions{}).Do(ctx).Into(&list); err != nil {
		return err
	}
	for i := range list.Items {
		f.reconcile(&list.Items[i])
	}
	watcher := func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		options.Watch = true // or the response is a list
		return request(options).Watch(ctx)
	}
	return follow(ctx, list.ResourceVersion, watcher, func(event watch.Event) {
		c, isOne := event.Object.(*echo.EchoCluster)
		switch {
		case !isOne:
		case event.Type == watch.Deleted:
			f.live.Delete(c.UID)
		default:
			f.reconcile(c)
		}
	})
}

// watchServices follows the deletions of Services. Existing Services need no request.
func (f *floor) watchServices(ctx context.Context) error {
	services := f.client.CoreV1().Services(metav1.NamespaceAll)
	scope := metav1.ListOptions{LabelSelector: echo.ManagedBy + "=" + echo.Manager}
	first := scope
	first.Limit = 1 // only for the resourceVersion
	list, err := services.List(ctx, first)
	if err != nil {
		return err
	}
	watcher := func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		options.LabelSelector = scope.LabelSelector
		return services.Watch(ctx, options)
	}
	return follow(ctx, list.ResourceVersion, watcher, func(event watch.Event) {
		if service, isOne := event.Object.(*core.Service); isOne && event.Type == watch.Deleted {
			f.restore(service)
		}
	})
}

// follow forwards the events of a watch, and restarts the watch when the API server ends it.
func follow(ctx context.Context, version string, watcher cache.WatchFuncWithContext, handle func(watch.Event)) error {
	events, err := watchtools.NewRetryWatcherWithContext(ctx, version, &cache.ListWatch{WatchFuncWithContext: watcher})
	if err != nil {
		return err
	}
	for event := range events.ResultChan() {
		if event.Type == watch.Error {
			return apierrors.FromObject(event.Object)
		}
		handle(event)
	}
	return errors.New("a watch has ended")
}
