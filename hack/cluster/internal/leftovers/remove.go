package leftovers

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/cgroup"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/owner"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/proc"
)

const (
	// killTime is how long the kernel gets to end killed processes.
	killTime = 10 * time.Second
	// reapTime is how long the first process gets to reap them.
	reapTime = 3 * time.Second
)

// Remove removes everything that was found: processes first, since they hold the rest.
func (f Leftovers) Remove() error {
	if err := Kill(FindProcesses); err != nil {
		return err
	}
	for _, point := range slices.Concat(f.Namespaces, f.Mounts) {
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	for _, name := range f.Links {
		if err := deleteLink(name); err != nil {
			return err
		}
	}
	if err := removeCgroups(); err != nil {
		return err
	}
	return removeFolders(f.Folders)
}

// Kill kills processes until none is found any more, because a process may have started another meanwhile,
// and until the machine's first process has reaped them.
func Kill(find func() ([]proc.Process, error)) error {
	killed := map[int]bool{}
	for deadline := time.Now().Add(killTime); ; time.Sleep(10 * time.Millisecond) {
		processes, err := find()
		if err != nil {
			return err
		}
		if len(processes) == 0 {
			awaitReaping(killed)
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d does not end although it was killed: see `ps -o stat,wchan,cmd %[1]d`", processes[0].PID)
		}
		for _, process := range processes {
			_ = syscall.Kill(process.PID, syscall.SIGKILL)
			killed[process.PID] = true
		}
	}
}

// awaitReaping waits until ended processes have left the process table. A first process that never reaps is no failure.
func awaitReaping(ended map[int]bool) {
	for deadline := time.Now().Add(reapTime); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		maps.DeleteFunc(ended, func(pid int, _ bool) bool { return !proc.IsZombie(pid) })
		if len(ended) == 0 {
			return
		}
	}
}

// Summary describes what was found.
func (f Leftovers) Summary() string {
	var parts []string
	add := func(count int, one, many string) {
		if count == 1 {
			parts = append(parts, "1 "+one)
		} else if count > 1 {
			parts = append(parts, fmt.Sprintf("%d %s", count, many))
		}
	}
	add(len(f.Processes), "process", "processes")
	add(len(f.Namespaces), "namespace", "namespaces")
	add(len(f.Mounts), "mount", "mounts")
	add(len(f.Links), "link", "links")
	add(len(f.Cgroups), "cgroup", "cgroups")
	add(len(f.Folders), "folder", "folders")
	return strings.Join(parts, ", ")
}

// deleteLink deletes a link of the host and the routes through it.
func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil // it went with its namespace
	}
	if err := netlink.LinkDel(link); err != nil {
		if _, err := netlink.LinkByName(name); err != nil {
			return nil
		}
		return fmt.Errorf("delete link %s: %w", name, err)
	}
	return nil
}

// removeCgroups removes the groups, and disables the controllers that were enabled in cgroup v2.
func removeCgroups() error {
	hierarchies, err := cgroup.Find()
	if err != nil {
		return err
	}
	if err := hierarchies.Remove(layout.Cgroup); err != nil {
		return err
	}
	if o, known := owner.Read(); known {
		return hierarchies.DisableUnified(o.Controllers)
	}
	return nil
}

// removeFolders removes state, after making sure that nothing is mounted below it that would be removed with it.
func removeFolders(folders []string) error {
	mounts, err := proc.Mounts()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if still := ownMounts(mounts, []string{folder}); len(still) > 0 {
			return fmt.Errorf("%s is still mounted: unmount it, then try again", still[0].Point)
		}
		if err := os.RemoveAll(filepath.Clean(folder)); err != nil {
			return fmt.Errorf("remove %s: %w", folder, err)
		}
	}
	return nil
}
