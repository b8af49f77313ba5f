//! How many EchoClusters there are, by the condition `Ready`, and since when there are problems.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use crate::api::v1alpha1::EchoCluster;
use crate::api::v1alpha1::conditions::{ConditionType, Reason};
use crate::set_once::SetOnce;

/// The status and the reason of an EchoCluster that has no condition `Ready`, or cannot be decoded.
const UNKNOWN: (&str, &str) = ("Unknown", "");

/// Counts the EchoClusters at the time of a scrape. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct EchoClusters {
    store: SetOnce<Store<DeserializeGuard<EchoCluster>>>,
}

impl EchoClusters {
    pub(super) fn set(&self, store: Store<DeserializeGuard<EchoCluster>>) {
        self.store.set(store);
    }
}

impl Collector for EchoClusters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let clusters = self.store.get().map(Store::state).unwrap_or_default();
        let mut counts = BTreeMap::<_, i64>::new();
        for cluster in &clusters {
            *counts.entry(ready(cluster)).or_default() += 1;
        }
        let mut gauge = encoder.encode_descriptor(
            "echoclusters",
            "EchoClusters by status and reason of the condition Ready",
            None,
            MetricType::Gauge,
        )?;
        for ((status, reason), count) in counts {
            let labels = [("status", status), ("reason", reason)];
            ConstGauge::new(count).encode(gauge.encode_family(&labels)?)?;
        }
        encode_problems(&mut encoder, &clusters)
    }
}

/// Reports since when there is an EchoCluster with each problem. An alert on this does not fire when many EchoClusters have a problem for a
/// short time each, one after another, as one on their number would.
fn encode_problems(
    encoder: &mut DescriptorEncoder<'_>,
    clusters: &[Arc<DeserializeGuard<EchoCluster>>],
) -> std::fmt::Result {
    let mut oldest = BTreeMap::<_, i64>::new();
    for (condition, reason, since) in clusters.iter().filter_map(|cluster| problem(cluster)) {
        let labels = (format!("{condition:?}"), reason);
        let first = oldest.entry(labels).or_insert(since);
        *first = since.min(*first);
    }
    let mut gauge = encoder.encode_descriptor(
        "oldest_problem_timestamp",
        "Since when the first of the EchoClusters has had a problem: Ready that is not True, or else Stalled that is True",
        Some(&Unit::Seconds),
        MetricType::Gauge,
    )?;
    for ((condition, reason), since) in oldest {
        let labels = [("condition", condition), ("reason", reason)];
        ConstGauge::new(since).encode(gauge.encode_family(&labels)?)?;
    }
    Ok(())
}

/// Returns the problem of an EchoCluster: its condition and reason, and since when in seconds since 1970. `Stalled` is one only while it is
/// ready, so that one cause is not reported twice. One that cannot be decoded has no conditions that could be read.
fn problem(cluster: &DeserializeGuard<EchoCluster>) -> Option<(ConditionType, String, i64)> {
    let created = cluster.meta().creation_timestamp.as_ref();
    let created = created.map_or(0, |time| time.0.as_second());
    let Ok(cluster) = &cluster.0 else {
        let reason = format!("{:?}", Reason::InvalidSpec);
        return Some((ConditionType::Ready, reason, created));
    };
    let conditions = cluster.status.as_ref()?.conditions.as_slice();
    let is_true = |condition: &Condition| condition.status == "True";
    let ready = ConditionType::Ready.find(conditions);
    let (type_, condition) = match ready.filter(|ready| !is_true(ready)) {
        Some(ready) => (ConditionType::Ready, ready),
        None => (
            ConditionType::Stalled,
            ConditionType::Stalled
                .find(conditions)
                .filter(|it| is_true(it))?,
        ),
    };
    // The conditions of the schema's default have no time of their own.
    let since = condition.last_transition_time.0.as_second().max(created);
    Some((type_, condition.reason.clone(), since))
}

