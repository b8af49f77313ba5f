package namespace

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// kernelTunables are settings of the whole machine that a kubelet writes when they differ, with the values that it requires.
// Each node has its own files in their place, so that the machine keeps its settings.
var kernelTunables = map[string]string{
	"/proc/sys/vm/overcommit_memory":      "1",
	"/proc/sys/vm/panic_on_oom":           "0",
	"/proc/sys/kernel/panic":              "10",
	"/proc/sys/kernel/panic_on_oops":      "1",
	"/proc/sys/kernel/keys/root_maxkeys":  "1000000",
	"/proc/sys/kernel/keys/root_maxbytes": "25000000",
}

// privateDirectories maps the folders that each node has for itself to their sources.
// kubelet, containerd and runc write to fixed places below them, and two nodes must not share these.
func privateDirectories(l layout.Layout, n layout.Node) map[string]string {
	return map[string]string{
		"/run":     layout.Run(n),
		"/var/lib": l.Disk(n, "var/lib"),
		"/var/log": l.Disk(n, "var/log"),
	}
}

// CreateMounts makes a node's mount namespace and keeps it by a file. kubelet and containerd share it,
// so that containers find the volumes that the kubelet mounts, and all of it ends with the node.
func CreateMounts(l layout.Layout, n layout.Node) error {
	if err := writeTunables(l, n); err != nil {
		return err
	}
	return create(layout.MountNamespaceFile(n), mount, func() error { return unshareMounts(l, n) })
}

// unshareMounts gives the calling thread its own view of the file system: the node's.
func unshareMounts(l layout.Layout, n layout.Node) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make all mounts private: %w", err)
	}
	for tunable := range kernelTunables {
		if err := bind(tunableFile(l, n, tunable), tunable); err != nil {
			return err
		}
	}
	project, err := unix.Open(l.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", l.Root, err)
	}
	defer unix.Close(project)
	for directory, own := range privateDirectories(l, n) {
		if err := os.MkdirAll(own, 0o755); err != nil {
			return fmt.Errorf("make the node's own %s: %w", directory, err)
		}
		if err := bind(own, directory); err != nil {
			return err
		}
		if strings.HasPrefix(l.Root, directory+"/") { // a checkout below a hidden folder must still be seen
			if err := os.MkdirAll(l.Root, 0o755); err != nil {
				return fmt.Errorf("make %s visible to the node: %w", l.Root, err)
			}
			if err := bind(fmt.Sprintf("/proc/thread-self/fd/%d", project), l.Root); err != nil {
				return err
			}
		}
	}
	return nil
}

// bind mounts source over target.
func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}

// tunableFile returns the file that a node sees in place of a kernel setting.
func tunableFile(l layout.Layout, n layout.Node, tunable string) string {
	return l.Disk(n, "sysctl", filepath.Base(tunable))
}

// writeTunables writes the node's own copies of the machine's settings.
func writeTunables(l layout.Layout, n layout.Node) error {
	if err := os.MkdirAll(l.Disk(n, "sysctl"), 0o755); err != nil {
		return fmt.Errorf("make a folder for kernel settings: %w", err)
	}
	for tunable, value := range kernelTunables {
		if err := os.WriteFile(tunableFile(l, n, tunable), []byte(value+"\n"), 0o644); err != nil {
			return fmt.Errorf("write the node's own %s: %w", tunable, err)
		}
	}
	return nil
}
