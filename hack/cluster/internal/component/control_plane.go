package component

import (
	"fmt"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/pki"
)

// Etcd stores the objects. It does not sync to the disk, since the data need not survive a crash. It reports its revision to watches without
// events as often as kubeadm has it (cmd/kubeadm/app/phases/etcd/local.go), so that the API server has bookmarks for kinds that do not change.
func Etcd(l layout.Layout) Component {
	return Component{Name: "etcd", Arguments: []string{
		l.Bin("kube"), "etcd",
		"--data-dir=" + l.State("etcd"),
		"--listen-client-urls=http://127.0.0.1:2379",
		"--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380",
		"--unsafe-no-fsync",
		"--watch-progress-notify-interval=5s",
	}}
}

// APIServer serves the API on the control plane's address, and records every request in the audit log before it responds.
func APIServer(l layout.Layout) Component {
	return Component{Name: "apiserver", Arguments: []string{
		l.Bin("kube"), "kube-apiserver",
		"--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address=" + layout.ControlPlaneAddress.String(),
		"--secure-port=6443",
		"--tls-cert-file=" + l.Certificate("apiserver"),
		"--tls-private-key-file=" + l.Key("apiserver"),
		"--client-ca-file=" + l.Certificate("ca"),
		"--service-account-key-file=" + l.State("pki", "service-account.pub"),
		"--service-account-signing-key-file=" + l.Key("service-account"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-cluster-ip-range=" + layout.ServiceRange.String(),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--kubelet-client-certificate=" + l.Certificate("apiserver-to-kubelet"),
		"--kubelet-client-key=" + l.Key("apiserver-to-kubelet"),
		"--kubelet-certificate-authority=" + l.Certificate("ca"),
		"--kubelet-preferred-address-types=InternalIP", // node names are in no DNS that the API server asks
		"--requestheader-client-ca-file=" + l.Certificate("front-proxy-ca"),
		"--requestheader-allowed-names=" + pki.FrontProxy,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + l.Certificate(pki.FrontProxy),
		"--proxy-client-key-file=" + l.Key(pki.FrontProxy),
		"--enable-aggregator-routing=true", // straight to metrics-server, not through node-1, which may be down
		"--audit-policy-file=" + l.Config("audit.yaml"),
		"--audit-log-path=" + l.AuditLog(),
		"--audit-log-mode=blocking", // an answered request is in the file already
		"--audit-log-maxsize=4096",  // megabytes: tests read one file, so it is not rotated
	}}
}

// ControllerManager runs Kubernetes' controllers. Its default of 20 requests a second would make tests wait for
// the garbage collector, and its default grace of 50 s would make them wait for a lost node. A HorizontalPodAutoscaler
// would sync every 15 s, disregard a pod's first 5 minutes, and scale down after 5 minutes.
func ControllerManager(l layout.Layout) Component {
	return Component{Name: "controller-manager", Arguments: []string{
		l.Bin("kube"), "kube-controller-manager",
		"--kubeconfig=" + l.Kubeconfig("controller-manager"),
		"--service-account-private-key-file=" + l.Key("service-account"),
		"--root-ca-file=" + l.Certificate("ca"),
		"--use-service-account-credentials=true",
		"--allocate-node-cidrs=false",
		"--leader-elect=false",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--concurrent-deployment-syncs=20",
		"--node-monitor-period=1s",
		"--node-monitor-grace-period=20s",
		"--horizontal-pod-autoscaler-sync-period=2s",
		"--horizontal-pod-autoscaler-downscale-stabilization=10s",
		"--horizontal-pod-autoscaler-cpu-initialization-period=10s",
		"--horizontal-pod-autoscaler-initial-readiness-delay=1s",
	}}
}

// Scheduler places pods on nodes.
func Scheduler(l layout.Layout) Component {
	return Component{Name: "scheduler", Arguments: []string{
		l.Bin("kube"), "kube-scheduler",
		"--kubeconfig=" + l.Kubeconfig("scheduler"),
		"--leader-elect=false",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	}}
}

// DNS resolves the names of Services and pods.
func DNS(l layout.Layout) Component {
	return Component{Name: "dns", Arguments: []string{l.Bin("coredns"), "-conf=" + l.Config("Corefile")}}
}

// Registry serves images to the nodes, as this program itself.
func Registry(l layout.Layout) Component {
	return Component{Name: "image-registry", Arguments: []string{l.Program(), "serve-registry"}}
}

// MetricsServer measures what pods and nodes use, every 10 s, which is the least that it accepts.
// The timeout of a request to a kubelet is well below that.
func MetricsServer(l layout.Layout) Component {
	kubeconfig := l.Kubeconfig("metrics-server")
	return Component{Name: "metrics-server", Arguments: []string{
		l.Bin("metrics-server"),
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		fmt.Sprintf("--secure-port=%d", layout.MetricsPort),
		"--tls-cert-file=" + l.Certificate("metrics-server"),
		"--tls-private-key-file=" + l.Key("metrics-server"),
		"--kubelet-certificate-authority=" + l.Certificate("ca"),
		"--kubelet-preferred-address-types=InternalIP",
		"--metric-resolution=10s",
		"--kubelet-request-timeout=5s",
	}}
}
