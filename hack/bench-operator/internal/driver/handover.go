package driver

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	coordination "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// electionNamespace is where the Leases are.
const electionNamespace = "default"

// handOverLimit is how long an operator may take to be ready, and a hand-over to happen.
const handOverLimit = time.Minute

// Timings are the flags of the leader election, in seconds.
type Timings struct{ Duration, Deadline, Retry int }

// End is how a leader ends, and with which timings it has led.
type End struct {
	Signal  syscall.Signal
	Timings Timings
}

// election is two operators, of which one leads.
type election struct {
	cluster   *cluster
	options   Options
	program   string
	end       End
	lease     string
	operators map[string]*process
	started   int
}

// HandOver ends the leader of two operators options.Count times, and returns how long it took each time until the other one led.
func HandOver(ctx context.Context, options Options, program string, end End) ([]time.Duration, error) {
	cluster, err := newCluster(options.Kubeconfig)
	if err != nil {
		return nil, err
	}
	if err := cluster.installCRD(ctx, options.CRD); err != nil {
		return nil, err
	}
	e := &election{cluster: cluster, options: options, program: program, end: end, operators: map[string]*process{}}
	e.lease = fmt.Sprintf("handover-%d-%d", end.Signal, end.Timings.Duration)
	defer func() {
		for _, operator := range e.operators {
			operator.stop()
		}
	}()
	for range 2 {
		if err := e.start(ctx); err != nil {
			return nil, err
		}
	}
	var times []time.Duration
	for range options.Count {
		took, err := e.handOver(ctx)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	return times, nil
}

// handOver ends the leader, and starts another operator in its place.
func (e *election) handOver(ctx context.Context) (time.Duration, error) {
	leader, err := e.leader(ctx)
	if err != nil {
		return 0, err
	}
	ending := e.operators[leader]
	delete(e.operators, leader)
	begun := time.Now()
	if err := ending.command.Process.Signal(e.end.Signal); err != nil {
		return 0, fmt.Errorf("end %s: %w", leader, err)
	}
	_, err = e.leader(ctx)
	took := time.Since(begun)
	ending.stop()
	if err != nil {
		return 0, err
	}
	return took, e.start(ctx)
}

// start starts an operator, and waits until it is ready.
func (e *election) start(ctx context.Context) error {
	e.started++
	name := fmt.Sprintf("operator-%d", e.started)
	command := func(address string) []string {
		return []string{e.program, "run", "--admin", address, "--leader-elect", "--pod-name", name,
			"--leader-elect-resource-namespace", electionNamespace, "--leader-elect-resource-name", e.lease,
			fmt.Sprintf("--leader-elect-lease-duration-seconds=%d", e.end.Timings.Duration),
			fmt.Sprintf("--leader-elect-renew-deadline-seconds=%d", e.end.Timings.Deadline),
			fmt.Sprintf("--leader-elect-retry-period-seconds=%d", e.end.Timings.Retry)}
	}
	p, err := start(Client{Name: name, Command: command}, e.options.Kubeconfig, filepath.Join(e.options.Work, "handover.log"))
	if err != nil {
		return err
	}
	e.operators[name] = p
	ctx, cancel := context.WithTimeout(ctx, handOverLimit)
	defer cancel()
	return until(ctx, handOverLimit, name+" is ready", func() (bool, error) {
		if err := p.hasEnded(); err != nil {
			return false, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/readyz", nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil // it does not listen yet
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
}

// leader waits until one of the operators holds the Lease, and returns its name.
func (e *election) leader(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, handOverLimit)
	defer cancel()
	leases := e.cluster.CoordinationV1().Leases(electionNamespace)
	watch, err := leases.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + e.lease})
	if err != nil {
		return "", fmt.Errorf("watch the Lease: %w", err)
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		lease, isLease := event.Object.(*coordination.Lease)
		if !isLease || lease.Spec.HolderIdentity == nil {
			continue
		}
		holder, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
		if e.operators[holder] != nil {
			return holder, nil
		}
	}
	return "", fmt.Errorf("no operator holds the Lease %s: %w", e.lease, ctx.Err())
}
