//! The process, as the client libraries of Prometheus report it.

use procfs::WithCurrentSystemInfo;
use procfs::process::LimitValue;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads `/proc/self` at the time of a scrape. What cannot be read is left out.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let Ok(process) = procfs::process::Process::myself() else {
            return Ok(());
        };
        if let Ok(stat) = process.stat() {
            let ticks = as_f64(procfs::ticks_per_second());
            let cpu = as_f64(stat.utime + stat.stime) / ticks;
            let help = "Total user and system CPU time spent in seconds.";
            let counter = encoder.encode_descriptor(
                "process_cpu_seconds",
                help,
                None,
                MetricType::Counter,
            )?;
            ConstCounter::new(cpu).encode(counter)?;
            gauge(
                &mut encoder,
                "process_virtual_memory_bytes",
                "Virtual memory size in bytes.",
                as_f64(stat.vsize),
            )?;
            gauge(
                &mut encoder,
                "process_resident_memory_bytes",
                "Resident memory size in bytes.",
                as_f64(stat.rss_bytes().get()),
            )?;
            if let Ok(boot) = procfs::boot_time_secs() {
                gauge(
                    &mut encoder,
                    "process_start_time_seconds",
                    "Start time of the process since unix epoch in seconds.",
                    as_f64(boot) + as_f64(stat.starttime) / ticks,
                )?;
            }
        }
        if let Ok(open) = process.fd_count() {
            let help = "Number of open file descriptors.";
            gauge(&mut encoder, "process_open_fds", help, as_f64(open as u64))?;
        }
        if let Ok(limits) = process.limits()
            && let LimitValue::Value(most) = limits.max_open_files.soft_limit
        {
            let help = "Maximum number of open file descriptors.";
            gauge(&mut encoder, "process_max_fds", help, as_f64(most))?;
        }
        Ok(())
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: f64,
) -> std::fmt::Result {
    let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(encoder)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floating-point numbers, exact up to 2^53"
)]
fn as_f64(value: u64) -> f64 {
    value as f64
}
