// Package driver runs clients in turns on a cluster, and measures them from outside: by watches and the audit log of the API server, and by
// /proc.
package driver

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

// Options are the options of a run.
type Options struct {
	Kubeconfig string
	AuditLog   string
	CRD        string
	Work       string // a folder for logs and kubeconfigs
	Clients    []Client
	Count      int // of EchoClusters
	Rounds     int
	Settled    time.Duration
	Out        io.Writer
}

// Driver is a run.
type Driver struct {
	Options Options
	cluster *cluster
	begun   time.Time
}

// Run measures all clients, in turns.
func Run(ctx context.Context, options Options) (measure.Rounds, error) {
	cluster, err := newCluster(options.Kubeconfig)
	if err != nil {
		return nil, err
	}
	d := &Driver{Options: options, cluster: cluster, begun: time.Now()}
	if err := d.cluster.installCRD(ctx, options.CRD); err != nil {
		return nil, err
	}
	if err := d.cluster.prepareIdentities(ctx); err != nil {
		return nil, err
	}
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	if err := d.warmUp(ctx); err != nil {
		return nil, err
	}
	var rounds measure.Rounds
	for round := range options.Rounds {
		turns := map[string]measure.Turn{}
		for _, client := range options.Clients {
			namespace := fmt.Sprintf("bench-%s-%d", client.Name, round+1)
			if turns[client.Name], err = d.turn(ctx, client, namespace, scenarios); err != nil {
				return nil, err
			}
		}
		rounds = append(rounds, turns)
	}
	return rounds, nil
}

// warmUp fills the caches of the API server, so that the first turn is comparable to the later ones.
func (d *Driver) warmUp(ctx context.Context) error {
	smaller := *d
	smaller.Options.Count = min(d.Options.Count, 300)
	for _, client := range d.Options.Clients {
		if client.Name == measure.Floor {
			_, err := smaller.turn(ctx, client, "bench-warm-up", []scenario{scenarios[0], scenarios[len(scenarios)-1]})
			return err
		}
	}
	return nil
}

// logf prints a message with the time.
func (d *Driver) logf(format string, arguments ...any) {
	fmt.Fprintf(d.Options.Out, "%7.1f s  %s\n", time.Since(d.begun).Seconds(), fmt.Sprintf(format, arguments...))
}
