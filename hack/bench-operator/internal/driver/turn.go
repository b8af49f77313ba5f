package driver

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

const (
	// quiet is how long nothing may happen after a scenario. The operator defers a status by 2 s at most.
	quiet = 4 * time.Second
	// quietTimeout is the timeout of that wait. A client that keeps sending requests is measured all the same.
	quietTimeout = 2 * time.Minute
	// width is the number of the driver's concurrent requests.
	width = 16
)

// turn is one client in one round, in a namespace of its own.
type turn struct {
	*Driver
	client     Client
	namespace  string
	kubeconfig string
	audit      *auditLog
	observer   *observer
	process    *process
}

// turn runs the scenarios with a client, and then deletes its objects.
func (d *Driver) turn(ctx context.Context, client Client, namespace string, scenarios []scenario) (measure.Turn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the watches
	t, err := d.begin(ctx, client, namespace)
	if err != nil {
		return nil, err
	}
	defer func() { t.process.stop() }()
	results := measure.Turn{}
	for _, scenario := range scenarios {
		before, err := readMachine()
		if err != nil {
			return nil, err
		}
		result, err := scenario.run(t, ctx)
		if err == nil {
			err = t.process.hasEnded()
		}
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", client.Name, scenario.name, err)
		}
		after, err := readMachine()
		if err != nil {
			return nil, err
		}
		result.Others = before.others(after, result.CPU)
		d.logf("%s: %s", client.Name, summary(scenario.name, result))
		results[scenario.name] = result
	}
	t.process.stop()
	return results, d.clean(ctx, t.namespace)
}

// begin starts a client with an empty namespace.
func (d *Driver) begin(ctx context.Context, client Client, namespace string) (*turn, error) {
	t := &turn{Driver: d, client: client, namespace: namespace, kubeconfig: filepath.Join(d.Options.Work, client.Name+".kubeconfig")}
	if err := d.cluster.deleteNamespace(ctx, namespace); err != nil { // of an interrupted run
		return nil, err
	}
	if err := d.cluster.createNamespace(ctx, namespace); err != nil {
		return nil, err
	}
	if err := d.cluster.writeKubeconfig(ctx, client.Name, t.kubeconfig); err != nil {
		return nil, err
	}
	var err error
	if t.observer, err = d.cluster.observe(ctx, namespace); err != nil {
		return nil, err
	}
	if t.audit, err = openAuditLog(d.Options.AuditLog, userName(client.Name)); err != nil {
		return nil, err
	}
	if err := t.start(); err != nil {
		return nil, err
	}
	if _, err := t.untilQuiet(ctx); err != nil {
		t.process.stop()
		return nil, err
	}
	return t, nil
}

// start starts the client.
func (t *turn) start() error {
	p, err := start(t.client, t.kubeconfig, filepath.Join(t.Options.Work, t.client.Name+".log"))
	if err == nil {
		t.process = p
	}
	return err
}

// clean deletes a namespace with its objects, and waits for Kubernetes' own controllers.
func (d *Driver) clean(ctx context.Context, namespace string) error {
	if err := d.cluster.deleteNamespace(ctx, namespace); err != nil {
		return err
	}
	return sleep(ctx, 2*quiet)
}

// untilQuiet waits until the client sends no request and no child changes, and returns the requests until then.
func (t *turn) untilQuiet(ctx context.Context) (measure.Requests, error) {
	all := measure.Requests{}
	begun := time.Now()
	for latest := begun; time.Since(latest) < quiet; {
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return nil, err
		}
		requests, err := t.audit.next()
		if err != nil {
			return nil, err
		}
		all.Add(requests)
		if requests.Total() > 0 {
			latest = time.Now()
		}
		if event := t.observer.quietSince(); event.After(latest) {
			latest = event
		}
		if time.Since(begun) > quietTimeout {
			t.logf("%s still sends requests", t.client.Name)
			break
		}
	}
	return all, nil
}

// measured runs a part of a scenario, and adds what it has cost until no more requests are sent.
func (t *turn) measured(ctx context.Context, part func() (measure.Result, error)) (measure.Result, error) {
	if _, err := t.audit.next(); err != nil {
		return measure.Result{}, err
	}
	before, err := t.process.usage()
	if err != nil {
		return measure.Result{}, err
	}
	result, err := part()
	if err != nil {
		return result, err
	}
	if result.Requests, err = t.untilQuiet(ctx); err != nil {
		return result, err
	}
	after, err := t.process.usage()
	result.CPU, result.RSS, result.Peak = after.cpu-before.cpu, after.rss, after.peak
	return result, err
}

// summary describes the result of a scenario in one line, to show progress.
func summary(scenario string, r measure.Result) string {
	return fmt.Sprintf("%-24s p50 %6.1f ms, p99 %7.1f ms, %6.2f s in all, %6d requests, %6.2f s of processor time, %5.1f MB, others %2.0f %%", scenario,
		r.Quantile(0.5).Seconds()*1000, r.Quantile(0.99).Seconds()*1000, r.Total.Seconds(), r.Requests.Total(), r.CPU.Seconds(), float64(r.RSS)/1e6, r.Others*100)
}
