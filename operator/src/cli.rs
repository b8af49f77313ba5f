//! The command line: `operator run` and `operator crd`.
#![expect(clippy::disallowed_methods, reason = "names the clock")]

mod leader_election;

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;

use anyhow::{Context, anyhow};
use clap::{Args, Parser, Subcommand};
use k8s_openapi::jiff::Timestamp;
use kube::Config;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use self::leader_election::LeaderElection;
use crate::admin::{self, Health};
use crate::api::v1alpha1::DEFAULT_ECHO_SERVER_IMAGE;
use crate::api::v1alpha1::crd::custom_resource_definition;
use crate::apiserver::client::connect;
use crate::apiserver::leadership::Leadership;
use crate::apiserver::permissions;
use crate::apiserver::scope::Namespaces;
use crate::controller::{self, Environment};
use crate::leader_election::Election;
use crate::metrics::Metrics;
use crate::telemetry::{self, LogFormat};

/// Runs fleets of echo servers on Kubernetes, as declared by EchoClusters.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reconciles EchoClusters until SIGTERM or SIGINT.
    Run(Run),
    /// Prints the CustomResourceDefinition of EchoCluster.
    Crd(Crd),
}

#[derive(Debug, Args)]
struct Run {
    /// The address and port of /livez, /readyz and /metrics.
    #[arg(
        long,
        env = "OPERATOR_ADMIN",
        default_value = "0.0.0.0:8081",
        value_name = "ADDRESS:PORT"
    )]
    admin: SocketAddr,
    /// The log level: trace, debug, info, warn or error, or a list such as info,operator=debug.
    #[arg(
        long,
        env = "OPERATOR_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    log: String,
    /// The format of log lines.
    #[arg(long, env = "OPERATOR_LOG_FORMAT", value_enum, default_value = "json")]
    log_format: LogFormat,
    /// A namespace whose EchoClusters are reconciled, those of all namespaces by default. May be repeated, or separated by commas. The
    /// operator needs a Role in each of these namespaces, and no ClusterRole (config/namespaced).
    #[arg(
        long = "watch-namespace",
        env = "OPERATOR_WATCH_NAMESPACE",
        value_delimiter = ',',
        value_name = "NAMESPACE",
        value_parser = namespace
    )]
    watch_namespaces: Vec<String>,
    #[command(flatten)]
    leader_election: LeaderElection,
}

#[derive(Debug, Args)]
struct Crd {
    /// The default of spec.image in new EchoClusters.
    #[arg(long, env = "ECHO_SERVER_IMAGE", default_value = DEFAULT_ECHO_SERVER_IMAGE, value_name = "IMAGE")]
    echo_server_image: String,
}

impl Cli {
    /// Runs the chosen subcommand.
    ///
    /// # Errors
    /// Whatever keeps the operator from starting, with its causes; for the user to read.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(run) => Box::pin(run.run()).await,
            Command::Crd(crd) => crd.print(),
        }
    }
}

impl Run {
    async fn run(self) -> anyhow::Result<()> {
        let Self {
            admin,
            log,
            log_format,
            watch_namespaces,
            leader_election,
        } = self;
        let namespaces = Namespaces::of(watch_namespaces);
        telemetry::init(&log, log_format)?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let listener = admin::bind(admin)
            .with_context(|| format!("failed to listen on --admin {admin}; choose a free port"))?;
        let admin = listener.local_addr()?; // port 0 has become the real one
        let config = configuration().await?;
        let metrics = Metrics::default();
        let (election, leadership) = leader_election.start(&config, metrics.clone())?;
        let client = connect(&config, leadership.clone(), metrics.clone())?;
        let reviews = connect(&config, Leadership::unconditional(), metrics.clone())?;
        let (permissions, check) = permissions::check(reviews, &namespaces);
        metrics.set_permissions(permissions.clone());
        let health = Health::default();
        health.set_permissions(permissions);
        let environment = Environment {
            client,
            namespaces,
            leadership,
            metrics,
            health,
            clock: Timestamp::now,
        };
        info!(version = env!("CARGO_PKG_VERSION"), %admin, "starting");
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            }
            info!("stopping");
        };
        serve(environment, election, Box::pin(check), listener, stop).await
    }
}

