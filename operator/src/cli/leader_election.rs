//! The flags of the leader election, named as those of kube-controller-manager with the unit appended.
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
    #[arg(
        long,
        env = "OPERATOR_LEADER_ELECT_LEASE_DURATION_SECONDS",
        default_value_t = 15,
        value_name = "SECONDS",
        value_parser = seconds()
    )]
    leader_elect_lease_duration_seconds: u64,
    /// The time after which a leader that cannot renew its Lease stops.
    #[arg(
        long,
        env = "OPERATOR_LEADER_ELECT_RENEW_DEADLINE_SECONDS",
        default_value_t = 10,
        value_name = "SECONDS",
        value_parser = seconds()
    )]
    leader_elect_renew_deadline_seconds: u64,
    /// The time between two renewals.
    #[arg(
        long,
        env = "OPERATOR_LEADER_ELECT_RETRY_PERIOD_SECONDS",
        default_value_t = 2,
        value_name = "SECONDS",
        value_parser = seconds()
    )]
    leader_elect_retry_period_seconds: u64,
    /// The name of the Lease.
    #[arg(
        long,
        env = "OPERATOR_LEADER_ELECT_RESOURCE_NAME",
        default_value = "echo-operator",
        value_name = "NAME"
    )]
    leader_elect_resource_name: String,
    /// The namespace of the Lease, the same for all operators of a cluster. Required with --leader-elect.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    leader_elect_resource_namespace: Option<String>,
    /// The name of this pod, the first part of the holder's identity.
    #[arg(
        long,
        env = "POD_NAME",
        default_value = "echo-operator",
        value_name = "NAME"
    )]
    pod_name: String,
}

/// At most an hour: after a crash, there is no leader for the duration of the Lease.
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        leader_election: LeaderElection,
    }

    /// Starts with these flags. Returns the error, or whether there is an election.
    fn start(flags: &[&str]) -> Result<bool, String> {
        let config = Config::new(http::Uri::from_static("https://api.test"));
        let flags = ["operator"].iter().chain(flags);
        let flags = Flags::try_parse_from(flags).map_err(|error| error.to_string())?;
        let started = (flags.leader_election).start(&config, Metrics::default());
        let (election, leadership) = started.map_err(|error| format!("{error:#}"))?;
        assert_eq!(election.is_none(), leadership.is_leader());
        Ok(election.is_some())
    }

    const NAMESPACE: &str = "--leader-elect-resource-namespace=echo-system";

    #[tokio::test]
    async fn without_the_flag_the_process_leads_and_with_it_there_is_an_election() {
        assert_eq!(start(&[]), Ok(false));
        assert_eq!(start(&["--leader-elect", NAMESPACE]), Ok(true));
    }

    #[tokio::test]
    async fn flags_that_do_not_fit_are_rejected_with_their_names() {
        let error = start(&["--leader-elect"]).unwrap_err();
        assert!(
            error.contains("--leader-elect-resource-namespace"),
            "{error}"
        );
        let long = "--leader-elect-renew-deadline-seconds=14";
        let error = start(&["--leader-elect", NAMESPACE, long]).unwrap_err();
        assert!(
            error.contains("--leader-elect-renew-deadline-seconds 14"),
            "{error}"
        );
        assert!(error.contains("1.2 times"), "{error}");
        let error = start(&["--leader-elect-retry-period-seconds=0"]).unwrap_err();
        assert!(
            error.contains("--leader-elect-retry-period-seconds"),
            "{error}"
        );
    }
}
