// Package namespace makes the namespaces of a cluster and runs code inside them.
package namespace

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Do runs action in the network namespace, and the mount namespace, that the two files keep; "" stays in the machine's own.
//
// The thread that went in ends with the action, because a thread cannot leave for certain what it has unshared.
func Do(networkFile, mountFile string, action func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		result <- enterAnd(networkFile, mountFile, action)
	}()
	return <-result
}

// enterAnd moves the calling thread into the namespaces and runs action there.
func enterAnd(networkFile, mountFile string, action func() error) error {
	if networkFile != "" {
		if err := enter(networkFile, unix.CLONE_NEWNET); err != nil {
			return err
		}
	}
	if mountFile != "" {
		if err := unix.Unshare(unix.CLONE_FS); err != nil { // the kernel's condition for changing one thread's mounts
			return fmt.Errorf("unshare the thread's working directory: %w", err)
		}
		if err := enter(mountFile, unix.CLONE_NEWNS); err != nil {
			return err
		}
	}
	return action()
}

// enter moves the calling thread into the namespace that a file keeps.
func enter(path string, kind int) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open namespace (is the cluster up?): %w", err)
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), kind); err != nil {
		return fmt.Errorf("enter namespace %s: %w", path, err)
	}
	return nil
}
