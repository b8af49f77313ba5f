package component

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/namespace"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/proc"
)

// stopTime is how long a component may take to end by itself before it is killed.
const stopTime = 5 * time.Second

// Start starts a component in its namespaces and records it. The returned context ends with the process,
// so that a wait for the component fails at once when it ends.
func Start(l layout.Layout, c Component) (context.Context, error) {
	if err := os.MkdirAll(l.State("components"), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of records: %w", err)
	}
	if err := os.MkdirAll(l.State("log"), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of logs: %w", err)
	}
	log, err := os.OpenFile(l.Log(c.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.Name, err)
	}
	defer log.Close()
	if err := keepInheritedFiles(); err != nil {
		return nil, err
	}
	command := exec.Command(c.Arguments[0], c.Arguments[1:]...)
	command.Dir, command.Stdout, command.Stderr = "/", log, log
	command.Env = environment(l)
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := namespace.Do(c.networkFile(), c.mountFile(), command.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	process, _ := proc.Read(command.Process.Pid)
	r := record{Component: c, PID: command.Process.Pid, StartTicks: process.StartTicks}
	if err := r.save(l); err != nil {
		return nil, err
	}
	ended, end := context.WithCancelCause(context.Background())
	go func() {
		state := command.Wait()
		end(fmt.Errorf("%s has ended (%v); the end of %s:\n%s", c.Name, state, l.Log(c.Name), tail(l.Log(c.Name), 10)))
	}()
	return ended, nil
}

// keepInheritedFiles keeps from components what the caller of this program has left open, which is a lock when it was
// called by `flock`: a component would hold it for as long as the cluster runs.
func keepInheritedFiles() error {
	const first = 3 // after input, output and errors
	if err := unix.CloseRange(first, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("keep the caller's open files from components: %w", err)
	}
	return nil
}

// environment returns what every process of the cluster inherits: no proxy settings, nothing of the caller's.
func environment(l layout.Layout) []string {
	path := []string{filepath.Clean(l.Bin("")), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
	return []string{"PATH=" + strings.Join(path, ":"), "HOME=/root", layout.Marker + "=" + l.State()}
}

// Restart ends a component, by force after a while, and starts it again with the same arguments.
func Restart(l layout.Layout, name string) error {
	r, err := load(l, name)
	if err != nil {
		return err
	}
	if process, running := r.process(); running {
		_ = syscall.Kill(process.PID, syscall.SIGTERM)
		_ = syscall.Kill(process.PID, syscall.SIGCONT) // a paused one must run to end
	}
	for deadline := time.Now().Add(stopTime); ; time.Sleep(20 * time.Millisecond) {
		process, running := r.process()
		if !running {
			break
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(process.PID, syscall.SIGKILL)
		}
	}
	_, err = Start(l, r.Component)
	return err
}

// Signal sends a signal to a component's process.
func Signal(l layout.Layout, name string, signal syscall.Signal) error {
	r, err := load(l, name)
	if err != nil {
		return err
	}
	process, running := r.process()
	if !running {
		return fmt.Errorf("%s is not running: `cluster restart %s` starts it again", name, name)
	}
	if err := syscall.Kill(process.PID, signal); err != nil {
		return fmt.Errorf("send %s to %s: %w", signal, name, err)
	}
	return nil
}

// Condition is what a component's process is doing.
type Condition struct {
	PID     int
	Running bool
	Paused  bool
}

// Look returns what a component's process is doing.
func Look(l layout.Layout, name string) (Condition, error) {
	r, err := load(l, name)
	if err != nil {
		return Condition{}, err
	}
	process, running := r.process()
	return Condition{PID: r.PID, Running: running, Paused: running && process.State == 'T'}, nil
}

// tail returns the last lines of a file.
func tail(path string, count int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

// Answers returns why nothing accepts connections on a socket yet, or nil.
func Answers(socket string) error {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return connection.Close()
}
