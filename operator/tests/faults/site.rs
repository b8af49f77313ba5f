//! An operator with its proxy and its namespace.

use std::sync::atomic::{AtomicUsize, Ordering};

use kube::{Client, Config};
use serde_json::json;

use crate::namespace::Namespace;
use crate::operator_process::Operator;
use crate::proxy::Proxy;

/// What the names of EchoClusters begin with.
pub(crate) const PREFIX: &str = "run-";

/// An operator, its proxy and its namespace.
pub(crate) struct Site {
    pub(crate) namespace: Namespace,
    pub(crate) proxy: Proxy,
    /// The address of the proxy.
    pub(crate) address: String,
    pub(crate) operator: Operator,
    names: AtomicUsize,
}

impl Site {
    /// Starts an operator in a namespace of its own. `name` is a part of the namespace's name.
    pub(crate) async fn start(config: &Config, client: &Client, name: &str) -> Self {
        let site = Self::prepare(config, client, name).await;
        site.operator.start();
        site
    }

    /// Starts all but the operator.
    pub(crate) async fn prepare(config: &Config, client: &Client, name: &str) -> Self {
        let namespace = Namespace::create(client.clone(), name).await;
        let operator = Operator::new(&namespace.name, &namespace.name, &[]);
        let (proxy, address) = Proxy::start(config, operator.clone()).await;
        operator.configure(&address, &json!({}));
        Self {
            namespace,
            proxy,
            address,
            operator,
            names: AtomicUsize::new(0),
        }
    }

    /// Returns a name that no EchoCluster of this site has had.
    pub(crate) fn new_name(&self) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        format!("{PREFIX}{number:05}")
    }

    /// Stops the operator, and deletes the namespace.
    pub(crate) async fn end(&self) {
        self.operator.kill();
        self.namespace.delete().await;
    }
}
