package helm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	command = "../../target/helm"
	chart   = "testdata/echo"
	name    = "hello"
)

// release is a namespace for one release of the chart.
type release struct {
	namespace string
	helmHome  string
}

// newRelease creates the namespace, and deletes it when the test has ended. Tests run at the same time.
func newRelease(t *testing.T) release {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("KUBECONFIG is not set: Helm is tested on a cluster that has the operator (make cluster-test)")
	}
	if _, err := os.Stat(command); err != nil {
		t.Fatalf("build helm first, as doc.go shows: %v", err)
	}
	t.Parallel()
	created := release{namespace: fmt.Sprintf("helm-%08x", rand.Uint32()), helmHome: t.TempDir()}
	created.kubectl(t, "create", "namespace", created.namespace)
	t.Cleanup(func() { created.kubectl(t, "delete", "namespace", created.namespace, "--timeout=2m") })
	return created
}

func (r release) install(t *testing.T) {
	t.Helper()
	if output, err := r.helm(t, 3*time.Minute, "install", name, chart, "--wait", "--timeout=3m"); err != nil {
		t.Fatalf("helm install: %v\n%s", err, output)
	}
}

// expect compares the EchoCluster with what must be true as soon as Helm has ended, without waiting for it.
func (r release) expect(t *testing.T, conditions, replicas string) {
	t.Helper()
	const template = `{range .status.conditions[*]}{.type}={.status} {end}` +
		`available={.status.availableReplicas} observed={.status.observedGeneration} generation={.metadata.generation}`
	got := r.kubectl(t, "get", "echocluster", name, "--output=jsonpath="+template)
	generation := r.kubectl(t, "get", "echocluster", name, "--output=jsonpath={.metadata.generation}")
	expected := fmt.Sprintf("%s available=%s observed=%s generation=%s", conditions, replicas, generation, generation)
	if got != expected {
		t.Errorf("Helm has ended, and the EchoCluster has\n%s instead of\n%s", got, expected)
	}
}

// helm runs the command in the release's namespace and returns all that it prints. It is killed after the limit.
func (r release) helm(t *testing.T, limit time.Duration, arguments ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	path, err := filepath.Abs(command)
	if err != nil {
		t.Fatal(err)
	}
	helm := exec.CommandContext(ctx, path, append(arguments, "--namespace="+r.namespace)...)
	helm.Env = append(os.Environ(), "HELM_CACHE_HOME="+r.helmHome, "HELM_CONFIG_HOME="+r.helmHome, "HELM_DATA_HOME="+r.helmHome)
	output, err := helm.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("helm %s has not ended within %s\n%s\n%s", strings.Join(arguments, " "), limit, output,
			r.kubectl(t, "get", "echoclusters", "--output=yaml"))
	}
	return string(output), err
}

// kubectl runs kubectl in the release's namespace and returns what it prints. It also runs after the test has ended.
func (r release) kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	output, err := exec.CommandContext(ctx, "kubectl", append(arguments, "--namespace="+r.namespace)...).Output()
	if err != nil {
		var printed []byte
		if exit, ok := err.(*exec.ExitError); ok {
			printed = exit.Stderr
		}
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, printed)
	}
	return strings.TrimSpace(string(output))
}
