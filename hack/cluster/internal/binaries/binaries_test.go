package binaries

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// sources are stand-ins for the embedded programs.
func sources() fstest.MapFS {
	return fstest.MapFS{
		"_binaries/kube/main.go":    {Data: []byte("package main // kube")},
		"_binaries/kubectl/main.go": {Data: []byte("package main // kubectl")},
		"_binaries/coredns/main.go": {Data: []byte("package main // coredns")},
		"_binaries/pause/pause.c":   {Data: []byte("int main(void) {}")},
	}
}

// prints returns the fingerprint of each step by its first binary.
func prints(t *testing.T, root string, files fstest.MapFS) map[string]string {
	t.Helper()
	found := map[string]string{}
	l := layout.Layout{Root: root, Kubernetes: "1.37.2"}
	for _, s := range steps(l, true) {
		print, err := fingerprint(l, files, s)
		if err != nil {
			t.Fatal(err)
		}
		found[s.outputs[0]] = print
	}
	return found
}

func TestStagingModulesAreReplacedAndOthersAreNot(t *testing.T) {
	upstream := "module k8s.io/kubernetes\ngo 1.26.0\nrequire (\n\tgithub.com/spf13/cobra v1.10.2\n\tk8s.io/api v0.0.0\n\tk8s.io/klog/v2 v2.140.0\n)\n" +
		"require k8s.io/mount-utils v0.0.0 // indirect\nreplace k8s.io/api => ./staging/src/k8s.io/api\n"
	got, err := generateKubernetesModule(layout.Layout{Kubernetes: "1.33.13"}, []byte(upstream))
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{
		"require k8s.io/kubernetes v1.33.13", "replace k8s.io/api => k8s.io/api v0.33.13", "replace k8s.io/mount-utils => k8s.io/mount-utils v0.33.13",
	} {
		if !strings.Contains(got, wanted) {
			t.Errorf("%q is missing in:\n%s", wanted, got)
		}
	}
	if strings.Contains(got, "klog") || strings.Contains(got, "staging") {
		t.Errorf("more was taken over than the staging modules:\n%s", got)
	}
}

func TestOnlyAnOldKubernetesIsBuiltWithTheTagForIt(t *testing.T) {
	for version, tagged := range map[string]bool{"1.33.13": true, "1.34.4": false, "1.37.2": false} {
		arguments := strings.Join(steps(layout.Layout{Root: "/root", Kubernetes: version}, false)[0].commands[1].arguments, " ")
		if strings.Contains(arguments, "before_1_34") != tagged {
			t.Errorf("%s: %s", version, arguments)
		}
		if !strings.Contains(arguments, "gitVersion=v"+version) {
			t.Errorf("%s: the binary would not know its version: %s", version, arguments)
		}
	}
}

func TestAChangedSourceMakesItsOwnStepStaleAndNoOther(t *testing.T) {
	before := prints(t, "/project", sources())
	changed := sources()
	changed["_binaries/coredns/main.go"].Data = []byte("package main // changed")
	for binary, print := range prints(t, "/project", changed) {
		if (print != before[binary]) != (binary == "coredns") {
			t.Errorf("%s: fresh = %t", binary, print == before[binary])
		}
	}
}

func TestAMovedCheckoutIsFresh(t *testing.T) {
	before, again := prints(t, "/project", sources()), prints(t, "/elsewhere", sources())
	for binary := range before {
		if before[binary] != again[binary] {
			t.Errorf("%s has two fingerprints", binary)
		}
	}
}

func TestMetricsServerIsBuiltOnDemandOnly(t *testing.T) {
	l := layout.Layout{Root: "/project", Kubernetes: "1.37.2"}
	without, with := steps(l, false), steps(l, true)
	if len(with) != len(without)+1 || with[len(without)].outputs[0] != "metrics-server" {
		t.Errorf("got %d steps without, %d with", len(without), len(with))
	}
	for _, s := range without {
		if strings.Contains(s.name, "metrics-server") {
			t.Errorf("built without demand: %s", s.name)
		}
	}
}

func TestMetricsAreRefusedForAKubernetesThatMetricsServerDoesNotSupport(t *testing.T) {
	for version, supported := range map[string]bool{"1.33.13": false, "1.34.0": true, layout.DefaultKubernetes: true} {
		if err := MetricsSupported(layout.Layout{Kubernetes: version}); (err == nil) != supported {
			t.Errorf("%s: got %v", version, err)
		}
	}
}
