package driver

import (
	"context"
	"fmt"
	"os"

	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
)

// home is the namespace of the service accounts.
const home = "bench-operator"

// prepareIdentities makes the place for service accounts, which may do everything: their requests pass the same few rules.
func (c *cluster) prepareIdentities(ctx context.Context) error {
	namespace := &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: home}}
	_, err := c.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the namespace %s: %w", home, err)
	}
	binding := &rbac.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: home},
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbac.Subject{{APIGroup: rbac.GroupName, Kind: rbac.GroupKind, Name: "system:serviceaccounts:" + home}},
	}
	_, err = c.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("bind the service accounts: %w", err)
	}
	return nil
}

// userName is how the audit log calls a client.
func userName(client string) string { return "system:serviceaccount:" + home + ":" + client }

// writeKubeconfig gives a client a service account and a kubeconfig of its own, by which the audit log identifies it.
func (c *cluster) writeKubeconfig(ctx context.Context, client, path string) error {
	account := &core.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: client}}
	_, err := c.CoreV1().ServiceAccounts(home).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the service account %s: %w", client, err)
	}
	const day = 24 * 60 * 60
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](day)}}
	token, err := c.CoreV1().ServiceAccounts(home).CreateToken(ctx, client, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("ask for a token of %s: %w", client, err)
	}
	config := api.NewConfig()
	config.Clusters["bench"] = &api.Cluster{Server: c.config.Host, CertificateAuthorityData: c.config.CAData}
	config.AuthInfos[client] = &api.AuthInfo{Token: token.Status.Token}
	config.Contexts["bench"] = &api.Context{Cluster: "bench", AuthInfo: client}
	config.CurrentContext = "bench"
	if len(c.config.CAData) == 0 {
		if config.Clusters["bench"].CertificateAuthorityData, err = os.ReadFile(c.config.CAFile); err != nil {
			return fmt.Errorf("read the certificate authority: %w", err)
		}
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write the kubeconfig of %s: %w", client, err)
	}
	return nil
}
