//! One request to the API server, with its deadline and its errors.

use std::time::Duration;

use kube::Resource;
use kube::core::Status;
use prometheus_client::encoding::EncodeLabelValue;

use super::outcome::describe;

/// How long one request may take. The API server ends a request that is not a watch after 60 s itself; a tenth and a bit
/// of that leaves a pass time for several.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Verb {
    /// Reads one object.
    Get,
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
            Self::Apply => "apply",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        })
    }
}

/// Why a child or the status could not be brought to its desired form in this pass.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server answered with an error, or not at all. A retry may help.
    #[error("failed to {verb} {object}")]
    Request {
        /// What was asked for.
        verb: Verb,
        /// The object, as `Deployment hello`.
        object: String,
        /// What the client says.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time. A retry may help.
    #[error("failed to {verb} {object} within {} s", REQUEST_TIMEOUT.as_secs())]
    TimedOut {
        /// What was asked for.
        verb: Verb,
        /// The object, as `Deployment hello`.
        object: String,
    },
    /// The EchoCluster at hand is older than the child, or is being deleted. The watch will bring the newer one; a retry helps then.
    #[error("failed to decide about {child}: the EchoCluster has changed, or is being deleted")]
    StaleCluster {
        /// The child, as `Deployment hello`.
        child: String,
    },
    /// An object cannot be written as JSON. No retry helps.
    #[error("failed to write an object as JSON")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Whether somebody else has written the object in the meantime, so that a new look at it is all that is needed.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::StaleCluster { .. })
            || self.status().is_some_and(|status| status.code == 409)
    }

    /// Returns what was behind the error, for the log.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Request { source, .. } => Some(words(source)),
            Self::Json(source) => Some(source.to_string()),
            Self::TimedOut { .. } | Self::StaleCluster { .. } => None,
        }
    }

    /// Whether the object does not exist, or no longer.
    pub(super) fn is_not_found(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    /// Whether it is the EchoCluster itself that no longer exists, so that there is nothing left to do.
    pub fn is_end_of_cluster(&self) -> bool {
        matches!(self, Self::Request { object, .. } if object.starts_with("EchoCluster "))
            && self.is_not_found()
    }

    /// Whether the API server found the object invalid. It counts the node ports of a Service only when it takes them, and calls
    /// it an internal error if one is there twice.
    pub(super) fn is_invalid(&self) -> bool {
        self.status().is_some_and(|status| {
            let is_twice = status.message.starts_with("duplicate nodePort");
            status.code == 422 || status.code == 500 && is_twice
        })
    }

    /// Returns the API server's words where it understood the request and will refuse it again: bad, forbidden or invalid.
    pub(super) fn refusal(&self) -> Option<String> {
        self.status()
            .filter(|status| matches!(status.code, 400 | 403 | 422))
            .map(|status| status.message.clone())
    }

    /// Whether the namespace is on its way out, in which nothing can be created.
    pub(super) fn is_namespace_terminating(&self) -> bool {
        let causes = self
            .status()
            .and_then(|status| status.details.as_ref())
            .map(|details| &details.causes);
        causes.is_some_and(|causes| {
            causes
                .iter()
                .any(|cause| cause.reason == "NamespaceTerminating")
        })
    }

    fn status(&self) -> Option<&Status> {
        match self {
            Self::Request { source, .. } if let kube::Error::Api(status) = &**source => {
                Some(status)
            }
            Self::Request { .. }
            | Self::TimedOut { .. }
            | Self::StaleCluster { .. }
            | Self::Json(_) => None,
        }
    }
}

/// Returns what an error says in one line: of an API server's answer its message, without the object around it.
pub(crate) fn words(error: &kube::Error) -> String {
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
    let object = || describe(object);
    match tokio::time::timeout(REQUEST_TIMEOUT, sent).await {
        Ok(answer) => answer.map_err(|source| Error::Request {
            verb,
            object: object(),
            source: Box::new(source),
        }),
        Err(_) => Err(Error::TimedOut {
            verb,
            object: object(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;

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
        assert_eq!(error.to_string(), "failed to apply Service  within 10 s");
    }

    #[tokio::test]
    async fn a_refusal_is_told_from_what_a_retry_may_mend() {
        let forbidden = ask(Status::failure("no", "Forbidden").with_code(403)).await;
        assert_eq!(forbidden.refusal().as_deref(), Some("no"));
        let busy = ask(Status::failure("later", "TooManyRequests").with_code(429)).await;
        assert_eq!(busy.refusal(), None);
        let conflict = ask(Status::failure("changed", "Conflict").with_code(409)).await;
        assert!(conflict.is_conflict() && !conflict.is_not_found());
    }

    #[tokio::test]
    async fn a_node_port_that_is_there_twice_is_invalid_and_not_the_api_servers_trouble() {
        let words = "duplicate nodePort: {TCP 30080}";
        let twice = ask(Status::failure(words, "InternalError").with_code(500)).await;
        assert!(twice.is_invalid());
        let webhook = "failed calling webhook";
        let broken = ask(Status::failure(webhook, "InternalError").with_code(500)).await;
        assert!(!broken.is_invalid());
    }
}
