// Package proc reads /proc. It never signals a process.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Process is one process as /proc shows it. A field that could not be read is empty, since processes end at any time.
type Process struct {
	PID    int
	Parent int
	// State is the kernel's letter: R, S and D run, T is stopped, Z has ended.
	State byte
	// StartTicks distinguishes a process from a later one with the same PID.
	StartTicks uint64
	// NetworkNamespace and MountNamespace are inode numbers.
	NetworkNamespace, MountNamespace uint64
	// Cgroups are the paths of its groups, one for each hierarchy.
	Cgroups []string
	// Environment holds NAME=VALUE strings.
	Environment []string
}

// All returns every process of the machine.
func All() ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []Process
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if process, exists := Read(pid); exists {
			all = append(all, process)
		}
	}
	return all, nil
}

// Read returns one process, and whether it exists and has not ended.
func Read(pid int) (Process, bool) {
	directory := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(directory, "stat"))
	if err != nil {
		return Process{}, false
	}
	process, err := parseStat(string(stat))
	if err != nil || process.State == 'Z' || process.State == 'X' {
		return process, false
	}
	process.NetworkNamespace, _ = Inode(filepath.Join(directory, "ns/net"))
	process.MountNamespace, _ = Inode(filepath.Join(directory, "ns/mnt"))
	cgroups, _ := os.ReadFile(filepath.Join(directory, "cgroup"))
	process.Cgroups = parseCgroups(string(cgroups))
	environment, _ := os.ReadFile(filepath.Join(directory, "environ"))
	for _, variable := range bytes.Split(environment, []byte{0}) {
		process.Environment = append(process.Environment, string(variable))
	}
	return process, true
}

// IsZombie reports whether a process has ended and its parent has not reaped it yet.
func IsZombie(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	process, err := parseStat(string(stat))
	return err == nil && process.State == 'Z'
}

// Inode returns the inode number behind a path; two paths with one number are one namespace.
func Inode(path string) (uint64, error) {
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		return 0, fmt.Errorf("stat %s: %w", path, err)
	}
	return stat.Ino, nil
}

// parseStat reads /proc/PID/stat. The command name may hold spaces and brackets, so fields count from its last bracket.
func parseStat(line string) (Process, error) {
	opening, closing := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if opening < 1 || closing < opening {
		return Process{}, fmt.Errorf("no command name in %q", line)
	}
	fields := strings.Fields(line[closing+1:])
	if len(fields) < 20 {
		return Process{}, fmt.Errorf("too few fields in %q", line)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line[:opening]))
	if err != nil {
		return Process{}, fmt.Errorf("no process number in %q", line)
	}
	parent, _ := strconv.Atoi(fields[1])
	ticks, _ := strconv.ParseUint(fields[19], 10, 64)
	return Process{PID: pid, State: fields[0][0], Parent: parent, StartTicks: ticks}, nil
}

// parseCgroups reads /proc/PID/cgroup, whose lines are HIERARCHY:CONTROLLERS:PATH.
func parseCgroups(text string) []string {
	var paths []string
	for line := range strings.Lines(text) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
			paths = append(paths, parts[2])
		}
	}
	return paths
}
