// Package api is a client of the running API server, as the administrator.
package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// requestTime is how long one request may take; a paused API server never responds.
const requestTime = 3 * time.Second

// Client is a client of one cluster's API server.
type Client struct{ kubernetes kubernetes.Interface }

// New returns a client that uses the administrator's kubeconfig.
func New(l layout.Layout) (Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", l.AdminKubeconfig())
	if err != nil {
		return Client{}, fmt.Errorf("read the kubeconfig (is the cluster up?): %w", err)
	}
	config.QPS, config.Burst, config.Timeout = 200, 400, requestTime
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return Client{}, fmt.Errorf("make a client: %w", err)
	}
	return Client{client}, nil
}

// Ready returns why the API server is not ready, or nil.
func (c Client) Ready(ctx context.Context) error {
	if err := c.kubernetes.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return fmt.Errorf("API server: %w", err)
	}
	return nil
}

// NodesReady returns which of the given nodes is not ready, or nil.
func (c Client) NodesReady(ctx context.Context, nodes []layout.Node) error {
	ready, err := c.NodeConditions(ctx)
	if err != nil {
		return err
	}
	var failures []error
	for _, n := range nodes {
		if reason, known := ready[n.Name()]; !known {
			failures = append(failures, fmt.Errorf("%s has not registered", n.Name()))
		} else if reason != Ready {
			failures = append(failures, fmt.Errorf("%s is not ready: %s", n.Name(), reason))
		}
	}
	return errors.Join(failures...)
}

// Ready is the condition of a ready node.
const Ready = "Ready"

// NodeConditions returns for each node Ready, or why it is not.
func (c Client) NodeConditions(ctx context.Context) (map[string]string, error) {
	list, err := c.kubernetes.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	conditions := map[string]string{}
	for _, node := range list.Items {
		conditions[node.Name] = "no condition reported yet"
		for _, condition := range node.Status.Conditions {
			if condition.Type != core.NodeReady {
				continue
			}
			conditions[node.Name] = "NotReady: " + condition.Message
			if condition.Status == core.ConditionTrue {
				conditions[node.Name] = Ready
			}
		}
	}
	return conditions, nil
}

// DefaultServiceAccount returns why pods cannot be created in the default namespace yet, or nil.
func (c Client) DefaultServiceAccount(ctx context.Context) error {
	_, err := c.kubernetes.CoreV1().ServiceAccounts(core.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("default service account: %w", err)
	}
	return nil
}
