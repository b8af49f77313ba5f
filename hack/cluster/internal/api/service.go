package api

import (
	"context"
	"fmt"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// createService gives a server that runs beside the nodes, at the control plane's address, a Service in kube-system,
// unless it has one. An address of "" lets Kubernetes choose the Service's.
func (c Client) createService(ctx context.Context, name, address string, servicePorts ...core.ServicePort) error {
	service := &core.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       core.ServiceSpec{ClusterIP: address, Ports: servicePorts},
	}
	_, err := c.kubernetes.CoreV1().Services(metav1.NamespaceSystem).Create(ctx, service, metav1.CreateOptions{})
	if err != nil && !errors.IsAlreadyExists(err) {
		return fmt.Errorf("create the Service %s: %w", name, err)
	}
	slice := &discovery.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discovery.LabelServiceName: name}},
		AddressType: discovery.AddressTypeIPv4,
		Ports:       endpointPorts(servicePorts),
		Endpoints:   []discovery.Endpoint{{Addresses: []string{layout.ControlPlaneAddress.String()}}},
	}
	_, err = c.kubernetes.DiscoveryV1().EndpointSlices(metav1.NamespaceSystem).Create(ctx, slice, metav1.CreateOptions{})
	if err != nil && !errors.IsAlreadyExists(err) {
		return fmt.Errorf("create the endpoint of the Service %s: %w", name, err)
	}
	return nil
}

// endpointPorts returns where the server behind a Service's ports listens: at their targets, else at the same ports.
func endpointPorts(servicePorts []core.ServicePort) []discovery.EndpointPort {
	var ports []discovery.EndpointPort
	for _, port := range servicePorts {
		number := port.Port
		if target := port.TargetPort.IntVal; target != 0 {
			number = target
		}
		ports = append(ports, discovery.EndpointPort{Name: &port.Name, Port: &number, Protocol: &port.Protocol})
	}
	return ports
}
