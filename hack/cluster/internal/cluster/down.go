package cluster

import (
	"fmt"
	"io"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/leftovers"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/owner"
)

// Down removes every trace of a cluster from the machine, of this checkout or of another. Binaries stay.
func Down(root string, out io.Writer) error {
	found, err := leftovers.Find(root)
	if err != nil {
		return err
	}
	if found.None() {
		fmt.Fprintln(out, "No cluster is here. Nothing to do.")
		return nil
	}
	if o, known := owner.Read(); known && o.Root != root {
		fmt.Fprintf(out, "The cluster of another checkout is here, of %s.\n", o.Root)
	}
	if err := found.Remove(); err != nil {
		return err
	}
	fmt.Fprintf(out, "Removed %s.\n", found.Summary())
	return nil
}
