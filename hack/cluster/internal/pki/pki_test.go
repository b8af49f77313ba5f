package pki

import (
	"crypto/x509"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

func TestCertificatesHoldForTheAddressesThatClientsUse(t *testing.T) {
	l := layout.Layout{Root: t.TempDir(), Kubernetes: "1.37.2"}
	if err := WriteAll(l, layout.Nodes(2)); err != nil {
		t.Fatal(err)
	}
	authority, err := cert.NewPool(l.Certificate("ca"))
	if err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"apiserver": layout.KubernetesServiceIP.String(), "node-2": layout.Node(2).Address().String()} {
		certificates, err := cert.CertsFromFile(l.Certificate(name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := certificates[0].Verify(x509.VerifyOptions{Roots: authority, DNSName: address}); err != nil {
			t.Errorf("%s at %s: %v", name, address, err)
		}
	}
}

func TestAKubeconfigWorksAwayFromItsFolder(t *testing.T) {
	l := layout.Layout{Root: t.TempDir(), Kubernetes: "1.37.2"}
	if err := WriteAll(l, layout.Nodes(1)); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", l.AdminKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if config.CertFile != "" || config.KeyFile != "" || config.CAFile != "" || len(config.CertData) == 0 || len(config.CAData) == 0 {
		t.Error("the kubeconfig points to other files")
	}
	if config.Host != layout.APIServerURL {
		t.Errorf("got %s", config.Host)
	}
}
