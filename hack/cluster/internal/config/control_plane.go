package config

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	audit "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// createAuditLog makes the audit log, since the API server's own would be readable by root alone.
func createAuditLog(l layout.Layout) error { return writeText(l.AuditLog(), "") }

// auditPolicy records every request with its user, without bodies.
func auditPolicy() audit.Policy {
	return audit.Policy{
		TypeMeta:   metav1.TypeMeta{APIVersion: audit.SchemeGroupVersion.String(), Kind: "Policy"},
		OmitStages: []audit.Stage{audit.StageRequestReceived},
		Rules:      []audit.PolicyRule{{Level: audit.LevelMetadata}},
	}
}

// corefile is the DNS server's configuration. It serves cluster.local alone, since no other server is reachable.
// Responses are cached for 1 s only, so that the name of a Service resolves as soon as it exists.
func corefile(l layout.Layout) string {
	return fmt.Sprintf(`.:53 {
  errors
  ready %s:8181
  cache 1
  loadbalance
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig %s
    ttl 1
  }
}
`, layout.ControlPlaneAddress, l.Kubeconfig("dns"))
}
