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

// identityNamespace is the namespace of the service accounts.
const identityNamespace = "bench-operator"

// prepareIdentities creates the namespace of the service accounts, which may do everything, so that RBAC costs the same for all.
func (c *cluster) prepareIdentities(ctx context.Context) error {
	namespace := &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: identityNamespace}}
	_, err := c.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the namespace %s: %w", identityNamespace, err)
	}
	binding := &rbac.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: identityNamespace},
		RoleRef:    rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbac.Subject{{APIGroup: rbac.GroupName, Kind: rbac.GroupKind, Name: "system:serviceaccounts:" + identityNamespace}},
	}
	_, err = c.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("bind the service accounts: %w", err)
	}
	return nil
}

// userName is the name of a client in the audit log.
func userName(client string) string {
	return "system:serviceaccount:" + identityNamespace + ":" + client
}

// writeKubeconfig creates a service account and a kubeconfig for a client, so that the audit log identifies it.
func (c *cluster) writeKubeconfig(ctx context.Context, client, path string) error {
	account := &core.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: client}}
	_, err := c.CoreV1().ServiceAccounts(identityNamespace).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the service account %s: %w", client, err)
	}
	const day = 24 * 60 * 60
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](day)}}
	token, err := c.CoreV1().ServiceAccounts(identityNamespace).CreateToken(ctx, client, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("request a token for %s: %w", client, err)
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
