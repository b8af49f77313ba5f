package echo

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ManagedBy is the label by which watches of children are scoped.
const ManagedBy, Manager = "app.kubernetes.io/managed-by", "echo-operator"

// Labels returns the labels of all children, which also select the pods.
func Labels(name string) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":     "echo-server",
		"app.kubernetes.io/instance": name,
		ManagedBy:                    Manager,
	}
}

// Selector selects the pods.
func Selector(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: Labels(name)}
}

// HeadlessName is the name of the Service that gives each pod an address.
func HeadlessName(name string) string { return name + "-pods" }

// metadata is what all children have: a name, labels, and the owner that they go with.
func metadata(c *EchoCluster, name string) metav1.ObjectMeta {
	owner := metav1.NewControllerRef(c, GroupVersion.WithKind(Kind))
	return metav1.ObjectMeta{
		Name: name, Namespace: c.Namespace, Labels: Labels(c.Name), OwnerReferences: []metav1.OwnerReference{*owner},
	}
}
