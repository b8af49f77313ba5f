package layout

import (
	"net/netip"
	"strings"
	"testing"
)

func TestEveryNodeHasAddressesOfItsOwnWithinTheRanges(t *testing.T) {
	taken := map[netip.Addr]bool{ControlPlaneAddress: true, HostAddress: true}
	ranges := map[netip.Prefix]bool{}
	for _, n := range Nodes(MostNodes) {
		if taken[n.Address()] || !NodeRange.Contains(n.Address()) {
			t.Errorf("%s has the address %s, which is taken or not in %s", n.Name(), n.Address(), NodeRange)
		}
		if ranges[n.PodRange()] || !PodRange.Overlaps(n.PodRange()) || ServiceRange.Overlaps(n.PodRange()) {
			t.Errorf("the pods of %s have %s, which is taken or not in %s", n.Name(), n.PodRange(), PodRange)
		}
		taken[n.Address()], ranges[n.PodRange()] = true, true
	}
}

func TestAllAddressesAreOfTheLaboratoryRange(t *testing.T) {
	for _, prefix := range []netip.Prefix{NodeRange, PodRange, ServiceRange} {
		if !Range.Contains(prefix.Addr()) || prefix.Bits() < Range.Bits() {
			t.Errorf("%s is not within %s", prefix, Range)
		}
	}
	for _, service := range []netip.Addr{KubernetesServiceIP, DNSServiceIP} {
		if !ServiceRange.Contains(service) {
			t.Errorf("%s is not within %s", service, ServiceRange)
		}
	}
}

func TestAVersionIsThreeNumbersFromTheOldestMinorOn(t *testing.T) {
	for version, accepted := range map[string]bool{
		"1.37.2": true, "1.33.13": true, "1.32.9": false, "1.37": false, "v1.37.2": false, "1.37.2-rc.1": false, "": false, "../../etc": false,
	} {
		if _, err := New("/root", version); (err == nil) != accepted {
			t.Errorf("version %q: got error %v, want accepted = %t", version, err, accepted)
		}
	}
}

func TestARefusedVersionIsAnsweredWithOneToChoose(t *testing.T) {
	for version, reason := range map[string]string{"1.32.9": "choose 1.33 or newer, such as 1.37.2", "2.0.0": "write all three numbers, such as 1.37.2"} {
		if _, err := New("/root", version); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: got %v, want %q", version, err, reason)
		}
	}
	if _, err := New("/root", DefaultKubernetes); err != nil {
		t.Error(err)
	}
}

func TestStagingModulesFollowTheVersion(t *testing.T) {
	l, err := New("/project/target/cluster", "1.33.13")
	if err != nil {
		t.Fatal(err)
	}
	if got := l.StagingVersion(); got != "v0.33.13" {
		t.Errorf("got %s", got)
	}
	if got := l.Bin("kube"); got != "/project/target/cluster/1.33.13/bin/kube" {
		t.Errorf("got %s", got)
	}
}

func TestSocketPathsFitIntoTheKernelsLimit(t *testing.T) {
	const limit = 107 // bytes of sun_path without its end mark, unix(7)
	if path := ContainerdSocket(MostNodes); len(path) > limit {
		t.Errorf("%s has %d bytes", path, len(path))
	}
}
