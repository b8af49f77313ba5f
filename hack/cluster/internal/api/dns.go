package api

import (
	"context"
	"fmt"
	"net/http"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// dnsName is the name that Kubernetes' own tools expect of the DNS Service.
const dnsName = "kube-dns"

// CreateDNSService gives the DNS server, which runs beside the nodes, the Service address that every pod asks.
func (c Client) CreateDNSService(ctx context.Context) error {
	servicePorts := []core.ServicePort{
		{Name: "dns", Port: 53, Protocol: core.ProtocolUDP},
		{Name: "dns-tcp", Port: 53, Protocol: core.ProtocolTCP},
	}
	service := &core.Service{
		ObjectMeta: metav1.ObjectMeta{Name: dnsName},
		Spec:       core.ServiceSpec{ClusterIP: layout.DNSServiceIP.String(), Ports: servicePorts},
	}
	if _, err := c.kubernetes.CoreV1().Services(metav1.NamespaceSystem).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create the DNS Service: %w", err)
	}
	var ports []discovery.EndpointPort
	for _, port := range servicePorts {
		ports = append(ports, discovery.EndpointPort{Name: &port.Name, Port: &port.Port, Protocol: &port.Protocol})
	}
	slice := &discovery.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: dnsName, Labels: map[string]string{discovery.LabelServiceName: dnsName}},
		AddressType: discovery.AddressTypeIPv4,
		Ports:       ports,
		Endpoints:   []discovery.Endpoint{{Addresses: []string{layout.ControlPlaneAddress.String()}}},
	}
	_, err := c.kubernetes.DiscoveryV1().EndpointSlices(metav1.NamespaceSystem).Create(ctx, slice, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create the endpoint of the DNS Service: %w", err)
	}
	return nil
}

// DNSReady returns why the DNS server does not answer yet, or nil.
func DNSReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, layout.DNSReadyURL, nil)
	if err != nil {
		return fmt.Errorf("ask the DNS server: %w", err)
	}
	direct := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy of the caller's environment
	response, err := direct.Do(request)
	if err != nil {
		return fmt.Errorf("DNS server: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("DNS server: %s", response.Status)
	}
	return nil
}
