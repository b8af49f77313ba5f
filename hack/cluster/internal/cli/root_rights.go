package cli

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/checks"
)

// asRoot makes sure that this process is root's: it replaces one that is not by itself under sudo.
// Users call the program without sudo, so that they own what it builds and Go uses their caches.
func asRoot() error {
	if os.Geteuid() == 0 {
		return nil
	}
	sudo, err := exec.LookPath("sudo")
	if err != nil {
		return checks.Root()
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	fmt.Fprintln(os.Stderr, "Going on as root, by sudo.")
	arguments := append([]string{"sudo", "--preserve-env=KUBERNETES", program}, os.Args[1:]...)
	if err := syscall.Exec(sudo, arguments, os.Environ()); err != nil {
		return fmt.Errorf("run sudo: %w", err)
	}
	return nil
}

// giveToCaller makes the user who called sudo the owner of a file.
func giveToCaller(path string) error {
	user, err := strconv.Atoi(os.Getenv("SUDO_UID"))
	if err != nil {
		return nil // nobody called sudo
	}
	if err := os.Chown(path, user, -1); err != nil {
		return fmt.Errorf("hand over %s: %w", path, err)
	}
	return nil
}
