//! Checks by SelfSubjectAccessReviews whether the operator has the permissions that it needs. It goes on without those that are missing: an
//! administrator may grant them at any time.
#![expect(clippy::disallowed_types, reason = "creates SelfSubjectAccessReviews")]

mod rules;

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use self::rules::{Rule, verbs};
use super::cache::Requirement;
use super::exponential_delays::ExponentialDelays;
use super::scope::{Namespaces, Scope};

/// The deadline of one review.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(10);

/// The reviews that are requested at the same time.
const CONCURRENCY: usize = 8;

/// The first wait until what is missing is checked again, before jitter; it doubles up to half of [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait until then, with jitter, which doubles a wait at most.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The missing permissions that a message names.
const NAMED: usize = 3;

/// What one request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    rule: &'static Rule,
    verb: &'static str,
    scope: Scope,
}

/// The permissions that the operator lacks. Clones share it.
#[derive(Clone, Debug)]
pub struct Permissions {
    state: watch::Receiver<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether all were checked once, or could not be.
    are_checked: bool,
    missing: Vec<Permission>,
}

impl Permissions {
    /// Returns that required permissions are missing, and the remedy; nothing if all are granted, as far as is known.
    pub fn not_granted(&self) -> Option<String> {
        let state = self.state.borrow();
        let required = state.missing.iter();
        let required: Vec<_> = required
            .filter(|missing| missing.rule.requirement == Requirement::Required)
            .collect();
        let role = required.first()?.role();
        let it = if required.len() == 1 { "it" } else { "them" };
        Some(format!(
            "cannot {}: grant {it} with {role}",
            list(&required)
        ))
    }

    /// Returns whether all permissions were checked once, or could not be.
    pub fn are_checked(&self) -> bool {
        self.state.borrow().are_checked
    }

    /// Returns the permissions that are missing, required or not.
    pub fn missing(&self) -> Vec<Permission> {
        self.state.borrow().missing.clone()
    }
}

impl Permission {
    /// Returns the verb, as a Role has it.
    pub fn verb(&self) -> &'static str {
        self.verb
    }

    /// Returns the resource with its group, as `deployments.apps`.
    pub fn resource(&self) -> String {
        let Rule {
            resource, group, ..
        } = self.rule;
        let dot = if group.is_empty() { "" } else { "." };
        format!("{resource}{dot}{group}")
    }

    /// Returns the namespace in which it is missing; nothing for the cluster.
    pub fn namespace(&self) -> Option<&str> {
        self.scope.namespace()
    }

    /// Returns the kind of role that can grant it.
    fn role(&self) -> &'static str {
        match self.scope {
            Scope::Cluster => "a ClusterRole (config/rbac)",
            Scope::Namespace(_) => "a Role (config/namespaced)",
        }
    }

    /// Returns whether the permission is granted.
    async fn review(&self, reviews: &Api<SelfSubjectAccessReview>) -> Result<bool, ReviewError> {
        let (resource, subresource) = match self.rule.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (self.rule.resource, None),
        };
        let attributes = ResourceAttributes {
            group: Some(self.rule.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource: subresource.map(ToOwned::to_owned),
            name: self.rule.name.map(ToOwned::to_owned),
            namespace: self.scope.namespace().map(ToOwned::to_owned),
            verb: Some(self.verb.to_owned()),
            ..ResourceAttributes::default()
        };
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let parameters = PostParams::default();
        let answer = timeout(REVIEW_TIMEOUT, reviews.create(&parameters, &review)).await;
        let answer = answer.map_err(|_| ReviewError::TimedOut)??;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// As `list deployments.apps in namespace "a"`.
impl fmt::Display for Permission {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}{}", self.verb, self.resource(), self.scope)
    }
}

