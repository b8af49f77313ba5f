package config

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

var testLayout = layout.Layout{Root: "/project/target/cluster", Kubernetes: "1.37.2"}

// encoded returns an object as the component reads it.
func encoded(t *testing.T, object any) map[string]any {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestKubeletSettingsThatDifferFromTheDefaultByBeingFalseAreWritten(t *testing.T) {
	fields := encoded(t, kubelet(testLayout, 2))
	for name, want := range map[string]any{"failCgroupV1": false, "failSwapOn": false, "makeIPTablesUtilChains": false, "cgroupRoot": "/echo-cluster/node-2"} {
		if got, written := fields[name]; !written || got != want {
			t.Errorf("%s: got %v, written %t", name, got, written)
		}
	}
}

func TestTheProxyLeavesTheMachinesConntrackLimitAlone(t *testing.T) {
	conntrack, ok := encoded(t, proxy(testLayout, 1))["conntrack"].(map[string]any)
	if limit, written := conntrack["maxPerCore"]; !ok || !written || limit != float64(0) {
		t.Errorf("got %v", conntrack)
	}
}

func TestPodsGetAddressesOfTheirNode(t *testing.T) {
	text, err := json.Marshal(podNetwork(3))
	if err != nil || !strings.Contains(string(text), `"subnet":"198.18.67.0/24"`) {
		t.Errorf("got %s, %v", text, err)
	}
}

func TestContainerdAsksTheClustersOwnRegistryWithoutTLS(t *testing.T) {
	if text := containerd(testLayout, 1); !strings.Contains(text, `config_path = "`+registries(testLayout)+`"`) {
		t.Errorf("containerd does not look for %s:\n%s", registries(testLayout), text)
	}
	if file := registryFile(testLayout); !strings.HasSuffix(file, "/registries/198.18.0.1:5000/hosts.toml") {
		t.Errorf("containerd does not look at %s", file)
	}
	if text := registryHost(); text != "server = \"http://198.18.0.1:5000\"\n" {
		t.Errorf("got %s", text)
	}
}
