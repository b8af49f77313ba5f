package main

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/echo"
)

// clients are the clients of the API server: built-in kinds use protobuf, EchoClusters JSON.
type clients struct {
	kubernetes.Interface
	echoClusters rest.Interface
}

func newClient() (clients, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return clients{}, err
	}
	config.QPS = -1 // no throttling of its own
	builtIn := rest.CopyConfig(config)
	builtIn.ContentType = runtime.ContentTypeProtobuf
	kinds, err := kubernetes.NewForConfig(builtIn)
	if err != nil {
		return clients{}, err
	}
	scheme := runtime.NewScheme()
	if err := echo.AddToScheme(scheme); err != nil {
		return clients{}, err
	}
	config.APIPath, config.GroupVersion = "/apis", &echo.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	echoClusters, err := rest.RESTClientFor(config)
	return clients{kinds, echoClusters}, err
}
