package binaries

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"golang.org/x/mod/modfile"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// goVersion is the version of Go that the generated modules are written for.
const goVersion = "1.26.0"

// kubernetesModule returns the go.mod by which Kubernetes is compiled as a dependency.
func kubernetesModule(b *builder) (string, error) {
	module := "k8s.io/kubernetes@v" + b.layout.Kubernetes
	download := exec.CommandContext(b.ctx, "go", "mod", "download", "-json", module)
	download.Dir, download.Env = os.TempDir(), b.environment()
	answer, err := download.Output() // its JSON holds the error, too
	var found struct{ GoMod, Error string }
	if decodeErr := json.Unmarshal(answer, &found); decodeErr != nil || found.Error != "" || found.GoMod == "" {
		return "", fmt.Errorf("Kubernetes %s cannot be downloaded: choose a version that is published, such as %s, and let the Go module proxy be reachable: %v: %s",
			b.layout.Kubernetes, layout.DefaultKubernetes, err, found.Error)
	}
	upstream, err := os.ReadFile(found.GoMod)
	if err != nil {
		return "", fmt.Errorf("read the go.mod of %s: %w", module, err)
	}
	return generateKubernetesModule(b.layout, upstream)
}

// generateKubernetesModule writes a go.mod that requires Kubernetes. Kubernetes names the modules that it publishes
// beside itself by the version v0.0.0, which exists nowhere; a module that depends on it must replace those versions.
func generateKubernetesModule(l layout.Layout, upstream []byte) (string, error) {
	theirs, err := modfile.ParseLax("go.mod", upstream, nil)
	if err != nil {
		return "", fmt.Errorf("parse the go.mod of Kubernetes: %w", err)
	}
	var staging []string
	for _, required := range theirs.Require {
		if required.Mod.Version == "v0.0.0" {
			staging = append(staging, required.Mod.Path)
		}
	}
	slices.Sort(staging)
	ours, err := newModule("cluster", "k8s.io/kubernetes", "v"+l.Kubernetes)
	if err != nil {
		return "", err
	}
	for _, module := range staging {
		if err := ours.AddReplace(module, "", module, l.StagingVersion()); err != nil {
			return "", fmt.Errorf("replace %s: %w", module, err)
		}
	}
	return format(ours)
}

// coreDNSModule returns the go.mod of the DNS server.
func coreDNSModule(*builder) (string, error) {
	module, err := newModule("dns", "github.com/coredns/coredns", coreDNSVersion)
	if err != nil {
		return "", err
	}
	return format(module)
}

// newModule begins a go.mod that requires one module.
func newModule(name, required, version string) (*modfile.File, error) {
	module := new(modfile.File)
	if err := module.AddModuleStmt(name); err != nil {
		return nil, fmt.Errorf("name the module %s: %w", name, err)
	}
	if err := module.AddGoStmt(goVersion); err != nil {
		return nil, fmt.Errorf("set the Go version of module %s: %w", name, err)
	}
	if err := module.AddRequire(required, version); err != nil {
		return nil, fmt.Errorf("require %s: %w", required, err)
	}
	return module, nil
}

// format returns the text of a go.mod.
func format(module *modfile.File) (string, error) {
	text, err := module.Format()
	if err != nil {
		return "", fmt.Errorf("format go.mod: %w", err)
	}
	return string(text), nil
}