/// Runs the controller, the `check` of the permissions and the admin endpoint until the controller ends: after `stop`, or with an error,
/// which ends the process.
async fn serve(
    environment: Environment,
    election: Option<Election>,
    check: impl Future<Output = Infallible>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let (metrics, health) = (environment.metrics.clone(), environment.health.clone());
    tokio::select! {
        ended = lead(election, Box::pin(controller::run(environment, stop))) => ended,
        never = check => match never {},
        never = admin::serve(listener, metrics, health) => never,
    }
}

/// Reads the name of a namespace: a DNS label (RFC 1123).
fn namespace(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=63).contains(&text.len())
        && text.bytes().all(is_allowed)
        && !text.starts_with('-')
        && !text.ends_with('-');
    let remedy = "use 1 to 63 characters of a-z, 0-9 and '-', beginning and ending with a letter or digit, or leave out the flag for all \
                  namespaces";
    is_name
        .then(|| text.to_owned())
        .ok_or_else(|| remedy.to_owned())
}

/// Finds the cluster: the pod's own, or that of the kubeconfig.
async fn configuration() -> anyhow::Result<Config> {
    Config::infer().await.context(
        "failed to find a cluster; run the operator in a pod or set KUBECONFIG to a kubeconfig",
    )
}

/// Runs the controller until it ends. Ends with an error when this process ceases to be the leader.
async fn lead(
    election: Option<Election>,
    controller: impl Future<Output = Result<(), controller::Error>>,
) -> anyhow::Result<()> {
    let Some(election) = election else {
        return Ok(controller.await?);
    };
    let ended = election.lead(controller).await;
    Ok(ended.map_err(|loss| anyhow!(loss).context("stopped leading"))??)
}

impl Crd {
    fn print(self) -> anyhow::Result<()> {
        let crd = custom_resource_definition(&self.echo_server_image)?;
        let yaml = serde_yaml::to_string(&crd).context("failed to write the CRD as YAML")?;
        let mut output = std::io::stdout().lock();
        write!(
            output,
            "# Generated by `operator crd`; do not edit.\n{yaml}"
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Answer, scripted};

    #[tokio::test(start_paused = true)]
    async fn an_error_of_the_controller_ends_the_process_with_its_reason() {
        let (client, _) = scripted(|_, request| {
            assert!(!request.contains("/services"), "as a bug would");
            Answer::Hang
        });
        let environment = Environment {
            client,
            namespaces: Namespaces::default(),
            metrics: Metrics::default(),
            health: Health::default(),
            clock: || Timestamp::UNIX_EPOCH,
            leadership: Leadership::unconditional(),
        };
        let listener = admin::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let check = std::future::pending();
        let ended = serve(environment, None, check, listener, std::future::pending()).await;
        let error = ended.unwrap_err().to_string();
        assert_eq!(error, "a watch has ended unexpectedly");
    }

    /// Reads the flags of `operator run`. Returns the namespaces, or the error.
    fn namespaces(flags: &[&str]) -> Result<Namespaces, String> {
        let cli = Cli::try_parse_from(["operator", "run"].iter().chain(flags));
        match cli.map_err(|error| error.to_string())?.command {
            Command::Run(run) => Ok(Namespaces::of(run.watch_namespaces)),
            Command::Crd(_) => unreachable!(),
        }
    }

    #[test]
    fn the_namespaces_are_a_repeated_flag_or_a_list_and_by_default_all() {
        assert_eq!(namespaces(&[]), Ok(Namespaces::default()));
        let both = Namespaces::of(vec!["a".to_owned(), "team-b".to_owned()]);
        let repeated = ["--watch-namespace=team-b", "--watch-namespace", "a"];
        assert_eq!(namespaces(&repeated), Ok(both.clone()));
        assert_eq!(namespaces(&["--watch-namespace=a,team-b,a"]), Ok(both));
    }

    #[test]
    fn a_namespace_that_cannot_exist_is_rejected_with_the_flag_and_a_remedy() {
        let long = "a".repeat(64);
        for name in ["", "Team", "a.b", "a_b", "-a", "a-", "a,", long.as_str()] {
            let error = namespaces(&[&format!("--watch-namespace={name}")]).unwrap_err();
            assert!(error.contains("'--watch-namespace <NAMESPACE>'"), "{error}");
            assert!(error.contains("use 1 to 63 characters"), "{error}");
        }
    }
}
