package pki

import (
	"fmt"
	"net"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// administrators is the group to which Kubernetes allows everything.
const administrators = "system:masters"

// users are the clients of the API server, by the names of their kubeconfigs, with the names that Kubernetes' own roles bind.
var users = map[string]cert.Config{
	"admin":              {CommonName: "admin", Organization: []string{administrators}},
	"dns":                {CommonName: "dns", Organization: []string{administrators}}, // reads Services and their endpoints
	"controller-manager": {CommonName: "system:kube-controller-manager"},
	"metrics-server":     metricsServer(),
	"scheduler":          {CommonName: "system:kube-scheduler"},
	"proxy":              {CommonName: "system:kube-proxy"},
}

// WriteAll makes every certificate, key and kubeconfig of a cluster.
func WriteAll(l layout.Layout, nodes []layout.Node) error {
	authority, err := NewAuthority(l, "ca")
	if err != nil {
		return err
	}
	if err := IssueServiceAccountKeys(l); err != nil {
		return err
	}
	if err := authority.Issue("apiserver", apiServer()); err != nil {
		return err
	}
	toKubelets := cert.Config{CommonName: "apiserver-to-kubelet", Organization: []string{administrators}}
	if err := authority.Issue("apiserver-to-kubelet", toKubelets); err != nil {
		return err
	}
	if err := issueFrontProxy(l); err != nil {
		return err
	}
	for name, user := range users {
		if err := authority.issueUser(name, user); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := authority.issueUser(n.Name(), kubelet(n)); err != nil {
			return err
		}
	}
	return nil
}

// apiServer names the API server by every address and DNS name that clients use.
func apiServer() cert.Config {
	ips := []net.IP{layout.ControlPlaneAddress.AsSlice(), net.IPv4(127, 0, 0, 1), layout.KubernetesServiceIP.AsSlice()}
	return cert.Config{CommonName: "kube-apiserver", AltNames: cert.AltNames{IPs: ips, DNSNames: layout.KubernetesServiceDNS}}
}

// FrontProxy is the name by which the API server proxies requests to its extensions.
const FrontProxy = "front-proxy-client"

// issueFrontProxy creates the certificate by which extensions authenticate the API server and trust its user headers. It is issued by
// a separate authority, as Kubernetes' documentation requires, since its holder can impersonate every user.
func issueFrontProxy(l layout.Layout) error {
	authority, err := NewAuthority(l, "front-proxy-ca")
	if err != nil {
		return err
	}
	return authority.Issue(FrontProxy, cert.Config{CommonName: FrontProxy})
}

// metricsServer names metrics-server as its Service is called. It reads pods, nodes and what kubelets measure.
func metricsServer() cert.Config {
	names := cert.AltNames{DNSNames: []string{"metrics-server." + metav1.NamespaceSystem + ".svc"}}
	return cert.Config{CommonName: "metrics-server", Organization: []string{administrators}, AltNames: names}
}

// kubelet names a kubelet as Kubernetes' node authorizer expects it.
func kubelet(n layout.Node) cert.Config {
	return cert.Config{
		CommonName:   "system:node:" + n.Name(),
		Organization: []string{"system:nodes"},
		AltNames:     cert.AltNames{IPs: []net.IP{n.Address().AsSlice()}, DNSNames: []string{n.Name()}},
	}
}

// issueUser makes a user's certificate and a kubeconfig that holds all of it, so that the one file may be copied anywhere.
func (a Authority) issueUser(name string, user cert.Config) error {
	if err := a.Issue(name, user); err != nil {
		return err
	}
	config := api.NewConfig()
	authority, err := os.ReadFile(a.files.Certificate("ca"))
	if err != nil {
		return fmt.Errorf("read the certificate authority: %w", err)
	}
	certificate, err := os.ReadFile(a.files.Certificate(name))
	if err != nil {
		return fmt.Errorf("read the certificate of %s: %w", name, err)
	}
	key, err := os.ReadFile(a.files.Key(name))
	if err != nil {
		return fmt.Errorf("read the key of %s: %w", name, err)
	}
	config.Clusters["echo-cluster"] = &api.Cluster{Server: layout.APIServerURL, CertificateAuthorityData: authority}
	config.AuthInfos[name] = &api.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts["echo-cluster"] = &api.Context{Cluster: "echo-cluster", AuthInfo: name}
	config.CurrentContext = "echo-cluster"
	if err := clientcmd.WriteToFile(*config, a.files.Kubeconfig(name)); err != nil {
		return fmt.Errorf("write the kubeconfig of %s: %w", name, err)
	}
	return nil
}
