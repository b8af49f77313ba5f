//! The command line: `operator run` and `operator crd`.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "makes the client, and names the clock"
)]

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use k8s_openapi::jiff::Timestamp;
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::info;

use crate::admin::{self, Health};
use crate::api::v1alpha1::DEFAULT_ECHO_SERVER_IMAGE;
use crate::api::v1alpha1::crd::custom_resource_definition;
use crate::controller::{self, Environment};
use crate::metrics::Metrics;
use crate::telemetry::{self, LogFormat};

/// The connect timeout of connections to the API server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs fleets of echo servers on Kubernetes, as declared by EchoClusters.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reconciles EchoClusters until SIGTERM.
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
            Command::Run(run) => run.run().await,
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
        } = self;
        telemetry::init(&log, log_format).with_context(|| format!("--log {log} is not a valid filter; use a level (info) or a list such as info,operator=debug"))?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (metrics, health) = (Metrics::default(), Health::default());
        let listener = admin::bind(admin)
            .await
            .with_context(|| format!("failed to listen on --admin {admin}; choose a free port"))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let environment = Environment {
            client: client().await?,
            metrics: metrics.clone(),
            health: health.clone(),
            clock: Timestamp::now,
        };
        let controller = controller::run(environment, async {
            let _ = stopped.await;
        });
        info!(version = env!("CARGO_PKG_VERSION"), %admin, "reconciling EchoClusters");
        let stopping = async {
            tokio::select! {
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            }
            info!("stopping: running reconciles are finished");
            drop(stop);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = controller => Ok(ended?),
            () = admin::serve(listener, metrics, health) => anyhow::bail!("the admin endpoint has ended"),
            () = stopping => Ok(()),
        }
    }
}

/// Connects to the cluster: the pod's own, or that of the kubeconfig.
async fn client() -> anyhow::Result<Client> {
    let mut config = Config::infer().await.context(
        "failed to find a cluster; run the operator in a pod or set KUBECONFIG to a kubeconfig",
    )?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // The default retries a busy API server for minutes inside one call. Here every request has a deadline, and an
    // EchoCluster that failed is tried again by its own backoff.
    config.default_retry = false;
    Client::try_from(config).context("failed to make a client of the cluster's configuration")
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
