package checks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// tool is something that must be installed, and the Debian package that brings it.
type tool struct {
	name, debianPackage string
	// present reports whether it is installed.
	present func() bool
}

// runTools are what a running cluster calls.
var runTools = []tool{
	program("nft", "nftables"), // kube-proxy
	program("mount", "mount"),  // kubelet, for volumes
}

// buildTools are what the binaries are built with; Go is the one that Debian's own packages are too old for.
var buildTools = []tool{
	program("go", ""),
	program("gcc", "gcc"),
	program("pkg-config", "pkg-config"),
	{name: "the static C library", debianPackage: "libc6-dev", present: staticC},
	{name: "libseccomp's headers", debianPackage: "libseccomp-dev", present: seccompHeaders},
}

// program is a tool that is found on PATH.
func program(name, debianPackage string) tool {
	return tool{name: name, debianPackage: debianPackage, present: func() bool {
		_, err := exec.LookPath(name)
		return err == nil
	}}
}

// staticC reports whether programs can be linked without shared libraries.
func staticC() bool {
	path, err := exec.Command("gcc", "-print-file-name=libc.a").Output()
	return err == nil && filepath.IsAbs(strings.TrimSpace(string(path)))
}

// seccompHeaders reports whether runc can be compiled with system call filters.
func seccompHeaders() bool {
	if exec.Command("pkg-config", "--exists", "libseccomp").Run() == nil {
		return true
	}
	_, err := os.Stat("/usr/include/seccomp.h")
	return err == nil
}

// missing returns the tools that are not installed.
func missing(tools []tool) []tool {
	return slices.DeleteFunc(slices.Clone(tools), func(t tool) bool { return t.present() })
}

// Packages returns the Debian packages of all missing tools.
func Packages() []string {
	return packages(append(missing(runTools), missing(buildTools)...))
}

// packages returns the Debian packages of tools, each once.
func packages(tools []tool) []string {
	var names []string
	for _, t := range tools {
		if t.debianPackage != "" {
			names = append(names, t.debianPackage)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// InstallCommand returns the command that installs packages.
func InstallCommand(packages []string) []string {
	return append([]string{"apt-get", "install", "-y", "--no-install-recommends"}, packages...)
}

// missingError names missing tools and the command that installs them, or is nil for none.
func missingError(tools []tool) error {
	if len(tools) == 0 {
		return nil
	}
	var names, remedies []string
	for _, t := range tools {
		names = append(names, t.name)
		if t.name == "go" {
			remedies = append(remedies, "install Go 1.26 or newer and put its bin folder on PATH")
		}
	}
	if debian := packages(tools); len(debian) > 0 {
		remedies = append(remedies, fmt.Sprintf("run `%s`, or `cluster setup`, which does", strings.Join(InstallCommand(debian), " ")))
	}
	return fmt.Errorf("missing: %s; %s", strings.Join(names, ", "), strings.Join(remedies, "; "))
}
