package checks

import (
	"net"
	"strings"
	"testing"
)

func TestOnlyNetworksWithinTheClustersRangeCollide(t *testing.T) {
	for network, want := range map[string]bool{
		"198.18.0.0/15": true, "198.19.7.0/24": true, "198.18.0.5/32": true,
		"198.16.0.0/12": false, "0.0.0.0/0": false, "192.168.0.0/16": false, "198.20.0.0/16": false,
	} {
		_, parsed, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if got := collides(parsed); got != want {
			t.Errorf("%s: got %t", network, got)
		}
	}
	if collides(nil) {
		t.Error("the default route collides")
	}
}

func TestMissingToolsAreNamedWithTheCommandThatInstallsThem(t *testing.T) {
	tools := []tool{{name: "nft", debianPackage: "nftables"}, {name: "gcc", debianPackage: "gcc"}, {name: "cc", debianPackage: "gcc"}}
	message := missingError(tools).Error()
	for _, wanted := range []string{"nft, gcc, cc", "`apt-get install -y --no-install-recommends gcc nftables`"} {
		if !strings.Contains(message, wanted) {
			t.Errorf("%q is missing in %q", wanted, message)
		}
	}
}

func TestGoIsNotLookedForInDebian(t *testing.T) {
	message := missingError([]tool{program("go", "")}).Error()
	if !strings.Contains(message, "install Go") || strings.Contains(message, "apt-get") {
		t.Errorf("got %q", message)
	}
}

func TestNothingMissingIsNoError(t *testing.T) {
	if err := missingError(nil); err != nil {
		t.Error(err)
	}
}
