package cluster

import (
	"fmt"
	"slices"
	"time"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/api"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/component"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// keep keeps a running cluster, and adds metrics that it lacks.
func (s *starter) keep(metrics bool) error {
	fmt.Fprintf(s.out, "Already up: Kubernetes %s, %s.", s.layout.Kubernetes, layout.NodeCount(len(s.nodes)))
	if !metrics || hasMetrics(s.layout) {
		fmt.Fprintln(s.out, " Nothing to do.")
		return nil
	}
	fmt.Fprintln(s.out, " Adding metrics.")
	return s.addMetrics()
}

// addMetrics starts metrics-server. It is registered first, so that one that runs is registered for certain.
func (s *starter) addMetrics() error {
	client, err := api.New(s.layout)
	if err != nil {
		return err
	}
	if err := client.RegisterMetrics(s.ctx, s.layout); err != nil {
		return err
	}
	if err := s.launch(component.MetricsServer(s.layout)); err != nil {
		return err
	}
	if err := until(s.ctx, "metrics are served", client.MetricsReady); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Metrics served after %.1f s.\n", time.Since(s.begun).Seconds())
	return nil
}

// hasMetrics reports whether metrics were requested when the cluster was started, or later.
func hasMetrics(l layout.Layout) bool {
	return slices.Contains(component.Names(l), component.MetricsServer(l).Name)
}
