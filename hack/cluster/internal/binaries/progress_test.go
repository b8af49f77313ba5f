package binaries

import (
	"bytes"
	"io"
	"testing"
)

func TestPackageNamesAreCountedAndOtherLinesAreKept(t *testing.T) {
	var log bytes.Buffer
	m := startMeter(io.Discard, &log)
	defer m.stop()
	output := "go: downloading k8s.io/api v0.37.2\nk8s.io/api/core/v1\nk8s.io/kubernetes/pkg/kubelet\n# cluster/kube\nkube/main.go:3:1: syntax error\n"
	if _, err := m.Write([]byte(output)); err != nil {
		t.Fatal(err)
	}
	if m.packages != 2 {
		t.Errorf("counted %d packages, want 2", m.packages)
	}
	if want := "go: downloading k8s.io/api v0.37.2\n# cluster/kube\nkube/main.go:3:1: syntax error"; m.lastLines() != want {
		t.Errorf("got %q", m.lastLines())
	}
	if log.String() != output {
		t.Errorf("the log differs from the output: %q", log.String())
	}
}
