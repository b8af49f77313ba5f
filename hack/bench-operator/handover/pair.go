package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	coordination "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// namespace is where the Lease is.
const namespace = "default"

// timeout is how long an operator may take to be ready, and a hand-over to happen.
const timeout = time.Minute

// pair is two operators, of which one leads.
type pair struct {
	client                   kubernetes.Interface
	kubeconfig, program, log string
	started                  int
}

// operator is a running operator.
type operator struct {
	name, admin string
	command     *exec.Cmd
}

// measure ends the leader `trials` times, and returns how long each hand-over took.
func (p *pair) measure(ctx context.Context, scenario scenario, trials int) ([]time.Duration, error) {
	lease := fmt.Sprintf("handover-%d-%d", scenario.signal, scenario.duration)
	operators := map[string]*operator{}
	defer func() {
		for _, operator := range operators {
			operator.end(syscall.SIGKILL)
		}
	}()
	for range 2 {
		if err := p.start(ctx, operators, scenario, lease); err != nil {
			return nil, err
		}
	}
	var times []time.Duration
	for range trials {
		leader, err := p.holder(ctx, lease, func(name string) bool { return operators[name] != nil })
		if err != nil {
			return nil, err
		}
		begun := time.Now()
		operators[leader].end(scenario.signal)
		delete(operators, leader)
		if _, err := p.holder(ctx, lease, func(name string) bool { return operators[name] != nil }); err != nil {
			return nil, err
		}
		times = append(times, time.Since(begun))
		if err := p.start(ctx, operators, scenario, lease); err != nil {
			return nil, err
		}
	}
	return times, nil
}

// start starts an operator, and waits until it is ready.
func (p *pair) start(ctx context.Context, operators map[string]*operator, scenario scenario, lease string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a free port: %w", err)
	}
	admin := listener.Addr().String()
	listener.Close()
	p.started++
	name := fmt.Sprintf("operator-%d", p.started)
	command := exec.Command(p.program, "run", "--admin", admin, "--leader-elect", "--pod-name", name,
		"--leader-elect-resource-namespace", namespace, "--leader-elect-resource-name", lease,
		fmt.Sprintf("--leader-elect-lease-duration-seconds=%d", scenario.duration),
		fmt.Sprintf("--leader-elect-renew-deadline-seconds=%d", scenario.deadline),
		fmt.Sprintf("--leader-elect-retry-period-seconds=%d", scenario.retry))
	output, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer output.Close()
	command.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the operator: %w", err)
	}
	operators[name] = &operator{name, admin, command}
	return operators[name].untilReady(ctx)
}

// untilReady waits until the caches of the operator are filled.
func (o *operator) untilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.admin+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", o.name, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// end sends a signal that ends the operator, and waits for its exit in the background, so that no zombie process is left.
func (o *operator) end(signal syscall.Signal) {
	_ = o.command.Process.Signal(signal)
	go func() { _ = o.command.Wait() }()
}

// holder waits until the Lease has a holder of which `matches` is true, and returns its name.
func (p *pair) holder(ctx context.Context, name string, matches func(string) bool) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	leases := p.client.CoordinationV1().Leases(namespace)
	watch, err := leases.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		return "", fmt.Errorf("watch the Lease: %w", err)
	}
	defer watch.Stop()
	for event := range watch.ResultChan() {
		lease, isLease := event.Object.(*coordination.Lease)
		if !isLease || lease.Spec.HolderIdentity == nil {
			continue
		}
		if holder, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_"); matches(holder) {
			return holder, nil
		}
	}
	return "", fmt.Errorf("the Lease has no such holder: %w", ctx.Err())
}
