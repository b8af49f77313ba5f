// Package binaries builds every program of a cluster from published Go modules. It installs nothing on the machine.
package binaries

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// builder carries what every step needs.
type builder struct {
	ctx     context.Context
	layout  layout.Layout
	sources fs.FS
	out     io.Writer
}

// Stale returns how many steps would have something to build, with or without that of metrics-server.
func Stale(l layout.Layout, sources fs.FS, metrics bool) (int, error) {
	count := 0
	for _, s := range steps(l, metrics) {
		print, err := fingerprint(l, sources, s)
		if err != nil {
			return 0, err
		}
		if !fresh(l, s, print) {
			count++
		}
	}
	return count, nil
}

// Build builds what is missing or older than its sources, and reports progress on out. When all is fresh it runs no command.
func Build(ctx context.Context, l layout.Layout, sources fs.FS, metrics bool, out io.Writer) error {
	stale, err := Stale(l, sources, metrics)
	if err != nil || stale == 0 {
		return err
	}
	fmt.Fprintf(out, "Building Kubernetes %s and what its nodes need from source. On two cores this takes about 20 minutes the first time,\n"+
		"2 minutes when Go has compiled it before, and nothing once it is built.\n", l.Kubernetes)
	if err := os.MkdirAll(l.Bin(""), 0o755); err != nil {
		return fmt.Errorf("make the folder of binaries: %w", err)
	}
	b := &builder{ctx: ctx, layout: l, sources: sources, out: out}
	begun, all := time.Now(), steps(l, metrics)
	for i, s := range all {
		print, err := fingerprint(l, sources, s)
		if err != nil {
			return err
		}
		if fresh(l, s, print) {
			continue
		}
		fmt.Fprintf(out, "[%d/%d] %s\n", i+1, len(all), s.name)
		if err := b.run(s); err != nil {
			return fmt.Errorf("build %s: %w", s.name, err)
		}
		if err := stamp(l, s, print); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "Built in %s: %s\n", time.Since(begun).Round(time.Second), l.Bin(""))
	return nil
}

// run runs the commands of one step.
func (b *builder) run(s step) error {
	if err := os.MkdirAll(s.folder, 0o755); err != nil {
		return fmt.Errorf("make the build folder: %w", err)
	}
	err := copySources(b.sources, s, func(name string, content []byte) error {
		path := filepath.Join(s.folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, content, 0o644)
	})
	if err != nil {
		return err
	}
	if s.module != nil {
		text, err := s.module(b)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(s.folder, "go.mod"), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write go.mod: %w", err)
		}
	}
	for _, c := range s.commands {
		if err := b.runCommand(s, c); err != nil {
			return err
		}
	}
	return nil
}

// runCommand runs one command with its output in a log, and shows every half minute that it goes on.
func (b *builder) runCommand(s step, c command) error {
	path := b.layout.Build(s.outputs[0] + ".log")
	log, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the build log: %w", err)
	}
	defer log.Close()
	meter := startMeter(b.out, log)
	defer meter.stop()
	run := exec.CommandContext(b.ctx, c.arguments[0], c.arguments[1:]...)
	run.Dir, run.Stdout, run.Stderr = s.folder, meter, meter
	run.Env = append(b.environment(), c.environment...)
	if err := run.Run(); err != nil {
		return fmt.Errorf("`%s %s` failed (%w); all of its output is in %s, which ends:\n%s",
			c.arguments[0], c.arguments[1], err, path, meter.lastLines())
	}
	return nil
}

// environment returns the caller's environment without a Go workspace, which would bring the project's own modules in.
func (b *builder) environment() []string { return append(os.Environ(), "GOWORK=off") }
