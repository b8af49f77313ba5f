//! The watch of the CustomResourceDefinition of an optional kind: a kind that the API server does not serve is listed when it is installed,
//! and not again and again until then.
#![expect(clippy::disallowed_types, reason = "lists and watches")]

use std::convert::identity;

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use tokio::sync::watch;

use super::list_watch::crd_presence::CrdPresence;
use super::list_watch::{ListWatchEvent, Selector, Source, list_watch};
use super::{CacheSync, Requirement, WatchEvent};
use crate::apiserver::scope::Scope;

/// A CustomResourceDefinition without its schema.
type PartialCrd = PartialObjectMeta<CustomResourceDefinition>;

/// Watches the CustomResourceDefinition of this name. Returns whether it exists, the state of the watch, and the future that keeps both up
/// to date.
pub(crate) fn watch_crd(
    client: &Client,
    name: &'static str,
) -> (
    CrdPresence,
    CacheSync,
    impl Future<Output = ()> + Send + use<>,
) {
    let kind = "CustomResourceDefinitions";
    let (sync, writer) = CacheSync::of::<PartialCrd>(kind, Requirement::Optional, &Scope::Cluster);
    let (sender, is_absent) = watch::channel(false);
    let source = Source {
        api: Api::<PartialCrd>::all(client.clone()),
        selector: Selector::Name(name),
        crd: None,
    };
    let events = list_watch(source, identity);
    let watch = async move {
        let mut events = std::pin::pin!(events);
        let mut is_absent = false;
        while let Some(event) = events.next().await {
            is_absent = is_absent_after(&event, is_absent);
            let is_certain = is_absent && !matches!(event, ListWatchEvent::Failed(_));
            sender.send_if_modified(|before| std::mem::replace(before, is_certain) != is_certain);
            writer.process(event, drop);
        }
    };
    (CrdPresence::new(is_absent), sync, watch)
}

/// Returns whether the CustomResourceDefinition was absent when the API server last reported it.
fn is_absent_after(event: &ListWatchEvent<PartialCrd>, was_absent: bool) -> bool {
    match event {
        ListWatchEvent::Page | ListWatchEvent::Progress | ListWatchEvent::Failed(_) => was_absent,
        ListWatchEvent::Objects(WatchEvent::Listed(crds, _)) => crds.is_empty(),
        ListWatchEvent::Objects(WatchEvent::Applied(_)) => false,
        ListWatchEvent::Objects(WatchEvent::Deleted(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::{Duration, timeout};

    use super::*;
    use crate::scripted::{Answer, failure, scripted};

    fn listed(names: &[&str]) -> Answer {
        let items: Vec<_> = (names.iter())
            .map(|name| json!({"metadata": {"name": name, "resourceVersion": "1"}, "spec": {}}))
            .collect();
        Answer::With(
            200,
            json!({"metadata": {"resourceVersion": "1"}, "items": items}),
        )
    }

    /// Follows the watch for a while. Returns whether the CustomResourceDefinition is absent, and the first request.
    async fn follow(script: fn(usize, &str) -> Answer) -> (bool, String) {
        let (client, requests) = scripted(script);
        let (presence, _, watch) = watch_crd(&client, "kinds.example.com");
        let _ = timeout(Duration::from_secs(5), watch).await;
        let first = requests.lock().unwrap()[0].clone();
        (presence.is_absent(), first)
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_list_or_a_deletion_makes_it_certain_that_a_kind_is_not_defined() {
        let (is_absent, request) = follow(|count, _| match count {
            0 => listed(&[]),
            _ => Answer::Hang,
        })
        .await;
        assert!(is_absent);
        assert!(
            request.contains("fieldSelector=metadata.name%3Dkinds.example.com"),
            "{request}"
        );
        let (is_absent, _) = follow(|_, _| failure(403, "forbidden")).await;
        assert!(!is_absent);
        let (is_absent, _) = follow(|count, _| match count {
            0 => listed(&["kinds.example.com"]),
            1 => Answer::Watch(vec![json!({"type": "DELETED", "object": {
                "metadata": {"name": "kinds.example.com", "resourceVersion": "2"}}})]),
            _ => Answer::Hang,
        })
        .await;
        assert!(is_absent);
    }

    #[tokio::test(start_paused = true)]
    async fn whether_a_kind_is_defined_is_uncertain_while_the_watch_fails_and_certain_after_it() {
        let (is_absent, _) = follow(|count, _| match count {
            0 => listed(&[]),
            _ => failure(503, "later"),
        })
        .await;
        assert!(!is_absent);
        let (is_absent, _) = follow(|count, _| match count {
            0 => listed(&[]),
            1 => failure(503, "later"),
            _ => Answer::Watch(vec![json!({"type": "BOOKMARK", "object": {
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"resourceVersion": "2"}}})]),
        })
        .await;
        assert!(is_absent);
    }
}
