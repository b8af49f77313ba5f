package namespace

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// The kinds of namespaces that are kept, by their names below /proc/PID/ns.
const (
	network = "net"
	mount   = "mnt"
)

// PrepareFolder makes the folder of the files that keep namespaces; the kernel keeps mount namespaces in a private mount only.
func PrepareFolder() error {
	directory := layout.NamespaceDirectory
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("make the folder of namespaces: %w", err)
	}
	if err := unix.Mount(directory, directory, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s on itself: %w", directory, err)
	}
	if err := unix.Mount("", directory, "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mount %s private: %w", directory, err)
	}
	return nil
}

// CreateNetwork makes a network namespace, configures it from inside, and keeps it by a file.
func CreateNetwork(file string, furnish func() error) error {
	return create(file, network, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare the network: %w", err)
		}
		return furnish()
	})
}

// create runs unshare on a thread that then is in new namespaces, and keeps the one of the given kind by a file.
func create(file, kind string, unshare func() error) error {
	ready, kept := make(chan error, 1), make(chan struct{})
	defer close(kept)
	var threadID int
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		threadID = unix.Gettid()
		ready <- unshare()
		<-kept
	}()
	if err := <-ready; err != nil {
		return fmt.Errorf("make namespace %s: %w", file, err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return fmt.Errorf("make a file for a namespace: %w", err)
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/%s", threadID, kind), file, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("keep namespace %s: %w", file, err)
	}
	return nil
}

// Release releases a namespace, which ends with its last process. It does nothing if the namespace is not kept.
func Release(file string) error {
	err := unix.Unmount(file, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount namespace %s: %w", file, err)
	}
	return nil
}
