// Command cluster builds and runs a real Kubernetes on one Linux machine, without Docker and with an image registry of its own.
//
// internal/cluster/up.go has the order in which everything starts.
package main

import (
	"embed"
	"os"
	"runtime"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/cli"
)

// sources are the programs of a node, embedded so that their hash decides what must be built again.
//
//go:embed all:_binaries
var sources embed.FS

// init keeps the process's first thread for main, so that no goroutine ever takes it into another namespace:
// /proc/self shows that thread's namespaces.
func init() {
	runtime.LockOSThread()
}

// main runs the command line; every other function returns its errors.
func main() {
	os.Exit(cli.Run(sources))
}
