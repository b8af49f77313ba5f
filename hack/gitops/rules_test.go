package gitops

import (
	"strings"
	"testing"

	kstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"golang.org/x/mod/modfile"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// inEveryState runs a check for each state, as a subtest of its name.
func inEveryState(t *testing.T, check func(*testing.T, *unstructured.Unstructured)) {
	t.Helper()
	for name, object := range states(t) {
		t.Run(name, func(t *testing.T) { check(t, object) })
	}
}

func TestAllConditionsArePresentWithTheirGeneration(t *testing.T) {
	inEveryState(t, func(t *testing.T, object *unstructured.Unstructured) {
		expected, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
		for _, name := range []string{"Ready", "Reconciling", "Stalled"} {
			found := conditionOf(object, name)
			if found == nil {
				t.Errorf("there is no condition %s", name)
				continue
			}
			if found.field("message") == "" || found.field("reason") == "" {
				t.Errorf("the condition %s lacks a reason or a message", name)
			}
			if observed, known := found.observedGeneration(); !known || observed != expected {
				t.Errorf("the condition %s has observedGeneration %d, and the status %d", name, observed, expected)
			}
		}
	})
}

func TestReconcilingAndStalledAreNeverBothTrue(t *testing.T) {
	inEveryState(t, func(t *testing.T, object *unstructured.Unstructured) {
		if conditionOf(object, "Reconciling").isTrue() && conditionOf(object, "Stalled").isTrue() {
			t.Error("kstatus would go by the one that comes first")
		}
	})
}

func TestKstatusFluxAndHelmAgree(t *testing.T) {
	inEveryState(t, func(t *testing.T, object *unstructured.Unstructured) {
		found := assess(t, object)
		if found.flux != found.kstatus || found.helm.String() != found.kstatus.String() {
			t.Errorf("kstatus: %s, Flux: %s, Helm: %s", found.kstatus, found.flux, found.helm)
		}
	})
}

// TestNoToolEndsAWaitTooEarly checks the meaning of the statuses: Current is reported only where nothing is in progress, and Failed only
// where the operator requires an intervention.
func TestNoToolEndsAWaitTooEarly(t *testing.T) {
	inEveryState(t, func(t *testing.T, object *unstructured.Unstructured) {
		ready, reconciling, stalled := conditionOf(object, "Ready"), conditionOf(object, "Reconciling"), conditionOf(object, "Stalled")
		switch status := assess(t, object).kstatus; status {
		case kstatus.CurrentStatus:
			if !ready.isTrue() || reconciling.isTrue() || stalled.isTrue() {
				t.Errorf("Current, with Ready=%s, Reconciling=%s and Stalled=%s", ready.summary(), reconciling.summary(), stalled.summary())
			}
		case kstatus.FailedStatus:
			if !stalled.isTrue() {
				t.Errorf("Failed, with Stalled=%s", stalled.summary())
			}
		case kstatus.TerminatingStatus:
			if object.GetDeletionTimestamp() == nil {
				t.Error("Terminating, without a deletionTimestamp")
			}
		case kstatus.InProgressStatus:
		default:
			t.Errorf("kstatus reports %s", status)
		}
	})
}

// TestArgoCDMeansTheSame compares Argo CD's health with kstatus' status. Argo CD alone has a health for a pause, which has precedence over
// Stalled.
func TestArgoCDMeansTheSame(t *testing.T) {
	healths := map[kstatus.Status]string{
		kstatus.CurrentStatus: "Healthy", kstatus.FailedStatus: "Degraded",
		kstatus.InProgressStatus: "Progressing", kstatus.TerminatingStatus: "Progressing",
	}
	inEveryState(t, func(t *testing.T, object *unstructured.Unstructured) {
		found := assess(t, object)
		expected := healths[found.kstatus]
		if paused, _, _ := unstructured.NestedBool(object.Object, "spec", "paused"); paused && expected != "Progressing" {
			expected = "Suspended"
		}
		if found.argo != expected {
			t.Errorf("kstatus: %s, Argo CD: %s", found.kstatus, found.argo)
		}
	})
}

func TestArgoCDShowsTheMessageOfTheConditionThatDecides(t *testing.T) {
	deciding := map[string]string{"Healthy": "Ready", "Suspended": "Ready", "Degraded": "Stalled", "Progressing": "Reconciling"}
	inEveryState(t, func(t *testing.T, object *unstructured.Unstructured) {
		found := assess(t, object)
		expected := conditionOf(object, deciding[found.argo]).field("message")
		observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
		if observed == 0 {
			expected = conditionOf(object, "Ready").field("message")
		} else if observed != object.GetGeneration() {
			expected = "The operator has not observed the latest generation yet."
		}
		if found.message == "" || found.message != expected {
			t.Errorf("Argo CD shows %q instead of %q", found.message, expected)
		}
	})
}

// TestArgoCDCopesWithAnEmptyStatus covers an EchoCluster without the defaults of the CRD.
func TestArgoCDCopesWithAnEmptyStatus(t *testing.T) {
	script := read(t, "config/gitops/argocd-health.lua")
	for _, deletion := range []any{nil, "1970-01-01T00:00:00Z"} {
		object := map[string]any{
			"metadata": map[string]any{"generation": int64(1), "deletionTimestamp": deletion}, "spec": map[string]any{},
		}
		if health, message := argoHealth(t, script, object); health != "Progressing" || strings.Contains(message, "nil") {
			t.Errorf("Argo CD's health is %s, with the message %q", health, message)
		}
	}
}

func TestKubectlWaitIsMetWhenReadyIsTrueForTheGeneration(t *testing.T) {
	inEveryState(t, func(t *testing.T, object *unstructured.Unstructured) {
		observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
		expected := conditionOf(object, "Ready").isTrue() && observed == object.GetGeneration()
		if waited := assess(t, object).waited; waited != expected {
			t.Errorf("kubectl wait is met: %t; Ready is %s, observed of generation %d of %d", waited,
				conditionOf(object, "Ready").summary(), observed, object.GetGeneration())
		}
	})
}

// TestHelmIsAssessedByItsOwnVersionOfKstatus compares the versions of cli-utils in this module and in hack/helm, which builds Helm.
func TestHelmIsAssessedByItsOwnVersionOfKstatus(t *testing.T) {
	const library = "github.com/fluxcd/cli-utils"
	var used, required string
	for _, replaced := range goMod(t, "hack/gitops/go.mod").Replace {
		if replaced.Old.Path == library+"-of-helm" {
			used = replaced.New.Version
		}
	}
	for _, requirement := range goMod(t, "hack/helm/go.mod").Require {
		if requirement.Mod.Path == library {
			required = requirement.Mod.Version
		}
	}
	if used == "" || used != required {
		t.Errorf("hack/helm/go.mod requires %s %q, and hack/gitops/go.mod replaces %s-of-helm by version %q", library, required, library, used)
	}
}

func goMod(t *testing.T, path string) *modfile.File {
	t.Helper()
	parsed, err := modfile.Parse(path, []byte(read(t, path)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}
