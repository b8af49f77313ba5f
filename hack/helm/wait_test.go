package helm

import (
	"strings"
	"testing"
	"time"
)

const (
	settled = "Ready=True Reconciling=False Stalled=False"
	// The kubelet tries a pull at least twice before the operator reports it as failed.
	failsWithin = 2 * time.Minute
)

func TestInstallEndsWhenTheEchoClusterIsReady(t *testing.T) {
	release := newRelease(t)
	release.install(t)
	release.expect(t, settled, "2")
}

func TestUpgradeEndsWhenTheNewCountIsReady(t *testing.T) {
	release := newRelease(t)
	release.install(t)
	if output, err := release.helm(t, 3*time.Minute, "upgrade", name, chart, "--wait", "--timeout=3m", "--set=replicas=3"); err != nil {
		t.Fatalf("helm upgrade: %v\n%s", err, output)
	}
	release.expect(t, settled, "3")
}

func TestUninstallEndsWhenTheEchoClusterIsGone(t *testing.T) {
	release := newRelease(t)
	release.install(t)
	if output, err := release.helm(t, 3*time.Minute, "uninstall", name, "--wait", "--timeout=3m"); err != nil {
		t.Fatalf("helm uninstall: %v\n%s", err, output)
	}
	if left := release.kubectl(t, "get", "echoclusters", "--output=name"); left != "" {
		t.Errorf("after helm uninstall --wait there is still %s", left)
	}
}

func TestInstallFailsEarlyWithTheMessageOfStalled(t *testing.T) {
	release := newRelease(t)
	begin := time.Now()
	output, err := release.helm(t, failsWithin, "install", name, chart, "--wait", "--timeout=5m", "--set=image=echo.local/none:1")
	if err == nil {
		t.Fatalf("helm install ended without an error\n%s", output)
	}
	t.Logf("helm install ended after %s:\n%s", time.Since(begin).Round(time.Second), output)
	for _, part := range []string{"status: Failed", "cannot be pulled", "echo.local/none:1", "spec.image"} {
		if !strings.Contains(output, part) {
			t.Errorf("the error of helm install lacks %q", part)
		}
	}
}
