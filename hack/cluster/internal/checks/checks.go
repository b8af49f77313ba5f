// Package checks inspects the machine before anything is changed, and reports what is missing and how to install it.
package checks

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/cgroup"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// ToBuild returns why the binaries cannot be built here, or nil.
func ToBuild() error { return missingError(append(missing(runTools), missing(buildTools)...)) }

// ToRun returns every reason why no cluster can run here, or nil.
func ToRun() error {
	return errors.Join(missingError(missing(runTools)), controllers(), addresses())
}

// Root returns why the machine cannot be changed, or nil.
func Root() error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root, for it makes network namespaces, mounts and cgroups: run it as root, or install sudo")
	}
	return nil
}

// controllers returns which cgroup controllers are missing.
func controllers() error {
	hierarchies, err := cgroup.Find()
	if err != nil {
		return err
	}
	if len(hierarchies.V1) == 0 && hierarchies.Unified == "" {
		return errors.New("no cgroups are mounted: mount them by `mount -t cgroup2 none /sys/fs/cgroup`, or run on a machine instead of in a bare container")
	}
	if missing := hierarchies.Missing(); len(missing) > 0 {
		return fmt.Errorf("the kernel offers no cgroup controller %s here: switch it on by the boot option cgroup_enable=%s, "+
			"or run on a machine instead of in a container", strings.Join(missing, ", "), missing[0])
	}
	return nil
}

// addresses returns what else uses the cluster's addresses. Ports of the machine are never used: all listen in namespaces.
func addresses() error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	names := map[int]string{}
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
	}
	inUse, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, address := range inUse {
		if name := names[address.LinkIndex]; name != layout.HostLink && collides(address.IPNet) {
			return fmt.Errorf("link %s has the address %s, and a cluster needs all of %s: remove it by `ip address del %s dev %s`",
				name, address.IPNet, layout.Range, address.IPNet, name)
		}
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, route := range routes {
		if name := names[route.LinkIndex]; name != layout.HostLink && collides(route.Dst) {
			return fmt.Errorf("a route leads %s to link %s, and a cluster needs all of %s: remove it by `ip route del %s`",
				route.Dst, name, layout.Range, route.Dst)
		}
	}
	return nil
}

// collides reports whether a network lies within the cluster's range. Wider ones are allowed, since the most specific route is used.
func collides(network *net.IPNet) bool {
	if network == nil {
		return false
	}
	address, ok := netip.AddrFromSlice(network.IP)
	ones, _ := network.Mask.Size()
	return ok && layout.Range.Contains(address.Unmap()) && ones >= layout.Range.Bits()
}
