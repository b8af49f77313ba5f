package api

import (
	"testing"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestAnEndpointListensAtItsServicesTargetElseAtTheSamePort(t *testing.T) {
	ports := endpointPorts([]core.ServicePort{
		{Name: "dns", Port: 53, Protocol: core.ProtocolUDP},
		{Name: "https", Port: 443, TargetPort: intstr.FromInt32(4443), Protocol: core.ProtocolTCP},
	})
	if len(ports) != 2 || *ports[0].Port != 53 || *ports[1].Port != 4443 {
		t.Fatalf("got %v", ports)
	}
	if *ports[0].Name != "dns" || *ports[0].Protocol != core.ProtocolUDP || *ports[1].Name != "https" {
		t.Errorf("got %v", ports)
	}
}
