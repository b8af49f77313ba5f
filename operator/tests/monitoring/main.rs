//! config/monitoring and its documents, without a cluster: Prometheus's own `promtool` (hack/prometheus.sh) checks and tests the rules, and
//! each name that they, the dashboards and the documents use exists.
#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "a skipped test is recorded in a file that the environment names"
    )
)]

#[cfg(test)]
mod configuration;
#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod kube_state_metrics;
#[cfg(test)]
mod names;
#[cfg(test)]
mod rules;
#[cfg(test)]
#[path = "../cluster/skip.rs"]
mod skip;
