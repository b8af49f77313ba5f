package driver

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/echo"
)

// cluster is a client of the API server as the administrator, who is exempt from priority and fairness.
type cluster struct {
	kubernetes.Interface
	metadata metadata.Interface
	config   *rest.Config
}

func newCluster(kubeconfig string) (*cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.QPS = -1
	config.ContentType = runtime.ContentTypeProtobuf
	kinds, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	objects, err := metadata.NewForConfig(metadata.ConfigFor(config))
	if err != nil {
		return nil, fmt.Errorf("make a client of metadata: %w", err)
	}
	return &cluster{Interface: kinds, metadata: objects, config: config}, nil
}

// raw reads paths and sends JSON.
func (c *cluster) raw() rest.Interface { return c.Discovery().RESTClient() }

// installCRD applies crds/echoclusters.yaml and waits until EchoClusters are served.
func (c *cluster) installCRD(ctx context.Context, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the CRD: %w", err)
	}
	const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/echoclusters.echo-operator.dev"
	if err := c.apply(crds, text).Do(ctx).Error(); err != nil {
		return fmt.Errorf("apply the CRD: %w", err)
	}
	return until(ctx, time.Minute, "EchoClusters are served", func() (bool, error) {
		err := c.raw().Get().AbsPath("/apis/echo-operator.dev/v1alpha1/echoclusters").SetHeader("Accept", "application/json").Do(ctx).Error()
		return err == nil, ignoreNotFound(err)
	})
}

// apply makes a server-side apply of an object in YAML or JSON.
func (c *cluster) apply(path string, object []byte) *rest.Request {
	apply := c.raw().Patch(types.ApplyPatchType).AbsPath(path).Param("fieldManager", "bench-operator").Param("force", "true")
	return apply.Body(object)
}

// createNamespace creates a namespace and waits for its default service account, which kube-controller-manager creates.
func (c *cluster) createNamespace(ctx context.Context, name string) error {
	namespace := &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create the namespace %s: %w", name, err)
	}
	return until(ctx, time.Minute, "the namespace is ready", func() (bool, error) {
		_, err := c.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, ignoreNotFound(err)
	})
}

// deleteNamespace deletes a namespace, if it exists, and waits until it is gone.
func (c *cluster) deleteNamespace(ctx context.Context, name string) error {
	return until(ctx, 20*time.Minute, "the namespace "+name+" is gone", func() (bool, error) {
		err := c.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{})
		if apierrors.IsConflict(err) { // it is being deleted
			err = nil
		}
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}

// echoPath is the path of an EchoCluster, or of all in a namespace for "".
func echoPath(namespace, name string) string {
	path := "/apis/" + echo.GroupVersion.String() + "/namespaces/" + namespace + "/" + echo.Resource
	if name == "" {
		return path
	}
	return path + "/" + name
}

// create creates an EchoCluster with a number of pods, and defaults otherwise.
func (c *cluster) create(ctx context.Context, namespace, name string, replicas int) error {
	body, err := json.Marshal(map[string]any{
		"apiVersion": echo.GroupVersion.String(), "kind": echo.Kind,
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"replicas": replicas},
	})
	if err != nil {
		return err
	}
	return asJSON(c.raw().Post().AbsPath(echoPath(namespace, ""))).Body(body).Do(ctx).Error()
}

// setDrain changes one field of an EchoCluster.
func (c *cluster) setDrain(ctx context.Context, namespace, name string, seconds int32) error {
	body := fmt.Sprintf(`{"spec":{"drainSeconds":%d}}`, seconds)
	patch := c.raw().Patch(types.MergePatchType).AbsPath(echoPath(namespace, name)).SetHeader("Accept", "application/json")
	return patch.Body([]byte(body)).Do(ctx).Error()
}

// delete deletes an EchoCluster. Kubernetes' garbage collector deletes its children.
func (c *cluster) delete(ctx context.Context, namespace, name string) error {
	return asJSON(c.raw().Delete().AbsPath(echoPath(namespace, name))).Do(ctx).Error()
}

// asJSON makes a request use JSON, the only encoding of custom resources.
func asJSON(request *rest.Request) *rest.Request {
	return request.SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json")
}

// object is any object, as it is in JSON.
type object = map[string]any

// list lists all objects below a path that have the operator's label.
func (c *cluster) list(ctx context.Context, path string) ([]object, error) {
	selector := echo.ManagedBy + "=" + echo.Manager
	text, err := asJSON(c.raw().Get().AbsPath(path)).Param("labelSelector", selector).Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	var list struct{ Items []object }
	return list.Items, yaml.Unmarshal(text, &list)
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
