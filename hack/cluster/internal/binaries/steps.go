package binaries

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// step builds one or a few binaries.
type step struct {
	// name is what is built, in words.
	name string
	// outputs are the names of the binaries.
	outputs []string
	// sources are the folders below _binaries that it compiles.
	sources []string
	// commands are run in turn in folder; a nil module writes no go.mod first.
	module   func(*builder) (string, error)
	folder   string
	commands []command
}

// command is one program run of a step.
type command struct {
	arguments   []string
	environment []string
}

// flags are common to all Go builds: no paths of this machine and no debugging tables in the binaries.
var flags = []string{"-v", "-trimpath"}

// steps returns how every binary of a cluster is built, the longest first, and on demand metrics-server.
func steps(l layout.Layout, metrics bool) []step {
	all := clusterSteps(l)
	if metrics {
		all = append(all, step{
			name: "metrics-server " + metricsServerVersion, outputs: []string{"metrics-server"}, folder: l.Build(),
			commands: []command{goInstall(l, "", "sigs.k8s.io/metrics-server/cmd/metrics-server@"+metricsServerVersion)},
		})
	}
	return all
}

// clusterSteps returns how the binaries are built that every cluster needs.
func clusterSteps(l layout.Layout) []step {
	kubernetes := l.Build("kubernetes")
	return []step{
		{
			name: "Kubernetes " + l.Kubernetes + " (API server, controller manager, scheduler, kubelet, kube-proxy) and etcd", outputs: []string{"kube"},
			sources: []string{"kube", "kubectl"}, module: kubernetesModule, folder: kubernetes,
			commands: []command{{arguments: []string{"go", "mod", "tidy"}}, goBuild(l, "kube", kubernetesFlags(l)...)},
		},
		{
			name: "kubectl", outputs: []string{"kubectl"},
			sources: []string{"kube", "kubectl"}, module: kubernetesModule, folder: kubernetes,
			commands: []command{{arguments: []string{"go", "mod", "tidy"}}, goBuild(l, "kubectl", kubernetesFlags(l)...)},
		},
		{
			// In a module of its own: CoreDNS requires newer libraries than an old Kubernetes compiles with.
			name: "CoreDNS " + coreDNSVersion, outputs: []string{"coredns"},
			sources: []string{"coredns"}, module: coreDNSModule, folder: l.Build("dns"),
			commands: []command{{arguments: []string{"go", "mod", "tidy"}}, goBuild(l, "coredns", "-ldflags", "-s -w")},
		},
		{
			name: "containerd " + containerdVersion, outputs: []string{"containerd"}, folder: l.Build(),
			commands: []command{goInstall(l, "no_btrfs no_devmapper no_zfs", "github.com/containerd/containerd/v2/cmd/containerd@"+containerdVersion)},
		},
		{
			name: "containerd's shim and client", outputs: []string{"containerd-shim-runc-v2", "ctr"}, folder: l.Build(),
			commands: []command{goInstall(l, "",
				"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@"+containerdVersion,
				"github.com/containerd/containerd/v2/cmd/ctr@"+containerdVersion)},
		},
		{
			// Without the tag, pods with seccompProfile RuntimeDefault fail, which Pod Security "restricted" requires.
			name: "runc " + runcVersion, outputs: []string{"runc"}, folder: l.Build(),
			commands: []command{goInstall(l, "seccomp", "github.com/opencontainers/runc@"+runcVersion)},
		},
		{
			name: "network plugins " + cniPluginsVersion, outputs: []string{"ptp", "host-local"}, folder: l.Build(),
			commands: []command{goInstall(l, "",
				"github.com/containernetworking/plugins/plugins/main/ptp@"+cniPluginsVersion,
				"github.com/containernetworking/plugins/plugins/ipam/host-local@"+cniPluginsVersion)},
		},
		{
			name: "the pause container's program", outputs: []string{"pause"}, sources: []string{"pause"}, folder: l.Build("c"),
			commands: []command{{arguments: []string{"gcc", "-Os", "-static", "-s", "-o", l.Bin("pause"), "pause/pause.c"}}},
		},
	}
}

// goBuild compiles the package of a name in the step's module.
func goBuild(l layout.Layout, name string, options ...string) command {
	arguments := append([]string{"go", "build", "-o", l.Bin(name)}, flags...)
	return command{arguments: append(append(arguments, options...), "./"+name)}
}

// goInstall compiles published packages with a build tag. runc and kube call C, so cgo must not be switched off.
func goInstall(l layout.Layout, tags string, packages ...string) command {
	arguments := append([]string{"go", "install"}, flags...)
	arguments = append(arguments, "-ldflags", "-s -w", "-tags", tags)
	return command{
		arguments:   append(arguments, packages...),
		environment: []string{"GOBIN=" + filepath.Clean(l.Bin("")), "CGO_ENABLED=1"},
	}
}

// kubernetesFlags sets the version in the binaries, which would otherwise be v0.0.0-master, and selects the build tags for it.
func kubernetesFlags(l layout.Layout) []string {
	linked := "-s -w"
	for _, module := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		linked += fmt.Sprintf(" -X %[1]s.gitVersion=v%[2]s -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=%[3]d", module, l.Kubernetes, l.Minor())
	}
	options := []string{"-ldflags", linked}
	if l.Minor() < 34 {
		options = append(options, "-tags", "before_1_34")
	}
	return options
}

// copySources lays the embedded sources of a step in its folder.
func copySources(sources fs.FS, s step, write func(name string, content []byte) error) error {
	for _, root := range s.sources {
		err := fs.WalkDir(sources, path.Join("_binaries", root), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := fs.ReadFile(sources, name)
			if err != nil {
				return err
			}
			return write(filepath.Join(root, filepath.Base(name)), content)
		})
		if err != nil {
			return fmt.Errorf("copy the sources of %s: %w", s.name, err)
		}
	}
	return nil
}
