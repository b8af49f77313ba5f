package driver

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/echo"
)

// observe follows the children in an empty namespace: Deployments as a whole, and only the metadata of other kinds, since there are many.
func (c *cluster) observe(ctx context.Context, namespace string) (*observer, error) {
	o := newObserver()
	deployments := c.AppsV1().Deployments(namespace)
	err := follow(ctx, o, deployment, &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return deployments.List(ctx, options)
		},
		WatchFuncWithContext: deployments.Watch,
	})
	if err != nil {
		return nil, err
	}
	for which, resource := range map[child]schema.GroupVersionResource{
		service:       {Version: "v1", Resource: "services"},
		networkPolicy: {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	} {
		objects := c.metadata.Resource(resource).Namespace(namespace)
		err := follow(ctx, o, which, &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return objects.List(ctx, options)
			},
			WatchFuncWithContext: objects.Watch,
		})
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// follow reports all children of one kind to the observer, until the context ends.
func follow(ctx context.Context, o *observer, which child, kind *cache.ListWatch) error {
	scope := metav1.ListOptions{LabelSelector: echo.ManagedBy + "=" + echo.Manager}
	list, err := kind.ListWithContext(ctx, scope)
	if err != nil {
		return fmt.Errorf("list children: %w", err)
	}
	version := list.(metav1.ListInterface).GetResourceVersion()
	scoped := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
		options.LabelSelector = scope.LabelSelector
		return kind.WatchWithContext(ctx, options)
	}}
	events, err := watchtools.NewRetryWatcherWithContext(ctx, version, scoped)
	if err != nil {
		return fmt.Errorf("watch children: %w", err)
	}
	go func() {
		for event := range events.ResultChan() {
			if object, isObject := event.Object.(metav1.Object); isObject && event.Type != watch.Bookmark {
				o.record(which, object, event.Type != watch.Deleted)
			}
		}
	}()
	return nil
}
