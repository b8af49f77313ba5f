//! One request to the API server, with its deadline and its errors.

use std::borrow::Cow;
use std::time::Duration;

use kube::api::{PatchParams, PostParams};
use kube::core::Status;
use kube::{Resource, ResourceExt};
use prometheus_client::encoding::EncodeLabelValue;

use crate::api::v1alpha1::EchoCluster;
use crate::model::children::FailedRequest;
use crate::model::metadata::FIELD_MANAGER;

/// The deadline of one request. It is longer than the default timeout of an admission webhook, 10 s
/// (`timeoutSeconds` of `admissionregistration.k8s.io/v1`), so that the API server's own message about a webhook that does not answer
/// arrives first.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The deadline of all requests that one child needs: two at their own deadline. The status is written after it.
pub(super) const CHILD_TIMEOUT: Duration = Duration::from_secs(30);

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Creates an object, and fails if there is one of that name.
    Create,
    /// Server-side apply.
    Apply,
    /// Replaces an object.
    Update,
    /// Changes a part of an object.
    Patch,
    /// Deletes an object.
    Delete,
}

impl std::fmt::Display for Verb {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Get => "get",
            Self::Create => "create",
            Self::Apply => "apply",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        })
    }
}

/// Why a child or the status was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server answered with an error, or not at all. A retry may help.
    #[error("failed to {verb} {kind} {name}")]
    Request {
        /// The request.
        verb: Verb,
        /// The kind of the object.
        kind: Cow<'static, str>,
        /// The name of the object.
        name: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time. A retry may help.
    #[error("failed to {verb} {kind} {name} within {} s", REQUEST_TIMEOUT.as_secs())]
    TimedOut {
        /// The request.
        verb: Verb,
        /// The kind of the object.
        kind: Cow<'static, str>,
        /// The name of the object.
        name: String,
    },
    /// All requests that one child needs took too long together. A retry may help.
    #[error("failed to write {child} within {} s", CHILD_TIMEOUT.as_secs())]
    ChildTimedOut {
        /// The child, as `Deployment hello`.
        child: String,
    },
    /// A part of a child is no longer where the cached copy has it, so that a patch cannot be carried out. A retry helps once the child has
    /// been read.
    #[error("failed to patch {child}: it has changed since it was read")]
    Outdated {
        /// The child, as `Deployment hello`.
        child: String,
        /// The API server's message.
        message: String,
    },
    /// The objects of the child's kind could not be listed, so it is not known whether it exists. A retry may help.
    #[error("failed to decide about {child}")]
    Unlisted {
        /// The child, as `HorizontalPodAutoscaler hello`.
        child: String,
        /// Why.
        message: String,
    },
    /// The cached EchoCluster is older than the child, or is being deleted. A retry helps once the watch has delivered the newer one.
    #[error("failed to decide about {child}: the EchoCluster has changed, or is being deleted")]
    StaleEchoCluster {
        /// The child, as `Deployment hello`.
        child: String,
    },
    /// An object cannot be written as JSON. No retry helps.
    #[error("failed to write an object as JSON")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Whether the decision was made on outdated objects, so that it has to be made again.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::StaleEchoCluster { .. }) || self.is_write_conflict()
    }

    /// Whether another client has written or created the object since it was read, so that it has to be read again. An admission webhook
    /// may also answer 409; that is a rejection.
    pub(super) fn is_write_conflict(&self) -> bool {
        let is_409 = |status: &Status| status.code == 409 && !is_denied_by_admission(status);
        matches!(self, Self::Outdated { .. }) || self.status().is_some_and(is_409)
    }

    /// Whether the error has lasted for the whole deadline of a request, so that it is worth a report at the first time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::ChildTimedOut { .. })
    }

    /// Whether there was no answer since the connection was refused or has ended. A request that has no answer in time is another thing: a
    /// webhook for its object may hang.
    pub fn is_unreachable(&self) -> bool {
        let is_connection = |error: &kube::Error| {
            matches!(error, kube::Error::Service(_) | kube::Error::HyperError(_))
        };
        matches!(self, Self::Request { source, .. } if is_connection(source))
    }

    /// Returns the error as a condition reports it.
    pub fn report(&self) -> FailedRequest {
        FailedRequest {
            message: self.to_string(),
            cause: self.cause(),
        }
    }

    /// Returns the cause of the error, for the log.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Request { source, .. } => Some(message_of(source)),
            Self::Outdated { message, .. } | Self::Unlisted { message, .. } => {
                Some(message.clone())
            }
            Self::Json(source) => Some(source.to_string()),
            Self::TimedOut { .. } | Self::ChildTimedOut { .. } | Self::StaleEchoCluster { .. } => {
                None
            }
        }
    }

    /// Whether the object does not exist, or no longer.
    pub(super) fn is_not_found(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    /// Whether it is the EchoCluster itself that no longer exists, so that there is nothing left to do.
    pub fn is_echo_cluster_not_found(&self) -> bool {
        matches!(self, Self::Request { kind, .. } if *kind == EchoCluster::kind(&()))
            && self.is_not_found()
    }

    /// Whether the API server found the object invalid. It checks node ports for duplicates only on allocation, and reports an internal
    /// error (500) then. A denial by admission is something else, although its code may be 422, the default of a
    /// ValidatingAdmissionPolicy.
    pub(super) fn is_invalid(&self) -> bool {
        self.status().is_some_and(|status| {
            let is_duplicate = status.message.starts_with("duplicate nodePort");
            let is_invalid = status.code == 422 || status.code == 500 && is_duplicate;
            is_invalid && !is_denied_by_admission(status)
        })
    }

    /// Returns the fields that make the object invalid, as `spec.ports[0].nodePort`, where the API server names them.
    pub(super) fn invalid_fields(&self) -> impl Iterator<Item = &str> {
        let details = self.status().filter(|_| self.is_invalid());
        let details = details.and_then(|status| status.details.as_ref());
        let causes = details.into_iter().flat_map(|details| &details.causes);
        causes.map(|cause| cause.field.as_str())
    }

    /// Returns the API server's message if it has rejected the object and will reject it again: bad, forbidden, invalid, or denied by an
    /// admission webhook or policy, whatever code that has chosen.
    pub(super) fn rejection(&self) -> Option<String> {
        let is_rejected = |status: &&Status| {
            matches!(status.code, 400 | 403 | 422) || is_denied_by_admission(status)
        };
        let status = self.status().filter(is_rejected)?;
        Some(status.message.clone())
    }

    /// Whether the namespace is terminating, so that nothing can be created in it.
    pub(super) fn is_namespace_terminating(&self) -> bool {
        matches!(self, Self::Request { source, .. } if is_namespace_terminating(source))
    }

    fn status(&self) -> Option<&Status> {
        match self {
            Self::Request { source, .. } if let kube::Error::Api(status) = &**source => {
                Some(status)
            }
            Self::Request { .. }
            | Self::TimedOut { .. }
            | Self::ChildTimedOut { .. }
            | Self::Outdated { .. }
            | Self::Unlisted { .. }
            | Self::StaleEchoCluster { .. }
            | Self::Json(_) => None,
        }
    }
}

