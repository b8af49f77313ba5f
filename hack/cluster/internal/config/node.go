package config

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	baseconfig "k8s.io/component-base/config/v1alpha1"
	proxyconfig "k8s.io/kube-proxy/config/v1alpha1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// kubelet configures a kubelet that shares its machine with others.
func kubelet(l layout.Layout, n layout.Node) kubeletconfig.KubeletConfiguration {
	return kubeletconfig.KubeletConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: kubeletconfig.SchemeGroupVersion.String(), Kind: "KubeletConfiguration"},
		Authentication: kubeletconfig.KubeletAuthentication{
			Anonymous: kubeletconfig.KubeletAnonymousAuthentication{Enabled: new(false)},
			Webhook:   kubeletconfig.KubeletWebhookAuthentication{Enabled: new(true)},
			X509:      kubeletconfig.KubeletX509Authentication{ClientCAFile: l.Certificate("ca")},
		},
		Authorization:     kubeletconfig.KubeletAuthorization{Mode: kubeletconfig.KubeletAuthorizationModeWebhook},
		TLSCertFile:       l.Certificate(n.Name()),
		TLSPrivateKeyFile: l.Key(n.Name()),

		ContainerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
		CgroupDriver:             "cgroupfs",
		CgroupRoot:               n.Cgroup(),
		FailCgroupV1:             new(false),
		FailSwapOn:               new(false),
		EnforceNodeAllocatable:   []string{"none"},
		OOMScoreAdj:              new(int32(0)), // lowering it takes a capability that sandboxes withhold
		MakeIPTablesUtilChains:   new(false),    // kube-proxy works by nftables
		MaxPods:                  250,           // the node's /24 has room for them

		ClusterDomain:  "cluster.local",
		ClusterDNS:     []string{layout.DNSServiceIP.String()},
		ResolverConfig: new(resolverFile(l)),

		// A lease is renewed after a quarter of its duration: every 4 s, which a busy machine may miss four times in the
		// controller manager's 20 s of grace.
		NodeLeaseDurationSeconds:  16,
		NodeStatusUpdateFrequency: metav1.Duration{Duration: 2 * time.Second},
		NodeStatusReportFrequency: metav1.Duration{Duration: time.Minute},
		KubeAPIQPS:                new(int32(200)),
		KubeAPIBurst:              400,

		// A nearly full disk is no reason for an eviction; images cannot be fetched again, so none is ever removed.
		EvictionHard:                map[string]string{"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
		ImageGCHighThresholdPercent: new(int32(100)),
	}
}

// proxy configures a kube-proxy that works by nftables.
func proxy(l layout.Layout, n layout.Node) proxyconfig.KubeProxyConfiguration {
	return proxyconfig.KubeProxyConfiguration{
		TypeMeta:         metav1.TypeMeta{APIVersion: proxyconfig.SchemeGroupVersion.String(), Kind: "KubeProxyConfiguration"},
		Mode:             "nftables",
		ClusterCIDR:      layout.PodRange.String(),
		ClientConnection: baseconfig.ClientConnectionConfiguration{Kubeconfig: l.Kubeconfig("proxy")},
		HostnameOverride: n.Name(),
		OOMScoreAdj:      new(int32(0)),
		Conntrack:        proxyconfig.KubeProxyConntrackConfiguration{MaxPerCore: new(int32(0))}, // the machine's own limit stays
		// At the default of 1 s, a second change of a Service would be delayed, and a test with it.
		NFTables: proxyconfig.KubeProxyNFTablesConfiguration{MinSyncPeriod: metav1.Duration{Duration: 100 * time.Millisecond}},
	}
}
