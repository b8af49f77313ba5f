//! The kinds that the simulated API server serves, and where.

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    EchoCluster,
    Deployment,
    Service,
    PodDisruptionBudget,
    NetworkPolicy,
    HorizontalPodAutoscaler,
    PodMonitor,
    Pod,
    CoreEvent,
    Event,
    CustomResourceDefinition,
    Lease,
}

/// The kinds of an EchoCluster's children.
pub(crate) const CHILDREN: [Kind; 6] = [
    Kind::Deployment,
    Kind::Service,
    Kind::PodDisruptionBudget,
    Kind::NetworkPolicy,
    Kind::HorizontalPodAutoscaler,
    Kind::PodMonitor,
];

/// All kinds.
const ALL: [Kind; 12] = [
    Kind::EchoCluster,
    Kind::Deployment,
    Kind::Service,
    Kind::PodDisruptionBudget,
    Kind::NetworkPolicy,
    Kind::HorizontalPodAutoscaler,
    Kind::PodMonitor,
    Kind::Pod,
    Kind::CoreEvent,
    Kind::Event,
    Kind::CustomResourceDefinition,
    Kind::Lease,
];

impl Kind {
    /// Returns API group, version, kind and plural.
    fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::EchoCluster => (
                "echo-operator.dev",
                "v1alpha1",
                "EchoCluster",
                "echoclusters",
            ),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::PodDisruptionBudget => (
                "policy",
                "v1",
                "PodDisruptionBudget",
                "poddisruptionbudgets",
            ),
            Self::NetworkPolicy => (
                "networking.k8s.io",
                "v1",
                "NetworkPolicy",
                "networkpolicies",
            ),
            Self::HorizontalPodAutoscaler => (
                "autoscaling",
                "v2",
                "HorizontalPodAutoscaler",
                "horizontalpodautoscalers",
            ),
            Self::PodMonitor => ("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors"),
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::CoreEvent => ("", "v1", "Event", "events"),
            Self::Event => ("events.k8s.io", "v1", "Event", "events"),
            Self::CustomResourceDefinition => (
                "apiextensions.k8s.io",
                "v1",
                "CustomResourceDefinition",
                "customresourcedefinitions",
            ),
            Self::Lease => ("coordination.k8s.io", "v1", "Lease", "leases"),
        }
    }

    /// Returns the kind's name, as `Deployment`.
    pub(crate) fn name(self) -> &'static str {
        self.names().2
    }

    /// Returns the name of the resource, as `deployments`.
    pub(crate) fn plural(self) -> &'static str {
        self.names().3
    }

    /// Returns the API group, which is empty for the core.
    pub(crate) fn group(self) -> &'static str {
        self.names().0
    }

    /// Returns group and version, as `apps/v1`.
    pub(crate) fn api_version(self) -> String {
        match self.names() {
            ("", version, ..) => version.to_owned(),
            (group, version, ..) => format!("{group}/{version}"),
        }
    }

    /// Returns the resource as messages name it, as `deployments.apps`.
    pub(crate) fn resource(self) -> String {
        match self.group() {
            "" => self.plural().to_owned(),
            group => format!("{}.{group}", self.plural()),
        }
    }

    /// Whether the kind has a status subresource.
    pub(crate) fn has_status(self) -> bool {
        matches!(
            self,
            Self::EchoCluster
                | Self::Deployment
                | Self::Service
                | Self::PodDisruptionBudget
                | Self::HorizontalPodAutoscaler
                | Self::Pod
        )
    }

    /// Whether a write of the status also writes a field of the metadata. This differs between kinds.
    pub(crate) fn status_writes_metadata(self, field: &str) -> bool {
        match self {
            Self::EchoCluster => false,
            Self::Deployment => field != "labels",
            Self::Pod => field != "ownerReferences",
            _ => true,
        }
    }

    /// Whether `metadata.generation` counts the changes of the spec.
    pub(crate) fn has_generation(self) -> bool {
        matches!(
            self,
            Self::EchoCluster
                | Self::Deployment
                | Self::PodDisruptionBudget
                | Self::NetworkPolicy
                | Self::PodMonitor
        )
    }

    /// Whether an update without a resourceVersion overwrites whatever there is.
    pub(crate) fn allows_unconditional_update(self) -> bool {
        !matches!(
            self,
            Self::EchoCluster | Self::PodMonitor | Self::PodDisruptionBudget | Self::Lease
        )
    }

    fn of_resource(group: &str, version: &str, plural: &str) -> Option<Self> {
        let is_named = |kind: &&Self| {
            let names = kind.names();
            (names.0, names.1, names.3) == (group, version, plural)
        };
        ALL.iter().find(is_named).copied()
    }
}

/// The resource or object of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Target {
    /// Reads the path of a request.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/').peekable();
        let group = match parts.next()? {
            "api" => "",
            "apis" => parts.next()?,
            _ => return None,
        };
        let version = parts.next()?;
        let namespace = parts.next_if_eq(&"namespaces").and_then(|_| parts.next());
        Some(Self {
            kind: Kind::of_resource(group, version, parts.next()?)?,
            namespace: namespace.map(ToOwned::to_owned),
            name: parts.next().map(ToOwned::to_owned),
            subresource: parts.next().map(ToOwned::to_owned),
        })
    }
}
