package echo

import (
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// Service is the stable address of the echo servers.
func Service(c *EchoCluster) *core.Service {
	return &core.Service{ObjectMeta: metadata(c, c.Name), Spec: serviceSpec(c)}
}

// HeadlessService gives each pod an address.
func HeadlessService(c *EchoCluster) *core.Service {
	headless := &core.Service{ObjectMeta: metadata(c, HeadlessName(c.Name)), Spec: serviceSpec(c)}
	headless.Spec.ClusterIP = core.ClusterIPNone
	return headless
}

// serviceSpec is what both have. The policies are the API server's defaults.
func serviceSpec(c *EchoCluster) core.ServiceSpec {
	return core.ServiceSpec{
		Type: core.ServiceTypeClusterIP, Selector: Labels(c.Name), Ports: servicePorts(c),
		IPFamilyPolicy:        ptr.To(core.IPFamilyPolicySingleStack),
		InternalTrafficPolicy: ptr.To(core.ServiceInternalTrafficPolicyCluster),
		SessionAffinity:       core.ServiceAffinityNone,
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
