package component

import (
	"fmt"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// Containerd runs a node's containers.
func Containerd(l layout.Layout, n layout.Node) Component {
	return Component{Name: fmt.Sprintf("containerd-%d", n), Node: n, Arguments: []string{
		l.Bin("containerd"), "--config=" + l.Config("containerd-"+n.Name()+".toml"),
	}}
}

// Kubelet runs a node's pods.
func Kubelet(l layout.Layout, n layout.Node) Component {
	return Component{Name: fmt.Sprintf("kubelet-%d", n), Node: n, Arguments: []string{
		l.Bin("kube"), "kubelet",
		"--config=" + l.Config("kubelet-"+n.Name()+".yaml"),
		"--kubeconfig=" + l.Kubeconfig(n.Name()),
		"--hostname-override=" + n.Name(),
		"--node-ip=" + n.Address().String(),
	}}
}

// Proxy makes Services reachable on a node.
func Proxy(l layout.Layout, n layout.Node) Component {
	return Component{Name: fmt.Sprintf("proxy-%d", n), Node: n, Arguments: []string{
		l.Bin("kube"), "kube-proxy", "--config=" + l.Config("proxy-"+n.Name()+".yaml"),
	}}
}
