package network

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// routeToPods leads each node's pods to that node, and Services to the first node, whose kube-proxy spreads them. Without nodes there is
// nothing to reach.
func routeToPods(h *netlink.Handle, link string, nodes []layout.Node) error {
	if len(nodes) == 0 {
		return nil
	}
	for _, n := range nodes {
		if err := route(h, link, n.PodRange(), n.Address()); err != nil {
			return err
		}
	}
	return route(h, link, layout.ServiceRange, nodes[0].Address())
}

// route adds a route through a gateway, or straight to the link when there is none.
func route(h *netlink.Handle, name string, destination netip.Prefix, gateway netip.Addr) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(destination), Scope: netlink.SCOPE_LINK}
	if gateway.IsValid() {
		r.Gw, r.Scope = gateway.AsSlice(), netlink.SCOPE_UNIVERSE
	}
	if err := h.RouteAdd(r); err != nil {
		return fmt.Errorf("add the route to %s: %w", destination, err)
	}
	return nil
}

// blockTheRest makes every other destination unreachable, so that packets are rejected at once.
func blockTheRest(h *netlink.Handle) error {
	everywhere := ipNet(netip.MustParsePrefix("0.0.0.0/0"))
	if err := h.RouteAdd(&netlink.Route{Dst: everywhere, Type: unix.RTN_UNREACHABLE}); err != nil {
		return fmt.Errorf("add the unreachable default route: %w", err)
	}
	return nil
}

// ipNet returns a prefix in the form that netlink takes.
func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 32)}
}
