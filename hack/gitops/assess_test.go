package gitops

import (
	"maps"
	"slices"
	"strings"
	"testing"

	helm "github.com/fluxcd/cli-utils-of-helm/pkg/kstatus/status"
	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/statusreaders"
	kstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// assessment is the result of each tool for one EchoCluster.
type assessment struct {
	kstatus, flux kstatus.Status
	helm          helm.Status
	argo, message string
	waited        bool
}

func (a assessment) kubectlWait() string {
	if a.waited {
		return "met"
	}
	return "waits"
}

func assess(t *testing.T, object *unstructured.Unstructured) assessment {
	t.Helper()
	plain, err := kstatus.Compute(object)
	if err != nil {
		t.Fatal(err)
	}
	argo, message := argoHealth(t, read(t, "config/gitops/argocd-health.lua"), object.Object)
	return assessment{
		kstatus: plain.Status, flux: fluxStatus(t, object), helm: helmStatus(t, object),
		argo: argo, message: message, waited: kubectlWaits(object, "Ready", "True"),
	}
}

// fluxStatus is the status that a Kustomization with `wait: true` polls for: github.com/fluxcd/pkg/ssa (manager_wait.go) uses the
// StatusPoller of cli-utils, which has this reader for every kind that is not built into Kubernetes.
func fluxStatus(t *testing.T, object *unstructured.Unstructured) kstatus.Status {
	t.Helper()
	reader := statusreaders.NewGenericStatusReader(meta.MultiRESTMapper{}, kstatus.Compute)
	result, err := reader.ReadStatusForObject(t.Context(), nil, object)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

// helmStatus is the status that `helm install --wait` watches for: helm.sh/helm/v4/pkg/kube (statuswait.go) uses
// statusreaders.NewStatusReader of cli-utils, which comes to this function for every kind that is not built into Kubernetes.
// go.mod holds the version of cli-utils that Helm requires.
func helmStatus(t *testing.T, object *unstructured.Unstructured) helm.Status {
	t.Helper()
	result, err := helm.Compute(object)
	if err != nil {
		t.Fatal(err)
	}
	return result.Status
}

// kubectlWaits reports whether `kubectl wait --for=condition=name=status` ends. It repeats checkCondition of
// k8s.io/kubectl/pkg/cmd/wait/condition.go (v0.37.2), which is not exported: a condition that was observed of an older generation
// does not count, and names and statuses are compared without regard to case.
func kubectlWaits(object *unstructured.Unstructured, name, status string) bool {
	found := conditionOf(object, name)
	if found == nil {
		return false
	}
	observed, known := found.observedGeneration()
	if !known {
		observed, known, _ = unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	}
	if object.GetGeneration() > 0 && known && observed < object.GetGeneration() {
		return false
	}
	return strings.EqualFold(found.field("status"), status)
}

// condition is one entry of status.conditions; nil is one that is absent.
type condition map[string]any

func conditionOf(object *unstructured.Unstructured, name string) condition {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, entry := range conditions {
		if found, ok := entry.(map[string]any); ok && strings.EqualFold(condition(found).field("type"), name) {
			return found
		}
	}
	return nil
}

func (c condition) field(name string) string {
	text, _ := c[name].(string)
	return text
}

func (c condition) isTrue() bool {
	return c.field("status") == "True"
}

func (c condition) observedGeneration() (int64, bool) {
	observed, known := c["observedGeneration"].(int64)
	return observed, known
}

// summary is the status and reason, as True/Ready.
func (c condition) summary() string {
	if c == nil {
		return "—"
	}
	return c.field("status") + "/" + c.field("reason")
}

func sortedNames[V any](objects map[string]V) []string {
	return slices.Sorted(maps.Keys(objects))
}
