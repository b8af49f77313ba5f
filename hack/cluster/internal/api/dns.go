package api

import (
	"context"

	core "k8s.io/api/core/v1"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// dnsName is the name that Kubernetes' own tools expect of the DNS Service.
const dnsName = "kube-dns"

// CreateDNSService gives the DNS server the Service address that every pod uses.
func (c Client) CreateDNSService(ctx context.Context) error {
	return c.createService(ctx, dnsName, layout.DNSServiceIP.String(),
		core.ServicePort{Name: "dns", Port: 53, Protocol: core.ProtocolUDP},
		core.ServicePort{Name: "dns-tcp", Port: 53, Protocol: core.ProtocolTCP})
}
