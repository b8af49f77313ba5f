// Package layout has the addresses, names and files of a cluster. It does no I/O.
package layout

import (
	"fmt"
	"net/netip"
)

// Addresses of a cluster. All are of 198.18.0.0/15, which RFC 2544 sets aside for laboratories, so they meet no real host.
var (
	Range                = netip.MustParsePrefix("198.18.0.0/15")
	NodeRange            = netip.MustParsePrefix("198.18.0.0/24")
	PodRange             = netip.MustParsePrefix("198.18.64.0/18")
	ServiceRange         = netip.MustParsePrefix("198.19.0.0/16")
	ControlPlaneAddress  = netip.MustParseAddr("198.18.0.1")
	HostAddress          = netip.MustParseAddr("198.18.0.254")
	KubernetesServiceIP  = netip.MustParseAddr("198.19.0.1")
	DNSServiceIP         = netip.MustParseAddr("198.19.0.10")
	APIServerURL         = fmt.Sprintf("https://%s:6443", ControlPlaneAddress)
	DNSReadyURL          = fmt.Sprintf("http://%s:8181/ready", ControlPlaneAddress)
	RegistryAddress      = fmt.Sprintf("%s:5000", ControlPlaneAddress)
	KubernetesServiceDNS = []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
)

// MetricsPort is where metrics-server listens, at the control plane's address.
const MetricsPort = 4443

// Names of what a cluster creates on the machine. `down` removes whatever has them, with or without a record of it.
const (
	// HostLink is the host's end of the veth pair into the cluster, and the only link that the host gets.
	HostLink = "echo-cluster"
	// ControlPlane names the network namespace of the control plane and of the bridge that joins all nodes.
	ControlPlane = "control-plane"
	// Cgroup is the group above all nodes' groups, in each hierarchy.
	Cgroup = "echo-cluster"
	// RunDirectory holds sockets, whose paths must be short, and the record of the running cluster.
	RunDirectory = "/run/echo-cluster"
	// Marker is the environment variable that every process of a cluster inherits; its value is the state folder.
	Marker = "ECHO_CLUSTER_STATE"
	// MostNodes is the number of nodes for which the address plan has room.
	MostNodes = 50
)

// Node is one node of the cluster, counted from 1.
type Node int

// Nodes returns the first `count` nodes.
func Nodes(count int) []Node {
	nodes := make([]Node, count)
	for i := range nodes {
		nodes[i] = Node(i + 1)
	}
	return nodes
}

// NodeCount returns a number of nodes in words.
func NodeCount(count int) string {
	if count == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", count)
}

// Name returns the name of the Node object, such as node-2.
func (n Node) Name() string { return fmt.Sprintf("node-%d", int(n)) }

// Address returns the node's own address, such as 198.18.0.12 for node-2.
func (n Node) Address() netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 0, byte(10 + int(n))}) }

// PodRange returns the range of the node's pods, such as 198.18.66.0/24 for node-2.
func (n Node) PodRange() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(64 + int(n)), 0}), 24)
}

// Cgroup returns the path of the node's group below the root of each hierarchy.
func (n Node) Cgroup() string { return "/" + Cgroup + "/" + n.Name() }