/// Returns the status and the reason of the condition `Ready`.
fn ready(cluster: &DeserializeGuard<EchoCluster>) -> (&str, &str) {
    let status = cluster
        .0
        .as_ref()
        .ok()
        .and_then(|cluster| cluster.status.as_ref());
    let mut conditions = status.into_iter().flat_map(|status| &status.conditions);
    let ready = conditions.find(|condition| ConditionType::Ready.is_of(condition));
    ready.map_or(UNKNOWN, |ready| (&ready.status, &ready.reason))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use kube::core::error_boundary::InvalidObject;
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;

    use super::*;
    use crate::api::v1alpha1::EchoClusterStatus;
    use crate::fixtures::echo_cluster;
    use crate::metrics::Metrics;

    fn time(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    /// An EchoCluster that was created at second 100, with conditions: their type, status, reason and time.
    fn cluster(name: &str, conditions: &[(&str, &str, &str, i64)]) -> EchoCluster {
        let mut cluster = echo_cluster();
        cluster.metadata.name = Some(name.to_owned());
        cluster.metadata.creation_timestamp = Some(time(100));
        let conditions = conditions
            .iter()
            .map(|(type_, status, reason, second)| Condition {
                type_: (*type_).to_owned(),
                status: (*status).to_owned(),
                reason: (*reason).to_owned(),
                last_transition_time: time(*second),
                message: String::new(),
                observed_generation: None,
            });
        cluster.status = Some(EchoClusterStatus {
            conditions: conditions.collect(),
            ..EchoClusterStatus::default()
        });
        cluster
    }

    /// Returns the text of the metrics when there are these EchoClusters.
    fn text(clusters: impl IntoIterator<Item = DeserializeGuard<EchoCluster>>) -> String {
        let (reader, mut writer) = store();
        for cluster in clusters {
            writer.apply_watcher_event(&Event::Apply(cluster));
        }
        let metrics = Metrics::default();
        metrics.set_echo_clusters(reader);
        metrics.text().unwrap()
    }

    #[test]
    fn echo_clusters_are_counted_by_ready_and_the_oldest_of_each_problem_has_its_time() {
        let clusters = [
            cluster("a", &[("Ready", "True", "Ready", 900)]),
            cluster("b", &[("Ready", "False", "CrashLoop", 300)]),
            cluster("c", &[("Ready", "False", "CrashLoop", 200)]),
            cluster("d", &[("Ready", "Unknown", "Pending", 0)]),
        ];
        let text = text(clusters.map(|cluster| DeserializeGuard(Ok(cluster))));
        for line in [
            r#"echo_operator_echoclusters{status="True",reason="Ready"} 1"#,
            r#"echo_operator_echoclusters{status="False",reason="CrashLoop"} 2"#,
            r#"echo_operator_oldest_problem_timestamp_seconds{condition="Ready",reason="CrashLoop"} 200"#,
            r#"echo_operator_oldest_problem_timestamp_seconds{condition="Ready",reason="Pending"} 100"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        assert!(!text.contains(r#"condition="Ready",reason="Ready""#));
    }

    #[test]
    fn stalled_is_reported_of_those_alone_that_are_ready() {
        let stalled = |second| ("Stalled", "True", "CrashLoop", second);
        let clusters = [
            cluster("a", &[("Ready", "False", "NotReady", 200), stalled(250)]),
            cluster("b", &[("Ready", "True", "Ready", 200), stalled(300)]),
            cluster("c", &[("Ready", "Unknown", "Pending", 200), stalled(220)]),
        ];
        let text = text(clusters.map(|cluster| DeserializeGuard(Ok(cluster))));
        let line = r#"echo_operator_oldest_problem_timestamp_seconds{condition="Stalled",reason="CrashLoop"} 300"#;
        assert!(text.lines().any(|found| found == line), "{text}");
    }

    #[test]
    fn one_that_cannot_be_decoded_has_been_a_problem_since_its_creation() {
        let metadata = cluster("a", &[]).metadata;
        let error = "invalid type".to_owned();
        let text = text([DeserializeGuard(Err(InvalidObject { error, metadata }))]);
        let line = r#"echo_operator_oldest_problem_timestamp_seconds{condition="Ready",reason="InvalidSpec"} 100"#;
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}
