//! OpenMetrics text: families of samples.

use std::fmt::{Display, Write};
use std::time::Duration;

/// The kind of a family.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Only rises; its sample's name ends with `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// Text that is being written.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family, to which the samples after it belong.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// Writes a sample with labels that are written already; none if they are empty.
    pub(super) fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        _ = if labels.is_empty() {
            writeln!(self.0, "{name} {value}")
        } else {
            writeln!(self.0, "{name}{{{labels}}} {value}")
        };
    }

    /// Ends the text.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

/// Writes nanoseconds as seconds, which always have a decimal point.
pub(super) fn seconds(nanos: u64) -> String {
    let seconds = Duration::from_nanos(nanos).as_secs_f64().to_string();
    if seconds.contains('.') {
        seconds
    } else {
        format!("{seconds}.0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_samples_after_its_help_and_the_text_ends_with_eof() {
        let mut text = Text::default();
        text.family("a", Kind::Counter, "About a.");
        text.sample("a_total", "x=\"1\"", 2);
        text.family("b", Kind::Gauge, "About b.");
        text.sample("b", "", seconds(1_500_000_000));
        assert_eq!(
            text.end(),
            "# HELP a About a.\n# TYPE a counter\na_total{x=\"1\"} 2\n\
             # HELP b About b.\n# TYPE b gauge\nb 1.5\n# EOF\n"
        );
    }

    #[test]
    fn seconds_are_decimal_without_an_exponent() {
        for (nanos, expected) in [
            (0, "0.0"),
            (10_000, "0.00001"),
            (25_000, "0.000025"),
            (1_000_000_000, "1.0"),
            (1, "0.000000001"),
        ] {
            assert_eq!(seconds(nanos), expected);
        }
    }
}
