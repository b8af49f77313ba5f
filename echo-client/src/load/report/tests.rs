//! The text and numbers of a report.

use super::*;

#[test]
fn a_report_reads_as_a_table_and_as_json() {
    let mut report = Report {
        lines: 3_000,
        elapsed: Duration::from_millis(1_500),
        sent_bytes: 6_000_000,
        received_bytes: 9_000_000,
        closed: 2,
        closed_early: 1,
        unanswered: 5,
        unsent: 4,
        in_flight: 7,
        resent: 3,
        ..Report::default()
    };
    report.latency.record(100, 3_000);
    assert_eq!(
        report.table(),
        "lines        3000 answered, 5 unanswered, 4 of these not sent, 7 in flight, 3 sent again, 0 known to be lost, 0 \
         connections with wrong bytes\n\
         rate         2000 lines/s, 4000 kB/s sent, 6000 kB/s received\n\
         latency ms   p50 0.000  p90 0.000  p99 0.000  p99.9 0.000  p99.99 0.000  max 0.000\n\
         connections  0 opened again, 2 ended by the server (1 with lines unanswered), 0 \
         failed, 0 given up\n"
    );
    assert_eq!(
        report.json(),
        "{\"lines\":3000,\"unanswered\":5,\"unsent\":4,\"in_flight\":7,\"resent\":3,\"lost\":0,\
         \"milliseconds\":1500,\"lines_per_second\":2000,\
         \"sent_bytes\":6000000,\"received_bytes\":9000000,\"latency_nanoseconds\":{\"p50\":100,\
         \"p90\":100,\"p99\":100,\"p99_9\":100,\"p99_99\":100,\"max\":100},\
         \"connections\":{\"reconnected\":0,\"closed\":2,\"closed_early\":1,\
         \"failed\":0,\"given_up\":0,\"corrupt\":0}}\n"
    );
}

#[test]
fn a_light_load_has_a_rate_too() {
    let words = [0, 650, 12_345, 9_999_999, 10_000_000, 2_500_000_000].map(in_bytes);
    assert_eq!(
        words,
        ["0 B", "650 B", "12 kB", "9999 kB", "10 MB", "2500 MB"]
    );
}

#[test]
fn an_end_by_the_server_is_no_fault_but_anything_else_is() {
    let with = |change: fn(&mut Report)| {
        let mut report = Report::default();
        change(&mut report);
        report.is_clean()
    };
    assert!(with(|report| (report.closed, report.closed_early) = (1, 1)));
    assert!(with(|report| report.resent = 1));
    assert!(with(|report| report.in_flight = 1));
    assert!(with(|report| report.reconnected = 1));
    assert!(!with(|report| report.corrupt = 1));
    assert!(!with(|report| report.failed = 1));
    assert!(!with(|report| report.given_up = 1));
    assert!(!with(|report| report.unanswered = 1));
    assert!(!with(|report| report.lost = 1));
}
