package driver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Client is a program that manages the children of EchoClusters.
type Client struct {
	// Name is one of measure.Clients.
	Name string
	// Command returns its command line, given the address of its metrics.
	Command func(address string) []string
}

// process is a running client.
type process struct {
	command *exec.Cmd
	address string
	ended   chan struct{}
	cause   error // of the end
}

// start starts a client, whose log is appended to a file.
func start(client Client, kubeconfig, log string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	output, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", client.Name, err)
	}
	defer output.Close()
	arguments := client.Command(address)
	command := exec.Command(arguments[0], arguments[1:]...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", client.Name, err)
	}
	p := &process{command: command, address: address, ended: make(chan struct{})}
	go func() {
		p.cause = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// freeAddress finds a port of the loopback interface that is not in use.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// stop terminates the process, by SIGKILL after 30 s. It does nothing if the process has ended.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

// hasEnded returns why the process has ended, or nil.
func (p *process) hasEnded() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended by itself (%v); see its log", p.command.Path, p.cause)
	default:
		return nil
	}
}

// reconciles returns how many reconciles the client has completed: none while it does not serve its metrics.
func (p *process) reconciles(ctx context.Context) (int, error) {
	if err := p.hasEnded(); err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("request the metrics: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, fmt.Errorf("read the metrics: %w", err)
	}
	return countReconciles(text), nil
}

// countReconciles adds up the counters `..._reconcile_total`, which all clients have, whatever their labels are.
func countReconciles(metrics []byte) int {
	sum := 0.0
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		bare, _, hasLabels := strings.Cut(name, "{")
		if !strings.HasSuffix(bare, "_reconcile_total") {
			continue
		}
		if hasLabels { // a label may hold a space
			_, rest, _ = strings.Cut(lines.Text(), "} ")
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
		if err == nil {
			sum += value
		}
	}
	return int(sum)
}
