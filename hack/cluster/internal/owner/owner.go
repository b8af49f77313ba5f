// Package owner records which cluster runs on this machine, so that any checkout can find and remove it.
package owner

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// Owner is the cluster that runs on this machine, or ran when its processes were killed.
type Owner struct {
	// Root is the folder below which the checkout keeps its clusters.
	Root string `json:"root"`
	// Kubernetes is the version, such as 1.37.2.
	Kubernetes string `json:"kubernetes"`
	// Nodes is the number of nodes.
	Nodes int `json:"nodes"`
	// Controllers are those that had to be switched on at the root of cgroup v2; `down` switches them off.
	Controllers []string `json:"controllers,omitempty"`
}

// Layout returns the files of the recorded cluster.
func (o Owner) Layout() layout.Layout { return layout.Layout{Root: o.Root, Kubernetes: o.Kubernetes} }

// Read returns the record, and whether there is one that can be read.
func Read() (Owner, bool) {
	var o Owner
	text, err := os.ReadFile(layout.OwnerFile)
	if err != nil || json.Unmarshal(text, &o) != nil || o.Root == "" || o.Kubernetes == "" {
		return Owner{}, false
	}
	return o, true
}

// Write records the cluster before anything of it exists.
func (o Owner) Write() error {
	text, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the record of the cluster: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(layout.OwnerFile), 0o755); err != nil {
		return fmt.Errorf("make the folder of the record: %w", err)
	}
	if err := os.WriteFile(layout.OwnerFile, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the record of the cluster: %w", err)
	}
	return nil
}

// Lock lets one command at a time change the machine. The lock is held by the kernel without a file,
// and the end of the process releases it however it ends.
func Lock(waiting func()) (net.Listener, error) {
	for told := false; ; time.Sleep(100 * time.Millisecond) {
		lock, err := net.Listen("unix", "@echo-cluster")
		if err == nil {
			return lock, nil
		}
		var failed *os.SyscallError
		if !errors.As(err, &failed) || failed.Syscall != "bind" {
			return nil, fmt.Errorf("take the lock: %w", err)
		}
		if !told {
			waiting()
			told = true
		}
	}
}
