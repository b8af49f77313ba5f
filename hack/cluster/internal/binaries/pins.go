package binaries

// Versions of what Kubernetes does not bring itself. Each was chosen because it builds as a plain Go module, without `replace` lines.
const (
	coreDNSVersion    = "v1.14.1"
	containerdVersion = "v2.4.2"
	runcVersion       = "v1.5.2"
	cniPluginsVersion = "v1.9.1"
)
