package api

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	registration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

const (
	// metricsService is the Service of metrics-server.
	metricsService = "metrics-server"
	// apiServices is the API of the API server's extensions.
	apiServices = "/apis/apiregistration.k8s.io/v1/apiservices"
)

// RegisterMetrics makes the API server proxy requests for metrics to metrics-server. It changes nothing that is registered already.
func (c Client) RegisterMetrics(ctx context.Context, l layout.Layout) error {
	port := core.ServicePort{Name: "https", Port: 443, TargetPort: intstr.FromInt32(layout.MetricsPort), Protocol: core.ProtocolTCP}
	if err := c.createService(ctx, metricsService, "", port); err != nil {
		return err
	}
	authority, err := os.ReadFile(l.Certificate("ca"))
	if err != nil {
		return fmt.Errorf("read the certificate authority: %w", err)
	}
	text, err := json.Marshal(metricsAPI(authority))
	if err != nil {
		return fmt.Errorf("encode the APIService of metrics: %w", err)
	}
	err = c.kubernetes.Discovery().RESTClient().Post().AbsPath(apiServices).Body(text).Do(ctx).Error()
	if err != nil && !errors.IsAlreadyExists(err) {
		return fmt.Errorf("register metrics-server: %w", err)
	}
	return nil
}

// metricsAPI is the registration of metrics-server, with the priorities of its own manifest.
func metricsAPI(authority []byte) registration.APIService {
	return registration.APIService{
		TypeMeta:   metav1.TypeMeta{APIVersion: registration.SchemeGroupVersion.String(), Kind: "APIService"},
		ObjectMeta: metav1.ObjectMeta{Name: "v1beta1.metrics.k8s.io"},
		Spec: registration.APIServiceSpec{
			Service:              &registration.ServiceReference{Namespace: metav1.NamespaceSystem, Name: metricsService},
			Group:                "metrics.k8s.io",
			Version:              "v1beta1",
			CABundle:             authority,
			GroupPriorityMinimum: 100,
			VersionPriority:      100,
		},
	}
}

// MetricsReady returns why the API server does not answer for metrics yet, or nil.
func (c Client) MetricsReady(ctx context.Context) error {
	if err := c.kubernetes.Discovery().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1").Do(ctx).Error(); err != nil {
		return fmt.Errorf("metrics-server: %w", err)
	}
	return nil
}
