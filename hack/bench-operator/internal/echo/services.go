package echo

import (
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// Service is the stable address of the echo servers.
func Service(c *EchoCluster) *core.Service {
	return &core.Service{
		ObjectMeta: metadata(c, c.Name),
		Spec: core.ServiceSpec{
			Type: core.ServiceTypeClusterIP, Selector: Labels(c.Name), Ports: servicePorts(c),
			IPFamilyPolicy: ptr.To(core.IPFamilyPolicySingleStack),
		},
	}
}

// HeadlessService gives each pod an address.
func HeadlessService(c *EchoCluster) *core.Service {
	return &core.Service{
		ObjectMeta: metadata(c, HeadlessName(c.Name)),
		Spec: core.ServiceSpec{
			Type: core.ServiceTypeClusterIP, ClusterIP: core.ClusterIPNone, Selector: Labels(c.Name), Ports: servicePorts(c),
		},
	}
}

func servicePorts(c *EchoCluster) []core.ServicePort {
	ports := make([]core.ServicePort, 0, len(c.Spec.Listeners))
	for _, listener := range c.Spec.Listeners {
		ports = append(ports, core.ServicePort{
			Name: listener.Name, Port: listener.Port, Protocol: core.ProtocolTCP,
			TargetPort: intstr.FromString(listener.Name), AppProtocol: ptr.To("tcp"),
		})
	}
	return ports
}
