// Package component starts, records and signals the processes that make up a cluster.
package component

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/proc"
)

// Component is one server of the cluster: its name, its namespaces and its command.
type Component struct {
	// Name is its name, such as apiserver or kubelet-2.
	Name string `json:"name"`
	// Node is the node that it runs on, or 0 for the control plane.
	Node layout.Node `json:"node,omitempty"`
	// Arguments are the program and its arguments.
	Arguments []string `json:"arguments"`
}

// networkFile returns the file of the network namespace that the component runs in.
func (c Component) networkFile() string {
	if c.Node == 0 {
		return layout.NetworkNamespaceFile(layout.ControlPlane)
	}
	return layout.NetworkNamespaceFile(c.Node.Name())
}

// mountFile returns the file of the mount namespace that the component runs in, "" for the machine's own.
func (c Component) mountFile() string {
	if c.Node == 0 {
		return ""
	}
	return layout.MountNamespaceFile(c.Node)
}

// record is the record of a component's process, written when it starts.
type record struct {
	Component
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"startTicks"`
}

// recordFile returns the path of a component's record.
func recordFile(l layout.Layout, name string) string { return l.State("components", name+".json") }

// save writes the record whole or not at all, since `status` may read it at any time.
func (r record) save(l layout.Layout) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the record of %s: %w", r.Name, err)
	}
	path := recordFile(l, r.Name)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the record of %s: %w", r.Name, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the record of %s: %w", r.Name, err)
	}
	return nil
}

// load reads a component's record; one that never started is an error that lists those that did.
func load(l layout.Layout, name string) (record, error) {
	var r record
	text, err := os.ReadFile(recordFile(l, name))
	if errors.Is(err, os.ErrNotExist) {
		return r, fmt.Errorf("no component is called %q: choose one of %s", name, strings.Join(Names(l), ", "))
	}
	if err != nil {
		return r, fmt.Errorf("read the record of %s: %w", name, err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read the record of %s (`cluster down` and `up` make a new one): %w", name, err)
	}
	return r, nil
}

// process returns the component's process, and whether it runs. A later process with the same PID does not count.
func (r record) process() (proc.Process, bool) {
	process, running := proc.Read(r.PID)
	return process, running && process.StartTicks == r.StartTicks
}

// Names returns the names of all components that were started, in alphabetical order.
func Names(l layout.Layout) []string {
	files, _ := filepath.Glob(recordFile(l, "*"))
	names := make([]string, 0, len(files))
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	sort.Strings(names)
	return names
}
