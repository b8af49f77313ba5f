// Package network sets up the cluster's links: a bridge in the control plane's network namespace,
// one veth pair from it to each node and one to the host. No route leads out of it.
package network

import (
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/namespace"
)

// bridgeName is the bridge between all veth pairs. It is outside of the host's namespace, where a firewall could drop its frames.
const bridgeName = "bridge"

// nodeLink is a node's end of its veth pair.
const nodeLink = "eth0"

// CreateControlPlane makes the control plane's namespace with the bridge, and the veth pair to the host.
func CreateControlPlane(nodes []layout.Node) error {
	if err := createNamespace(layout.ControlPlane); err != nil {
		return err
	}
	err := inside(layout.ControlPlane, func(h *netlink.Handle) error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}
		if err := h.LinkAdd(bridge); err != nil {
			return fmt.Errorf("add the bridge: %w", err)
		}
		return configure(h, bridgeName, layout.ControlPlaneAddress)
	})
	if err != nil {
		return err
	}
	if err := addVethPair(layout.HostLink, "host", "/proc/self/ns/net"); err != nil {
		return err
	}
	host, err := netlink.NewHandle()
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer host.Close()
	if err := configure(host, layout.HostLink, layout.HostAddress); err != nil {
		return err
	}
	if err := routeToPods(host, layout.HostLink, nodes); err != nil {
		return err
	}
	return inside(layout.ControlPlane, func(h *netlink.Handle) error {
		if err := routeToPods(h, bridgeName, nodes); err != nil {
			return err
		}
		return blockTheRest(h)
	})
}

// CreateNode makes a node's namespace with its veth pair, and routes to the other nodes' pods.
func CreateNode(n layout.Node, nodes []layout.Node) error {
	if err := createNamespace(n.Name()); err != nil {
		return err
	}
	if err := addVethPair(nodeLink, n.Name(), layout.NetworkNamespaceFile(n.Name())); err != nil {
		return err
	}
	return inside(n.Name(), func(h *netlink.Handle) error {
		if err := configure(h, nodeLink, n.Address()); err != nil {
			return err
		}
		for _, other := range nodes {
			if other == n {
				continue
			}
			if err := route(h, nodeLink, other.PodRange(), other.Address()); err != nil {
				return err
			}
		}
		// A Service address must pass routing before kube-proxy's rules rewrite it.
		if err := route(h, nodeLink, layout.ServiceRange, netip.Addr{}); err != nil {
			return err
		}
		return blockTheRest(h)
	})
}

// SetLink sets a node's link up or down, at the bridge's end.
func SetLink(n layout.Node, up bool) error {
	return inside(layout.ControlPlane, func(h *netlink.Handle) error {
		port, err := h.LinkByName(n.Name())
		if err != nil {
			return fmt.Errorf("find the link of %s: %w", n.Name(), err)
		}
		set := h.LinkSetDown
		if up {
			set = h.LinkSetUp
		}
		if err := set(port); err != nil {
			return fmt.Errorf("set the link of %s: %w", n.Name(), err)
		}
		return nil
	})
}

// addVethPair adds a veth pair: port on the bridge, end in the network namespace that a file keeps.
func addVethPair(end, port, endNamespace string) error {
	peer, err := os.Open(endNamespace)
	if err != nil {
		return fmt.Errorf("open the namespace for the veth pair %s: %w", port, err)
	}
	defer peer.Close()
	return inside(layout.ControlPlane, func(h *netlink.Handle) error {
		bridge, err := h.LinkByName(bridgeName)
		if err != nil {
			return fmt.Errorf("find the bridge: %w", err)
		}
		pair := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: port, MasterIndex: bridge.Attrs().Index},
			PeerName:      end,
			PeerNamespace: netlink.NsFd(int(peer.Fd())),
		}
		if err := h.LinkAdd(pair); err != nil {
			return fmt.Errorf("add the veth pair %s to %s: %w", port, end, err)
		}
		return h.LinkSetUp(pair)
	})
}

// configure gives a link its address and brings it up.
func configure(h *netlink.Handle, name string, address netip.Addr) error {
	link, err := h.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	prefix := netip.PrefixFrom(address, layout.NodeRange.Bits())
	if err := h.AddrAdd(link, &netlink.Addr{IPNet: ipNet(prefix)}); err != nil {
		return fmt.Errorf("add address %s to %s: %w", prefix, name, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up %s: %w", name, err)
	}
	return nil
}

// createNamespace makes a network namespace that forwards packets, with its loopback up.
func createNamespace(name string) error {
	return namespace.CreateNetwork(layout.NetworkNamespaceFile(name), func() error {
		loopback, err := netlink.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find the loopback: %w", err)
		}
		if err := netlink.LinkSetUp(loopback); err != nil {
			return fmt.Errorf("bring up the loopback: %w", err)
		}
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
			return fmt.Errorf("let %s forward packets: %w", name, err)
		}
		return nil
	})
}

// inside runs action in a named network namespace, with a netlink handle of that namespace.
func inside(name string, action func(*netlink.Handle) error) error {
	return namespace.Do(layout.NetworkNamespaceFile(name), "", func() error {
		handle, err := netlink.NewHandle()
		if err != nil {
			return fmt.Errorf("open netlink in %s: %w", name, err)
		}
		defer handle.Close()
		return action(handle)
	})
}
