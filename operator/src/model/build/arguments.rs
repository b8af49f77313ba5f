//! The echo server's flags.

mod prefix;

pub(super) use prefix::has_reference;

use crate::api::v1alpha1::{ADMIN_PORT, Faults, Limits};
use crate::model::validate::ValidatedSpec;

/// Returns the echo server's flags, which are its wire contract (docs/architecture.md).
pub(super) fn arguments(spec: &ValidatedSpec) -> Vec<String> {
    let listeners = spec.listeners_by_name();
    let listeners = listeners.into_iter().map(|listener| {
        let (protocol, port) = (listener.protocol.as_flag(), listener.port);
        let proxy = listener.proxy.as_flag();
        let proxy = proxy.map(|mode| format!("/proxy={mode}"));
        format!("--listen={protocol}:{port}{}", proxy.unwrap_or_default())
    });
    let threads = spec.threads.map(|threads| format!("--threads={threads}"));
    listeners
        .chain(threads)
        .chain([
            format!("--admin={ADMIN_PORT}"),
            format!("--drain-seconds={}", spec.drain.as_secs()),
            format!("--line-prefix={}", prefix::escape(&spec.line_prefix)),
        ])
        .chain(limits(&spec.limits))
        .chain(spec.faults.iter().flat_map(faults))
        .collect()
}

fn limits(limits: &Limits) -> impl Iterator<Item = String> {
    let first_byte = limits.first_byte_timeout_seconds;
    let as_idle = first_byte == 0; // the echo server's default; left out so that pods of earlier releases stay
    let first_byte = (!as_idle).then_some(("first-byte-timeout-seconds", first_byte));
    [
        ("max-connections", limits.max_connections),
        (
            "max-connections-per-client",
            limits.max_connections_per_client,
        ),
        ("idle-timeout-seconds", limits.idle_timeout_seconds),
        ("write-timeout-seconds", limits.write_timeout_seconds),
        ("max-line-bytes", limits.max_line_bytes),
    ]
    .into_iter()
    .chain(first_byte)
    .map(|(flag, value)| format!("--{flag}={value}"))
}

/// Returns the flags of the faults that are on; none where none is.
fn faults(faults: &Faults) -> Vec<String> {
    let Faults {
        delay_milliseconds: delay,
        jitter_milliseconds: jitter,
        seed,
        ..
    } = faults;
    let delay = (*delay > 0).then(|| format!("delay={delay}~{jitter}"));
    let counted = [
        ("rate", faults.rate_bytes_per_second),
        ("reset", faults.reset_after_bytes),
        ("refuse", faults.refuse_percent),
        ("close", faults.close_percent),
        ("corrupt", faults.corrupt_percent),
    ]
    .into_iter()
    .filter(|(_, value)| *value > 0)
    .map(|(kind, value)| format!("{kind}={value}"));
    let flags: Vec<String> = delay
        .into_iter()
        .chain(counted)
        .map(|fault| format!("--fault={fault}"))
        .collect();
    let seed = (!flags.is_empty() && *seed > 0).then(|| format!("--fault-seed={seed}"));
    flags.into_iter().chain(seed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::model::validate::validate;

    #[test]
    fn arguments_follow_the_echo_cluster() {
        let mut cluster = echo_cluster();
        cluster.spec.threads = Some(4);
        cluster.spec.drain_seconds = 0;
        assert_eq!(
            arguments(&validate(&cluster).unwrap()),
            [
                "--listen=line:12345",
                "--threads=4",
                "--admin=9090",
                "--drain-seconds=0",
                "--line-prefix=Server received: ",
                "--max-connections=10000",
                "--max-connections-per-client=0",
                "--idle-timeout-seconds=300",
                "--write-timeout-seconds=30",
                "--max-line-bytes=0",
            ]
        );
    }

    #[test]
    fn what_is_switched_off_is_no_argument() {
        let mut cluster = echo_cluster();
        let before = arguments(&validate(&cluster).unwrap());
        cluster.spec.faults = Some(Faults {
            jitter_milliseconds: 0,
            seed: 7,
            ..Faults::default()
        });
        assert_eq!(arguments(&validate(&cluster).unwrap()), before);
        cluster.spec.limits.first_byte_timeout_seconds = 5;
        let faults = cluster.spec.faults.get_or_insert_default();
        (faults.delay_milliseconds, faults.corrupt_percent) = (100, 1);
        assert_eq!(
            arguments(&validate(&cluster).unwrap())[before.len()..],
            [
                "--first-byte-timeout-seconds=5",
                "--fault=delay=100~0",
                "--fault=corrupt=1",
                "--fault-seed=7"
            ]
        );
    }

    #[test]
    fn a_prefix_is_escaped_but_for_references_to_the_pod() {
        let mut cluster = echo_cluster();
        cluster.spec.line.prefix = "$5 $(KUBERNETES_SERVICE_HOST) $(POD_NAME): ".to_owned();
        let arguments = arguments(&validate(&cluster).unwrap());
        let expected = "--line-prefix=$$5 $$(KUBERNETES_SERVICE_HOST) $(POD_NAME): ";
        assert!(arguments.contains(&expected.to_owned()), "{arguments:?}");
    }
}
