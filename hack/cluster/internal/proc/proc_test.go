package proc

import (
	"os"
	"slices"
	"testing"
)

func TestACommandNameMayHoldBlanksAndBrackets(t *testing.T) {
	line := "4711 (a) b (c) S 1 4711 4711 0 -1 4194560 100 0 0 0 5 3 0 0 20 0 9 0 987654 1000000 200"
	process, err := parseStat(line)
	if err != nil {
		t.Fatal(err)
	}
	if process.PID != 4711 || process.State != 'S' || process.Parent != 1 || process.StartTicks != 987654 {
		t.Errorf("got %+v", process)
	}
}

func TestABrokenStatLineIsAnError(t *testing.T) {
	for _, line := range []string{"", "4711", "4711 (a", "4711 (a) S 1", "x (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"} {
		if _, err := parseStat(line); err == nil {
			t.Errorf("%q was accepted", line)
		}
	}
}

func TestCgroupsOfBothVersionsAreRead(t *testing.T) {
	got := parseCgroups("9:name=systemd:/a\n4:cpu,cpuacct:/echo-cluster/node-1/x\n0::/b:c\n")
	if want := []string{"/a", "/echo-cluster/node-1/x", "/b:c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAMountsLineIsReadWithItsEscapes(t *testing.T) {
	mount, ok := parseMount(`36 35 98:0 /mnt1 /mnt\0402/a\134b rw,noatime master:1 - cgroup cgroup rw,cpu,cpuacct`)
	if !ok || mount.Point != `/mnt 2/a\b` || mount.Type != "cgroup" || !slices.Equal(mount.Options, []string{"rw", "cpu", "cpuacct"}) {
		t.Errorf("got %+v, %t", mount, ok)
	}
	if _, ok := parseMount("no mount at all"); ok {
		t.Error("a line that is no mount was accepted")
	}
}

func TestThisProcessIsFoundAmongAll(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	self := slices.IndexFunc(all, func(p Process) bool { return p.PID == os.Getpid() })
	if self < 0 || all[self].NetworkNamespace == 0 || all[self].StartTicks == 0 || len(all[self].Environment) == 0 {
		t.Errorf("this process was not found, or not read: index %d", self)
	}
}
