package echo

import (
	"fmt"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

const (
	adminPort      = 9090
	adminPortName  = "admin"
	secondsToClean = 5 // between the end of a drain and SIGKILL
)

// Deployment runs the echo servers. Whatever the API server would fill in is spelled out, so that CreateOrUpdate finds no difference
// to what is stored.
func Deployment(c *EchoCluster) *apps.Deployment {
	rollout := c.Spec.Rollout
	return &apps.Deployment{
		ObjectMeta: metadata(c, c.Name),
		Spec: apps.DeploymentSpec{
			Replicas: ptr.To(c.Spec.Replicas),
			Selector: Selector(c.Name),
			Template: core.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: Labels(c.Name)}, Spec: podSpec(c)},
			Strategy: apps.DeploymentStrategy{
				Type: apps.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &apps.RollingUpdateDeployment{
					MaxSurge: ptr.To(rollout.MaxSurge), MaxUnavailable: ptr.To(rollout.MaxUnavailable),
				},
			},
			MinReadySeconds:         rollout.MinReadySeconds,
			ProgressDeadlineSeconds: ptr.To(rollout.ProgressDeadlineSeconds),
			RevisionHistoryLimit:    ptr.To(rollout.RevisionHistoryLimit),
		},
	}
}

// podSpec passes Pod Security "restricted".
func podSpec(c *EchoCluster) core.PodSpec {
	return core.PodSpec{
		Containers:                   []core.Container{container(c)},
		AutomountServiceAccountToken: ptr.To(false),
		EnableServiceLinks:           ptr.To(false),
		NodeSelector:                 map[string]string{"kubernetes.io/os": "linux"},
		SecurityContext: &core.PodSecurityContext{
			RunAsNonRoot:   ptr.To(true),
			SeccompProfile: &core.SeccompProfile{Type: core.SeccompProfileTypeRuntimeDefault},
		},
		TerminationGracePeriodSeconds: ptr.To(int64(c.Spec.DrainSeconds) + secondsToClean),
		Affinity:                      affinity(c.Name),
		RestartPolicy:                 core.RestartPolicyAlways,
		DNSPolicy:                     core.DNSClusterFirst,
		SchedulerName:                 core.DefaultSchedulerName,
	}
}

// affinity spreads the pods over zones and nodes where that is possible.
func affinity(name string) *core.Affinity {
	apart := func(weight int32, topologyKey string) core.WeightedPodAffinityTerm {
		term := core.PodAffinityTerm{LabelSelector: Selector(name), TopologyKey: topologyKey}
		return core.WeightedPodAffinityTerm{Weight: weight, PodAffinityTerm: term}
	}
	return &core.Affinity{PodAntiAffinity: &core.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []core.WeightedPodAffinityTerm{
			apart(100, core.LabelTopologyZone), apart(50, core.LabelHostname),
		},
	}}
}

// container is the echo server.
func container(c *EchoCluster) core.Container {
	return core.Container{
		Name:            "echo-server",
		Image:           c.Spec.Image,
		ImagePullPolicy: c.Spec.ImagePullPolicy,
		Args:            Arguments(c),
		Ports:           containerPorts(c),
		Resources:       c.Spec.Resources,
		SecurityContext: &core.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false),
			ReadOnlyRootFilesystem:   ptr.To(true),
			Capabilities:             &core.Capabilities{Drop: []core.Capability{"ALL"}},
		},
		StartupProbe:             probe("/readyz", 1, 30),
		ReadinessProbe:           probe("/readyz", 5, 2),
		LivenessProbe:            probe("/livez", 10, 3),
		TerminationMessagePath:   core.TerminationMessagePathDefault,
		TerminationMessagePolicy: core.TerminationMessageFallbackToLogsOnError,
	}
}

// Drain returns the argument by which a change of drainSeconds shows in the Deployment.
func Drain(seconds int32) string { return fmt.Sprintf("--drain-seconds=%d", seconds) }

// Arguments are the echo server's flags.
func Arguments(c *EchoCluster) []string {
	arguments := make([]string, 0, 9)
	for _, listener := range c.Spec.Listeners {
		arguments = append(arguments, fmt.Sprintf("--listen=line:%d", listener.Port))
	}
	limits := c.Spec.Limits
	return append(arguments,
		fmt.Sprintf("--admin=%d", adminPort),
		Drain(c.Spec.DrainSeconds),
		"--line-prefix="+c.Spec.Line.Prefix,
		fmt.Sprintf("--max-connections=%d", limits.MaxConnections),
		fmt.Sprintf("--max-connections-per-client=%d", limits.MaxConnectionsPerClient),
		fmt.Sprintf("--idle-timeout-seconds=%d", limits.IdleTimeoutSeconds),
		fmt.Sprintf("--write-timeout-seconds=%d", limits.WriteTimeoutSeconds),
		fmt.Sprintf("--max-line-bytes=%d", limits.MaxLineBytes),
	)
}

func containerPorts(c *EchoCluster) []core.ContainerPort {
	ports := make([]core.ContainerPort, 0, len(c.Spec.Listeners)+1)
	for _, listener := range c.Spec.Listeners {
		ports = append(ports, core.ContainerPort{Name: listener.Name, ContainerPort: listener.Port, Protocol: core.ProtocolTCP})
	}
	return append(ports, core.ContainerPort{Name: adminPortName, ContainerPort: adminPort, Protocol: core.ProtocolTCP})
}

func probe(path string, period, failures int32) *core.Probe {
	get := &core.HTTPGetAction{Path: path, Port: intstr.FromString(adminPortName), Scheme: core.URISchemeHTTP}
	return &core.Probe{
		ProbeHandler:  core.ProbeHandler{HTTPGet: get},
		PeriodSeconds: period, TimeoutSeconds: 2, FailureThreshold: failures, SuccessThreshold: 1,
	}
}
