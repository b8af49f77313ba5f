package binaries

import (
	"fmt"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// Versions of what Kubernetes does not bring itself. Each was chosen because it builds as a plain Go module, without `replace` lines.
const (
	coreDNSVersion    = "v1.14.1"
	containerdVersion = "v2.4.2"
	runcVersion       = "v1.5.2"
	cniPluginsVersion = "v1.9.1"
	// metricsServerVersion is built on demand only.
	metricsServerVersion = "v0.9.0"
	// oldestMeasuredMinor is the oldest Kubernetes 1.x that this metrics-server supports, by the table in its README.
	oldestMeasuredMinor = 34
)

// MetricsSupported returns why no metrics-server runs beside a Kubernetes, or nil.
func MetricsSupported(l layout.Layout) error {
	if l.Minor() < oldestMeasuredMinor {
		return fmt.Errorf("--metrics asks for metrics-server %s, which needs Kubernetes 1.%d or newer, not %s: choose --kubernetes %s, or leave --metrics out",
			metricsServerVersion, oldestMeasuredMinor, l.Kubernetes, layout.DefaultKubernetes)
	}
	return nil
}
