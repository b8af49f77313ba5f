package echo

import (
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// NetworkPolicy lets every client in to the listeners and the admin port, and the pods out to DNS and each other.
func NetworkPolicy(c *EchoCluster) *networking.NetworkPolicy {
	listeners := listenerPorts(c)
	admin := policyPort(core.ProtocolTCP, intstr.FromString(adminPortName))
	return &networking.NetworkPolicy{
		ObjectMeta: metadata(c, c.Name),
		Spec: networking.NetworkPolicySpec{
			PodSelector: *Selector(c.Name),
			PolicyTypes: []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress},
			Ingress:     []networking.NetworkPolicyIngressRule{{Ports: append(listenerPorts(c), admin)}},
			Egress: []networking.NetworkPolicyEgressRule{
				{Ports: dnsPorts(53)},
				{Ports: dnsPorts(5353), To: []networking.NetworkPolicyPeer{{NamespaceSelector: openShiftDNS()}}},
				{Ports: listeners, To: []networking.NetworkPolicyPeer{{PodSelector: Selector(c.Name)}}},
			},
		},
	}
}

// PodDisruptionBudget limits evictions; nil where there is at most one pod.
func PodDisruptionBudget(c *EchoCluster) *policy.PodDisruptionBudget {
	if c.Spec.Replicas < 2 || c.Spec.Disruption.Policy != "Limited" {
		return nil
	}
	return &policy.PodDisruptionBudget{
		ObjectMeta: metadata(c, c.Name),
		Spec: policy.PodDisruptionBudgetSpec{
			MaxUnavailable: ptr.To(c.Spec.Disruption.MaxUnavailable), Selector: Selector(c.Name),
			UnhealthyPodEvictionPolicy: ptr.To(policy.AlwaysAllow),
		},
	}
}

func listenerPorts(c *EchoCluster) []networking.NetworkPolicyPort {
	ports := make([]networking.NetworkPolicyPort, 0, len(c.Spec.Listeners)+1)
	for _, listener := range c.Spec.Listeners {
		ports = append(ports, policyPort(core.ProtocolTCP, intstr.FromString(listener.Name)))
	}
	return ports
}

func dnsPorts(number int32) []networking.NetworkPolicyPort {
	port := intstr.FromInt32(number)
	return []networking.NetworkPolicyPort{policyPort(core.ProtocolUDP, port), policyPort(core.ProtocolTCP, port)}
}

func policyPort(protocol core.Protocol, port intstr.IntOrString) networking.NetworkPolicyPort {
	return networking.NetworkPolicyPort{Protocol: &protocol, Port: &port}
}

func openShiftDNS() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{core.LabelMetadataName: "openshift-dns"}}
}
