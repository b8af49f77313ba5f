package gitops

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const project = "../.."

// TestEveryStateIsJudgedAsTheTableSays compares the table of docs/gitops.md with what the programs say of the operator's own states.
func TestEveryStateIsJudgedAsTheTableSays(t *testing.T) {
	told := table(t)
	script := read(t, "config/gitops/argocd-health.lua")
	flux := fluxEvaluator(t)
	for name, object := range states(t) {
		t.Run(name, func(t *testing.T) {
			argo, message := argoHealth(t, script, object.Object)
			if message == "" || strings.Contains(message, "nil") {
				t.Errorf("Argo CD's message is %q", message)
			}
			got := fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", name, condition(object, "Ready"), condition(object, "Degraded"),
				kstatus(t, object), flux(t, object), argo)
			if told[name] != got {
				t.Errorf("docs/gitops.md says\n%s\nand it is\n%s", told[name], got)
			}
			delete(told, name)
		})
	}
	if len(told) > 0 {
		t.Errorf("docs/gitops.md has states that do not exist: %v", slices.Sorted(maps.Keys(told)))
	}
}

// kstatus is what `flux`, `kpt` and others make of any object.
func kstatus(t *testing.T, object *unstructured.Unstructured) status.Status {
	t.Helper()
	result, err := status.Compute(object)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

// fluxEvaluator is what Flux makes of an object by the expressions of config/gitops/flux-kustomization.yaml.
func fluxEvaluator(t *testing.T) func(*testing.T, *unstructured.Unstructured) status.Status {
	t.Helper()
	var kustomization struct {
		Spec struct {
			HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	if err := yaml.UnmarshalStrict([]byte(exprs(t)), &kustomization); err != nil {
		t.Fatal(err)
	}
	reader, err := cel.NewStatusReader(kustomization.Spec.HealthCheckExprs)
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, object *unstructured.Unstructured) status.Status {
		t.Helper()
		result, err := reader(meta.MultiRESTMapper{}).ReadStatusForObject(t.Context(), nil, object)
		if err != nil {
			t.Fatal(err)
		}
		return result.Status
	}
}

// exprs returns the part of the Kustomization that has the expressions.
func exprs(t *testing.T) string {
	t.Helper()
	_, found, ok := strings.Cut(read(t, "config/gitops/flux-kustomization.yaml"), "  healthCheckExprs:")
	if !ok {
		t.Fatal("the Kustomization has no healthCheckExprs")
	}
	return "spec:\n  healthCheckExprs:" + found
}

// condition returns the status and reason of a condition, as True/Ready.
func condition(object *unstructured.Unstructured, name string) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, condition := range conditions {
		if condition, ok := condition.(map[string]any); ok && condition["type"] == name {
			return fmt.Sprintf("%s/%s", condition["status"], condition["reason"])
		}
	}
	return "—"
}

// states returns the EchoClusters that the operator's unit test has written, by the name of their state.
func states(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(project, "operator/tests/golden/status/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no states: %v", err)
	}
	found := map[string]*unstructured.Unstructured{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		json, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(json); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found[strings.TrimSuffix(filepath.Base(file), ".yaml")] = object
	}
	return found
}

// table returns the rows of docs/gitops.md that begin with a state, by that state.
func table(t *testing.T) map[string]string {
	t.Helper()
	_, rows, ok := strings.Cut(read(t, "docs/gitops.md"), "| state |")
	if !ok {
		t.Fatal("docs/gitops.md has no table of states")
	}
	found := map[string]string{}
	for row := range strings.Lines(rows) {
		cells := strings.Split(row, "|")
		if len(cells) == 8 && !strings.Contains(row, "---") && !strings.Contains(row, "kstatus") {
			found[strings.TrimSpace(cells[1])] = strings.TrimSpace(row)
		}
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(project, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
