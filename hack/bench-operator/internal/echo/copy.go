package echo

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// DeepCopyInto is what controller-gen would write.
func (c *EchoCluster) DeepCopyInto(to *EchoCluster) {
	*to = *c
	c.ObjectMeta.DeepCopyInto(&to.ObjectMeta)
	to.Spec.Listeners = slices.Clone(c.Spec.Listeners)
	c.Spec.Resources.DeepCopyInto(&to.Spec.Resources)
	to.Status.Conditions = slices.Clone(c.Status.Conditions)
}

// DeepCopyObject makes it a runtime.Object.
func (c *EchoCluster) DeepCopyObject() runtime.Object {
	to := &EchoCluster{}
	c.DeepCopyInto(to)
	return to
}

// DeepCopyObject makes it a runtime.Object.
func (l *EchoClusterList) DeepCopyObject() runtime.Object {
	to := &EchoClusterList{TypeMeta: l.TypeMeta, Items: make([]EchoCluster, len(l.Items))}
	l.ListMeta.DeepCopyInto(&to.ListMeta)
	for i := range l.Items {
		l.Items[i].DeepCopyInto(&to.Items[i])
	}
	return to
}