/// Names the first permissions, and counts the others.
fn list(permissions: &[&Permission]) -> String {
    let named = permissions.iter().take(NAMED).map(ToString::to_string);
    let named = named.collect::<Vec<_>>().join(", ");
    match permissions.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Why it is not known whether a permission is granted. It is checked again.
#[derive(Debug, thiserror::Error)]
enum ReviewError {
    #[error("failed to create a SelfSubjectAccessReview: {0}")]
    Request(#[from] kube::Error),
    #[error("failed to create a SelfSubjectAccessReview within {} s", REVIEW_TIMEOUT.as_secs())]
    TimedOut,
}

/// Checks the permissions that the operator needs in its namespaces. Returns those that it lacks, and the future that keeps them up to
/// date. The requests are no writes, since the API server stores nothing: `client` has to send them without leadership.
pub fn check(
    client: Client,
    namespaces: &Namespaces,
) -> (Permissions, impl Future<Output = Infallible> + use<>) {
    let (sender, state) = watch::channel(State::default());
    let check = Check {
        reviews: Api::all(client),
        permissions: needed(namespaces)
            .into_iter()
            .map(Checked::unknown)
            .collect(),
        passes: 0,
        last_error: None,
        state: sender,
    };
    (Permissions { state }, check.run())
}

/// Returns all permissions that the operator needs.
fn needed(namespaces: &Namespaces) -> Vec<Permission> {
    let of_scope = |scope: &Scope| -> Vec<Permission> {
        let verbs = verbs().filter(|(rule, _)| !rule.is_of_cluster() || *scope == Scope::Cluster);
        let permission = |(rule, verb)| Permission {
            rule,
            verb,
            scope: scope.clone(),
        };
        verbs.map(permission).collect()
    };
    namespaces.scopes().iter().flat_map(of_scope).collect()
}

struct Check {
    reviews: Api<SelfSubjectAccessReview>,
    permissions: Vec<Checked>,
    /// How often what is not granted was checked.
    passes: u64,
    /// What the last failure of a review was, so that the same one is logged once.
    last_error: Option<String>,
    state: watch::Sender<State>,
}

/// What is known of a permission.
struct Checked {
    permission: Permission,
    /// Whether it is granted, as far as is known.
    is_granted: Option<bool>,
    /// The last pass in which its review has failed.
    failed_in: u64,
}

impl Check {
    /// Checks the permissions until all are granted, and then no more: a settled operator sends no request, and a permission
    /// that is withdrawn later is reported by the request that needs it.
    async fn run(mut self) -> Infallible {
        let mut delays = ExponentialDelays::with_jitter(FIRST_WAIT, LONGEST_WAIT / 2);
        self.review().await;
        while self.permissions.iter().any(Checked::is_due) {
            tokio::time::sleep(delays.next_delay()).await;
            self.review().await;
        }
        std::future::pending().await
    }

    /// Checks the permissions that are not known to be granted. After a request without a useful answer, the rest waits for the next time,
    /// which begins with it: a review that always fails keeps no other from being checked.
    async fn review(&mut self) {
        self.passes += 1;
        let (reviews, pass) = (&self.reviews, self.passes);
        let mut due: Vec<_> = self
            .permissions
            .iter_mut()
            .filter(|it| it.is_due())
            .collect();
        due.sort_by_key(|it| (it.failed_in, it.is_granted.is_some()));
        let due = due.into_iter().map(|it| it.review(reviews, pass));
        let mut due = futures::stream::iter(due).buffer_unordered(CONCURRENCY);
        let mut failed = None;
        while let Some(reviewed) = due.next().await {
            if let Err(error) = reviewed {
                failed = Some(error.to_string());
                break;
            }
        }
        drop(due);
        self.log_failure(failed);
        self.report();
    }

    /// Logs why a review has failed, if that has changed. Returns whether it has.
    fn log_failure(&mut self, failed: Option<String>) -> bool {
        let is_new = failed != self.last_error;
        self.last_error = failed;
        match &self.last_error {
            Some(error) if is_new => warn!(%error, "failed to check the permissions, retrying"),
            Some(_) | None => (),
        }
        is_new
    }

    /// Reports what is missing, and logs it if that has changed.
    fn report(&self) {
        let missing = self.permissions.iter();
        let missing = missing.filter(|it| it.is_granted == Some(false));
        let missing: Vec<_> = missing.map(|it| it.permission.clone()).collect();
        let names = list(&missing.iter().collect::<Vec<_>>());
        let before = self.state.send_replace(State {
            are_checked: true,
            missing: missing.clone(),
        });
        match missing.first() {
            _ if before.missing == missing => (),
            Some(first) => {
                let role = first.role();
                warn!(
                    missing = names,
                    "permissions are missing: grant them with {role}"
                );
            }
            None => info!("all permissions are granted"),
        }
    }
}

impl Checked {
    fn unknown(permission: Permission) -> Self {
        Self {
            permission,
            is_granted: None,
            failed_in: 0,
        }
    }

    /// Whether it is not known to be granted.
    fn is_due(&self) -> bool {
        self.is_granted != Some(true)
    }

    async fn review(
        &mut self,
        reviews: &Api<SelfSubjectAccessReview>,
        pass: u64,
    ) -> Result<(), ReviewError> {
        match self.permission.review(reviews).await {
            Ok(is_granted) => {
                self.is_granted = Some(is_granted);
                Ok(())
            }
            Err(error) => {
                self.failed_in = pass;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