/// Whether the API server has rejected an object because its namespace is being deleted.
pub(super) fn is_namespace_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// Whether an admission webhook or a ValidatingAdmissionPolicy has denied the request, by the phrase that the API server puts around
/// their message. Either may answer with any code.
fn is_denied_by_admission(status: &Status) -> bool {
    status.message.contains("denied the request") || status.message.contains(" denied request")
}

/// Returns an error in one line: of an API server's answer its message, without the object around it.
pub(crate) fn message_of(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return status.message.clone();
    }
    error.to_string()
}

/// Sends a request about `object` and waits for the answer, up to the deadline.
///
/// # Errors
/// [`Error::Request`] and [`Error::TimedOut`].
pub(crate) async fn request<K, T>(
    verb: Verb,
    object: &K,
    sent: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error>
where
    K: Resource<DynamicType = ()>,
{
    let (kind, name) = (K::kind(&()), object.name_any());
    match tokio::time::timeout(REQUEST_TIMEOUT, sent).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Error::Request {
            verb,
            kind,
            name,
            source: Box::new(source),
        }),
        Err(_) => Err(Error::TimedOut { verb, kind, name }),
    }
}

/// Returns the parameters of a create or an update, which name the operator as the field manager.
pub(super) fn post_params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// Returns the parameters of a JSON patch or a merge patch, likewise.
pub(super) fn patch_params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;
    use crate::fixtures::echo_cluster;

    async fn ask(answer: Status) -> Error {
        let sent = async { Err::<(), _>(kube::Error::Api(Box::new(answer))) };
        request(Verb::Get, &Service::default(), sent)
            .await
            .unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_ends_at_its_deadline() {
        let sent = std::future::pending::<kube::Result<()>>();
        let error = request(Verb::Apply, &Service::default(), sent)
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "failed to apply Service  within 15 s");
    }

    #[tokio::test]
    async fn a_rejection_is_not_a_conflict_and_429_is_neither() {
        let forbidden = ask(Status::failure("no", "Forbidden").with_code(403)).await;
        assert_eq!(forbidden.rejection().as_deref(), Some("no"));
        assert!(!forbidden.is_conflict());
        let busy = ask(Status::failure("later", "TooManyRequests").with_code(429)).await;
        assert!(busy.rejection().is_none() && !busy.is_conflict());
        let conflict = ask(Status::failure("changed", "Conflict").with_code(409)).await;
        assert!(conflict.is_conflict() && !conflict.is_not_found());
        assert!(conflict.is_write_conflict() && conflict.rejection().is_none());
    }

    #[test]
    fn a_stale_echo_cluster_is_a_conflict_that_no_read_of_the_child_ends() {
        let child = "Service hello".to_owned();
        let stale = Error::StaleEchoCluster { child };
        assert!(stale.is_conflict() && !stale.is_write_conflict());
    }

    #[tokio::test]
    async fn a_404_is_the_end_of_an_echo_cluster_only_if_it_is_one() {
        let not_found = || Status::failure("no", "NotFound").with_code(404);
        let service = ask(not_found()).await;
        assert!(service.is_not_found() && !service.is_echo_cluster_not_found());
        let sent = async { Err::<(), _>(kube::Error::Api(Box::new(not_found()))) };
        let cluster = request(Verb::Get, &echo_cluster(), sent).await;
        let cluster = cluster.unwrap_err();
        assert!(cluster.is_echo_cluster_not_found());
        assert_eq!(cluster.to_string(), "failed to get EchoCluster hello");
    }

    #[tokio::test]
    async fn a_409_of_a_webhook_is_a_rejection_and_not_a_conflict() {
        let message = "admission webhook \"a.example.com\" denied the request: no";
        let denied = ask(Status::failure(message, "Conflict").with_code(409)).await;
        assert!(!denied.is_conflict());
        assert_eq!(denied.rejection().as_deref(), Some(message));
    }

    #[tokio::test]
    async fn a_duplicate_node_port_is_invalid_although_the_api_server_reports_an_internal_error() {
        let message = "duplicate nodePort: {TCP 30080}";
        let twice = ask(Status::failure(message, "InternalError").with_code(500)).await;
        assert!(twice.is_invalid());
        let webhook = "failed calling webhook";
        let broken = ask(Status::failure(webhook, "InternalError").with_code(500)).await;
        assert!(!broken.is_invalid());
    }

    #[tokio::test]
    async fn a_422_of_a_policy_is_a_rejection_and_no_invalid_object() {
        let message = "services \"hello\" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'b' denied request: no";
        let denied = ask(Status::failure(message, "Invalid").with_code(422)).await;
        assert!(!denied.is_invalid());
        assert_eq!(denied.rejection().as_deref(), Some(message));
    }

    #[tokio::test(start_paused = true)]
    async fn the_api_servers_message_about_a_webhook_without_an_answer_arrives_before_the_deadline()
    {
        // A webhook has ten seconds by default, and the API server takes some time itself.
        let webhook = "failed calling webhook \"a.example.com\": context deadline exceeded";
        let sent = async {
            tokio::time::sleep(Duration::from_secs(11)).await;
            let status = Status::failure(webhook, "InternalError").with_code(500);
            Err::<(), _>(kube::Error::Api(Box::new(status)))
        };
        let error = request(Verb::Apply, &Service::default(), sent).await;
        assert_eq!(error.unwrap_err().cause().as_deref(), Some(webhook));
    }
}
