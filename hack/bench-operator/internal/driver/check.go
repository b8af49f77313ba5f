package driver

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

// The EchoClusters whose children all clients must create alike: that of the benchmark, and for the operators one of two pods, which has a
// PodDisruptionBudget.
const (
	plain = "plain"
	pair  = "pair"
)

// kinds are the API paths of children, by kind.
var kinds = map[string]string{
	"Deployment":          "/apis/apps/v1/namespaces/%s/deployments",
	"Service":             "/api/v1/namespaces/%s/services",
	"NetworkPolicy":       "/apis/networking.k8s.io/v1/namespaces/%s/networkpolicies",
	"PodDisruptionBudget": "/apis/policy/v1/namespaces/%s/poddisruptionbudgets",
}

// check fails unless all clients create the same children, without their annotations.
func (d *Driver) check(ctx context.Context) error {
	made := map[string]map[string]object{}
	for _, client := range d.Options.Clients {
		children, err := d.childrenOf(ctx, client)
		if err != nil {
			return fmt.Errorf("the children that %s makes: %w", client.Name, err)
		}
		made[client.Name] = children
	}
	for name, children := range made {
		for child, expected := range made[measure.Ours] {
			if name == measure.Floor && !strings.Contains(child, " "+plain) {
				continue
			}
			if differences := differences(child, expected, children[child]); len(differences) > 0 {
				return fmt.Errorf("%s makes other children than the operator:\n%s", name, strings.Join(differences, "\n"))
			}
		}
	}
	d.logf("All clients create the same children: %s", strings.Join(slices.Sorted(maps.Keys(made[measure.Ours])), ", "))
	return nil
}

// childrenOf runs a client until it has created the children, and returns them by kind and name.
func (d *Driver) childrenOf(ctx context.Context, client Client) (map[string]object, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, err := d.begin(ctx, client, "bench-check-"+client.Name)
	if err != nil {
		return nil, err
	}
	defer t.process.stop()
	expected := int(children)
	if err := d.cluster.create(ctx, t.namespace, plain, pods); err != nil {
		return nil, err
	}
	if client.Name != measure.Floor {
		if err := d.cluster.create(ctx, t.namespace, pair, 2); err != nil {
			return nil, err
		}
		expected += int(children) + 1
	}
	found := map[string]object{}
	err = until(ctx, time.Minute, fmt.Sprintf("%d children exist", expected), func() (bool, error) {
		var err error
		found, err = d.cluster.children(ctx, t.namespace)
		return len(found) >= expected, err
	})
	if err != nil {
		return nil, err
	}
	t.process.stop()
	return found, d.cluster.deleteNamespace(ctx, t.namespace)
}

// children returns the compared fields of all children in a namespace.
func (c *cluster) children(ctx context.Context, namespace string) (map[string]object, error) {
	found := map[string]object{}
	for kind, path := range kinds {
		items, err := c.list(ctx, fmt.Sprintf(path, namespace))
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			name := fmt.Sprint(item["metadata"].(object)["name"])
			found[kind+" "+name] = contents(item)
		}
	}
	return found, nil
}

// contents leaves out what differs between equal objects: the creator, times, and what Kubernetes has added.
func contents(item object) object {
	delete(item, "status")
	delete(item, "kind")
	delete(item, "apiVersion")
	metadata := item["metadata"].(object)
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "annotations", "namespace"} {
		delete(metadata, field)
	}
	owners, _ := metadata["ownerReferences"].([]any)
	for _, owner := range owners {
		delete(owner.(object), "uid")
	}
	spec := item["spec"].(object)
	if spec["clusterIP"] != "None" {
		delete(spec, "clusterIP")
		delete(spec, "clusterIPs")
	}
	return item
}

// differences lists in which fields two objects differ.
func differences(path string, expected, got any) []string {
	one, isObject := expected.(object)
	other, isToo := got.(object)
	if !isObject || !isToo {
		if reflect.DeepEqual(expected, got) {
			return nil
		}
		return []string{fmt.Sprintf("%s: %v instead of %v", path, got, expected)}
	}
	keys := maps.Clone(one)
	maps.Copy(keys, other)
	var all []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		all = append(all, differences(path+"."+key, one[key], other[key])...)
	}
	return all
}
