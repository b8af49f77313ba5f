//! The flags of the leader election. They begin as those of kube-controller-manager do, and end with their unit.
#![expect(clippy::disallowed_methods, reason = "names the clock")]

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use k8s_openapi::jiff::Timestamp;
use kube::Config;

use crate::apiserver::client::connect;
use crate::apiserver::leadership::Leadership;
use crate::apiserver::lease::LONGEST_DURATION;
use crate::leader_election::{Configuration, Election};
use crate::metrics::Metrics;
use crate::model::leader_election::Timings;

/// The flags of the leader election.
#[derive(Debug, Args)]
pub(super) struct LeaderElection {
    /// Reconciles only while this process is the leader. Required where more than one operator runs.
    #[arg(long, env = "OPERATOR_LEADER_ELECT")]
    leader_elect: bool,
    /// The time after which a leader that does not renew its Lease is replaced.
    #[arg(long, default_value_t = 15, value_name = "SECONDS", value_parser = seconds())]
    leader_elect_lease_duration_seconds: u64,
    /// The time after which a leader that cannot renew its Lease stops.
    #[arg(long, default_value_t = 10, value_name = "SECONDS", value_parser = seconds())]
    leader_elect_renew_deadline_seconds: u64,
    /// The time between two renewals.
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = seconds())]
    leader_elect_retry_period_seconds: u64,
    /// The name of the Lease.
    #[arg(long, default_value = "echo-operator", value_name = "NAME")]
    leader_elect_resource_name: String,
    /// The namespace of the Lease, the same for all operators of a cluster. Required with --leader-elect.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    leader_elect_resource_namespace: Option<String>,
    /// The name of this pod, with which the identity of the candidate begins.
    #[arg(
        long,
        env = "POD_NAME",
        default_value = "echo-operator",
        value_name = "NAME"
    )]
    pod_name: String,
}

/// Parses up to an hour: nobody leads for the duration of a Lease after its holder was killed.
fn seconds() -> clap::builder::RangedU64ValueParser<u64> {
    clap::builder::RangedU64ValueParser::new().range(1..=LONGEST_DURATION.as_secs())
}

impl LeaderElection {
    /// Makes the candidate, if there is an election, and the leadership of this process.
    pub(super) fn start(
        self,
        config: &Config,
        metrics: Metrics,
    ) -> anyhow::Result<(Option<Election>, Leadership)> {
        if !self.leader_elect {
            return Ok((None, Leadership::unconditional()));
        }
        let timings = self.timings()?;
        let namespace = self.leader_elect_resource_namespace.context(
            "--leader-elect needs the namespace of the Lease; set --leader-elect-resource-namespace or POD_NAMESPACE",
        )?;
        let configuration = Configuration {
            namespace,
            name: self.leader_elect_resource_name,
            identity: format!("{}_{:032x}", self.pod_name, fastrand::u128(..)),
            timings,
            clock: Timestamp::now,
        };
        let (writer, leadership) = Leadership::elected(&configuration.name);
        let client = connect(config, Leadership::unconditional(), metrics)?;
        let election = Election::new(client, configuration, writer);
        Ok((Some(election), leadership))
    }

    fn timings(&self) -> anyhow::Result<Timings> {
        let timings = Timings {
            lease_duration: Duration::from_secs(self.leader_elect_lease_duration_seconds),
            renew_deadline: Duration::from_secs(self.leader_elect_renew_deadline_seconds),
            retry_period: Duration::from_secs(self.leader_elect_retry_period_seconds),
        };
        timings.check().with_context(|| {
            format!(
                "--leader-elect-lease-duration-seconds {}, --leader-elect-renew-deadline-seconds {} and \
                 --leader-elect-retry-period-seconds {} do not fit together; the defaults are 15, 10 and 2",
                self.leader_elect_lease_duration_seconds,
                self.leader_elect_renew_deadline_seconds,
                self.leader_elect_retry_period_seconds
            )
        })
    }
}
