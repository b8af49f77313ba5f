package echo

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// golden are the children that the operator makes of an EchoCluster without any field of its own.
const golden = "../../../../operator/tests/golden/smallest/"

// smallest is that EchoCluster, with the defaults that the schema fills in.
func smallest(t *testing.T) *EchoCluster {
	t.Helper()
	c := &EchoCluster{}
	read(t, "echocluster.yaml", c)
	const spec = `{"replicas": 1, "imagePullPolicy": "IfNotPresent", "listeners": [{"name": "echo", "port": 12345}],
		"line": {"prefix": "Server received: "}, "drainSeconds": 10,
		"limits": {"maxConnections": 10000, "idleTimeoutSeconds": 300, "writeTimeoutSeconds": 30},
		"resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
		"rollout": {"maxSurge": "25%", "maxUnavailable": 0, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 3},
		"disruption": {"policy": "Limited", "maxUnavailable": 1}}`
	if err := json.Unmarshal([]byte(spec), &c.Spec); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestChildrenAreThoseThatTheOperatorMakes(t *testing.T) {
	c := smallest(t)
	for file, child := range map[string]any{
		"deployment": Deployment(c), "service": Service(c), "headless_service": HeadlessService(c), "network_policy": NetworkPolicy(c),
	} {
		var expected map[string]any
		read(t, file+".yaml", &expected)
		metadata := expected["metadata"].(map[string]any)
		delete(metadata, "annotations") // hashes and stamps
		delete(expected, "apiVersion")
		delete(expected, "kind")
		for _, difference := range missing(file, expected, generic(t, child)) {
			t.Error(difference)
		}
	}
}

func TestABudgetIsForTwoPodsOrMore(t *testing.T) {
	c := smallest(t)
	if PodDisruptionBudget(c) != nil {
		t.Error("one pod has a budget")
	}
	c.Spec.Replicas = 2
	if got := PodDisruptionBudget(c).Spec.MaxUnavailable; *got != intstr.FromInt32(1) {
		t.Errorf("got %v", got)
	}
}

func TestACopySharesNothing(t *testing.T) {
	c := smallest(t)
	c.Status = Settled(c)
	copied := c.DeepCopyObject().(*EchoCluster)
	copied.Spec.Listeners[0].Port, copied.Status.Conditions[0].Reason = 1, "Changed"
	copied.Spec.Resources.Limits["memory"] = copied.Spec.Resources.Requests["memory"]
	if c.Spec.Listeners[0].Port == 1 || c.Status.Conditions[0].Reason == "Changed" ||
		c.Spec.Resources.Limits.Memory().String() != "64Mi" {
		t.Errorf("the original has changed: %+v", c)
	}
}

// missing lists what of `expected` is not in `got`, which may have more: the defaults of the API server.
func missing(path string, expected, got any) []string {
	switch expected := expected.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		var all []string
		for key, value := range expected {
			all = append(all, missing(path+"."+key, value, object[key])...)
		}
		return all
	case []any:
		list, _ := got.([]any)
		if len(list) != len(expected) {
			return []string{fmt.Sprintf("%s has %d items, not %d", path, len(list), len(expected))}
		}
		var all []string
		for i := range expected {
			all = append(all, missing(fmt.Sprintf("%s[%d]", path, i), expected[i], list[i])...)
		}
		return all
	default:
		if fmt.Sprint(expected) != fmt.Sprint(got) {
			return []string{fmt.Sprintf("%s is %v, not %v", path, got, expected)}
		}
		return nil
	}
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(golden + file)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func generic(t *testing.T, object any) any {
	t.Helper()
	text, err := json.Marshal(object)
	var generic any
	if err == nil {
		err = json.Unmarshal(text, &generic)
	}
	if err != nil {
		t.Fatal(err)
	}
	return generic
}
