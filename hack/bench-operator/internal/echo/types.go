// Package echo has EchoClusters as far as the benchmark uses them, and their desired children.
//
// It is what a Go programmer would write for the same purpose as operator/src/desired. The peer and the floor share it, so that
// both make what the operator makes; its tests compare it with the operator's own files, and every run of the benchmark with what
// the operator has made on the cluster.
package echo

import (
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// GroupVersion is that of crds/echoclusters.yaml.
var GroupVersion = schema.GroupVersion{Group: "echo-operator.dev", Version: "v1alpha1"}

const (
	// Kind is what an EchoCluster is called in its own JSON.
	Kind = "EchoCluster"
	// Resource is what it is called in paths and in the audit log.
	Resource = "echoclusters"
)

// EchoCluster is a fleet of echo servers. Fields that the benchmark leaves at "none" are not here.
type EchoCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   Spec   `json:"spec,omitempty"`
	Status Status `json:"status,omitempty"`
}

// EchoClusterList is the response to a list.
type EchoClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []EchoCluster `json:"items"`
}

// Spec is the desired state, with the defaults of the schema.
type Spec struct {
	Replicas        int32                     `json:"replicas"`
	Image           string                    `json:"image,omitempty"`
	ImagePullPolicy core.PullPolicy           `json:"imagePullPolicy,omitempty"`
	Listeners       []Listener                `json:"listeners,omitempty"`
	Line            Line                      `json:"line,omitempty"`
	Limits          Limits                    `json:"limits,omitempty"`
	DrainSeconds    int32                     `json:"drainSeconds"`
	Resources       core.ResourceRequirements `json:"resources,omitempty"`
	Rollout         Rollout                   `json:"rollout,omitempty"`
	Disruption      Disruption                `json:"disruption,omitempty"`
}

// Listener is a port of protocol Line.
type Listener struct {
	Name string `json:"name"`
	Port int32  `json:"port"`
}

// Line is how lines are answered.
type Line struct {
	Prefix string `json:"prefix"`
}

// Limits are what an echo server puts up with.
type Limits struct {
	MaxConnections          int32 `json:"maxConnections"`
	MaxConnectionsPerClient int32 `json:"maxConnectionsPerClient"`
	IdleTimeoutSeconds      int32 `json:"idleTimeoutSeconds"`
	WriteTimeoutSeconds     int32 `json:"writeTimeoutSeconds"`
	MaxLineBytes            int32 `json:"maxLineBytes"`
}

// Rollout is how a change reaches the pods.
type Rollout struct {
	MaxSurge                intstr.IntOrString `json:"maxSurge,omitempty"`
	MaxUnavailable          intstr.IntOrString `json:"maxUnavailable,omitempty"`
	MinReadySeconds         int32              `json:"minReadySeconds"`
	ProgressDeadlineSeconds int32              `json:"progressDeadlineSeconds"`
	RevisionHistoryLimit    int32              `json:"revisionHistoryLimit"`
}

// Disruption is what evictions may take at a time.
type Disruption struct {
	Policy         string             `json:"policy,omitempty"`
	MaxUnavailable intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// Status is what is reported.
type Status struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Replicas           int32              `json:"replicas"`
	ReadyReplicas      int32              `json:"readyReplicas"`
	UpdatedReplicas    int32              `json:"updatedReplicas"`
	AvailableReplicas  int32              `json:"availableReplicas"`
	Selector           string             `json:"selector,omitempty"`
	Address            string             `json:"address,omitempty"`
	Image              string             `json:"image,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// AddToScheme makes EchoClusters known to a client.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &EchoCluster{}, &EchoClusterList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
