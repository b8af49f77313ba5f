//! Reconciles, with the metrics of controller-runtime (`pkg/internal/controller/metrics`), and by their outcome.

use std::borrow::Cow;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::CONTROLLER;

/// The buckets of controller-runtime, in seconds.
const BUCKETS: [f64; 40] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9,
    1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0,
    25.0, 30.0, 40.0, 50.0, 60.0,
];

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReconcileResult {
    /// The children are as desired.
    Applied,
    /// The spec is invalid, or a child has a problem that the operator cannot solve.
    Blocked,
    /// Nothing was to be applied: the EchoCluster is paused, is being deleted, no longer exists, or is in a namespace whose objects cannot
    /// be listed.
    Skipped,
    /// Another client wrote at the same time.
    Conflict,
    /// A request failed.
    Error,
    /// It took too long.
    Timeout,
    /// It panicked: a bug.
    Panic,
}

impl ReconcileResult {
    const ALL: [Self; 7] = [
        Self::Applied,
        Self::Blocked,
        Self::Skipped,
        Self::Conflict,
        Self::Error,
        Self::Timeout,
        Self::Panic,
    ];

    /// Returns what controller-runtime calls such a result.
    fn controller_runtime(self, is_requeued: bool) -> ControllerRuntimeResult {
        match self {
            Self::Applied | Self::Blocked | Self::Skipped if is_requeued => {
                ControllerRuntimeResult::RequeueAfter
            }
            Self::Applied | Self::Blocked | Self::Skipped => ControllerRuntimeResult::Success,
            Self::Conflict | Self::Error | Self::Timeout | Self::Panic => {
                ControllerRuntimeResult::Error
            }
        }
    }
}

/// The results of controller-runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ControllerRuntimeResult {
    Success,
    RequeueAfter,
    Requeue,
    Error,
}

impl ControllerRuntimeResult {
    const ALL: [Self; 4] = [
        Self::Success,
        Self::RequeueAfter,
        Self::Requeue,
        Self::Error,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::RequeueAfter => "requeue_after",
            Self::Requeue => "requeue",
            Self::Error => "error",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: ReconcileResult,
}

/// The metrics of reconciles. Clones share them.
#[derive(Clone)]
pub(super) struct Reconciles {
    total: Family<ResultLabels, Counter>,
    errors: Counter,
    panics: Counter,
    timeouts: Counter,
    time: Histogram,
    outcomes: Family<OutcomeLabels, Counter>,
}

impl Reconciles {
    /// Registers the metrics. All exist from the start, so that a dashboard shows a follower, too.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self {
            total: Family::default(),
            errors: Counter::default(),
            panics: Counter::default(),
            timeouts: Counter::default(),
            time: Histogram::new(BUCKETS),
            outcomes: Family::default(),
        };
        for result in ControllerRuntimeResult::ALL {
            let result = result.name();
            drop(this.total.get_or_create(&ResultLabels { result }));
        }
        for outcome in ReconcileResult::ALL {
            drop(this.outcomes.get_or_create(&OutcomeLabels { outcome }));
        }
        let label = (Cow::Borrowed("controller"), Cow::Borrowed(CONTROLLER));
        let usual = registry.sub_registry_with_label(label);
        let usual = usual.sub_registry_with_prefix("controller_runtime");
        let per_controller = [
            ("reconcile_errors", "reconciliation errors", &this.errors),
            (
                "terminal_reconcile_errors",
                "terminal reconciliation errors",
                &Counter::default(),
            ),
            ("reconcile_panics", "reconciliation panics", &this.panics),
            (
                "reconcile_timeouts",
                "reconciliation timeouts",
                &this.timeouts,
            ),
        ];
        for (name, what, counter) in per_controller {
            let help = format!("Total number of {what} per controller");
            usual.register(name, help, counter.clone());
        }
        usual.register(
            "reconcile",
            "Total number of reconciliations per controller",
            this.total.clone(),
        );
        usual.register(
            "reconcile_time_seconds",
            "Length of time per reconciliation per controller",
            this.time.clone(),
        );
        let own = registry.sub_registry_with_prefix("echo_operator");
        own.register(
            "reconcile_outcomes",
            "Reconciles of an EchoCluster, by outcome",
            this.outcomes.clone(),
        );
        this
    }

    pub(super) fn observe(&self, outcome: ReconcileResult, is_requeued: bool, took: Duration) {
        let result = outcome.controller_runtime(is_requeued);
        let labels = ResultLabels {
            result: result.name(),
        };
        self.total.get_or_create(&labels).inc();
        if result == ControllerRuntimeResult::Error {
            self.errors.inc();
        }
        match outcome {
            ReconcileResult::Timeout => drop(self.timeouts.inc()),
            ReconcileResult::Panic => drop(self.panics.inc()),
            ReconcileResult::Applied
            | ReconcileResult::Blocked
            | ReconcileResult::Skipped
            | ReconcileResult::Conflict
            | ReconcileResult::Error => (),
        }
        self.time.observe(took.as_secs_f64());
        self.outcomes
            .get_or_create(&OutcomeLabels { outcome })
            .inc();
    }
}
