//! A log that cannot be written, and one that has not begun.

use std::process::Command;

use crate::harness::{Operator, wait_until};

#[test]
fn log_lines_that_a_closed_pipe_does_not_take_are_counted_and_end_nothing() {
    let (operator, log) = Operator::start_with_log(":");
    drop(log);
    // It logs that there is no API server again and again.
    wait_until("lines are dropped", || {
        operator.counter("echo_operator_log_lines_dropped_total ") > 0
    });
}

#[test]
fn with_a_log_that_is_written_no_line_is_dropped() {
    let operator = Operator::start();
    assert_eq!(
        operator.counter("echo_operator_log_lines_dropped_total "),
        0
    );
}

#[test]
fn an_error_before_the_log_has_begun_is_printed() {
    let operator = Command::new(env!("CARGO_BIN_EXE_operator"))
        .args(["run", "--log", "no=such=filter"])
        .output()
        .unwrap();
    let printed = String::from_utf8(operator.stderr).unwrap();
    let expected = "operator: --log no=such=filter is not a valid filter";
    assert!(printed.starts_with(expected), "{printed}");
    assert_eq!(operator.status.code(), Some(1));
}
