// Package config writes the components' configuration files, from Kubernetes' own types where it has them.
package config

import (
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// WriteControlPlane writes what the control plane's components read.
func WriteControlPlane(l layout.Layout) error {
	if err := write(l.Config("audit.yaml"), auditPolicy()); err != nil {
		return err
	}
	if err := createAuditLog(l); err != nil {
		return err
	}
	return writeText(l.Config("Corefile"), corefile(l))
}

// WriteNode writes what the components of one node read.
func WriteNode(l layout.Layout, n layout.Node) error {
	if err := write(l.Config("kubelet-"+n.Name()+".yaml"), kubelet(l, n)); err != nil {
		return err
	}
	if err := write(l.Config("proxy-"+n.Name()+".yaml"), proxy(l, n)); err != nil {
		return err
	}
	if err := write(filepath.Join(cniDirectory(l, n), "10-echo-cluster.conflist"), podNetwork(n)); err != nil {
		return err
	}
	if err := writeText(registryFile(l), registryHost()); err != nil {
		return err
	}
	if err := writeText(resolverFile(l), fmt.Sprintf("nameserver %s\n", layout.DNSServiceIP)); err != nil {
		return err
	}
	return writeText(l.Config("containerd-"+n.Name()+".toml"), containerd(l, n))
}

// resolverFile returns the resolver settings for pods that take their node's: the cluster's DNS, as no other is reachable.
func resolverFile(l layout.Layout) string { return l.Config("resolv.conf") }

// write writes an object as YAML, or as JSON, which YAML includes.
func write(path string, object any) error {
	text, err := yaml.Marshal(object)
	if err == nil && filepath.Ext(path) != ".yaml" {
		text, err = yaml.YAMLToJSON(text)
	}
	if err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	return writeText(path, string(text))
}

// writeText writes a file and the folders above it.
func writeText(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make a folder for configuration: %w", err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}
