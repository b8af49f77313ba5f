// Command peer is an operator written with controller-runtime by its best practices, for comparison with the operator of this project:
// CreateOrUpdate for each child, watches of the children by their owner, one status.
//
// It is tuned: caches hold only labelled objects and no managedFields, requests are not throttled, 16 EchoClusters are reconciled at a time,
// reads wait for the client's own writes, and no event is written.
package main

import (
	"flag"
	"log"
	"log/slog"
	"os"

	"github.com/go-logr/logr"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metrics "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/echo"
)

// concurrency is that of the operator of this project.
const concurrency = 16

func main() {
	address := flag.String("metrics", "127.0.0.1:8082", "where /metrics is served")
	flag.Parse()
	if err := run(*address); err != nil {
		log.Fatal("peer: ", err)
	}
}

func run(address string) error {
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, nil)))
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config.QPS = -1 // no throttling of its own
	scheme := runtime.NewScheme()
	builder := runtime.NewSchemeBuilder(clientgoscheme.AddToScheme, echo.AddToScheme)
	if err := builder.AddToScheme(scheme); err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  scheme,
		Cache:   cacheOptions(),
		Client:  client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: ptr.To(true)}},
		Metrics: metrics.Options{BindAddress: address},
	})
	if err != nil {
		return err
	}
	if err := (&reconciler{Client: manager.GetClient()}).setUp(manager); err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

// cacheOptions scope the caches of children by the label, and leave out what is never read. EchoClusters are only read, so a reader gets
// the cached object itself.
func cacheOptions() cache.Options {
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{echo.ManagedBy: echo.Manager})}
	return cache.Options{
		DefaultTransform:            cache.TransformStripManagedFields(),
		ReaderFailOnMissingInformer: true,
		ByObject: map[client.Object]cache.ByObject{
			&apps.Deployment{}:            ours,
			&core.Service{}:               ours,
			&networking.NetworkPolicy{}:   ours,
			&policy.PodDisruptionBudget{}: ours,
			&echo.EchoCluster{}:           {UnsafeDisableDeepCopy: ptr.To(true)},
		},
	}
}
