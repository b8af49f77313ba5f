//! Whether an optional kind is defined: the CustomResourceDefinition of the kind is watched, so that a kind that the API server does not
//! serve is listed when it is installed, and not again and again until then.
#![expect(
    clippy::disallowed_types,
    reason = "the watches are where the operator reads from"
)]

use std::convert::identity;

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use tokio::sync::watch;

use super::list_watch::definition::Definition;
use super::list_watch::{Selector, Signal, Source, list_watch};
use super::{CacheSync, Requirement, WatchEvent};

/// A CustomResourceDefinition without its schema.
type PartialDefinition = PartialObjectMeta<CustomResourceDefinition>;

/// Watches the CustomResourceDefinition of this name. Returns its state, that of the watch, and the future that keeps both up to date.
pub(crate) fn watch_definition(
    client: &Client,
    name: &'static str,
) -> (
    Definition,
    CacheSync,
    impl Future<Output = ()> + Send + use<>,
) {
    let kind = "CustomResourceDefinitions";
    let (sync, writer) = CacheSync::of::<PartialDefinition>(kind, Requirement::Optional);
    let (sender, is_absent) = watch::channel(false);
    let source = Source {
        api: Api::<PartialDefinition>::all(client.clone()),
        selector: Selector::Name(name),
        definition: None,
    };
    let signals = list_watch(source, identity);
    let watch = async move {
        let mut signals = std::pin::pin!(signals);
        let mut is_absent = false;
        while let Some(signal) = signals.next().await {
            is_absent = is_absent_after(&signal, is_absent);
            let is_certain = is_absent && !matches!(signal, Signal::Failed(_));
            sender.send_if_modified(|before| std::mem::replace(before, is_certain) != is_certain);
            writer.note(signal, drop);
        }
    };
    (Definition::new(is_absent), sync, watch)
}

/// Returns whether the definition was absent when the API server last reported it.
fn is_absent_after(signal: &Signal<PartialDefinition>, was_absent: bool) -> bool {
    match signal {
        Signal::Page | Signal::Progress | Signal::Failed(_) => was_absent,
        Signal::Event(WatchEvent::Listed(definitions, _)) => definitions.is_empty(),
        Signal::Event(WatchEvent::Applied(_)) => false,
        Signal::Event(WatchEvent::Deleted(_)) => true,
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

    /// Follows the watch for a while. Returns whether the definition is absent, and the first request.
    async fn follow(script: fn(usize, &str) -> Answer) -> (bool, String) {
        let (client, requests) = scripted(script);
        let (definition, _, watch) = watch_definition(&client, "kinds.example.com");
        let _ = timeout(Duration::from_secs(5), watch).await;
        let first = requests.lock().unwrap()[0].clone();
        (definition.is_absent(), first)
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
