//! Faults of every single write.

use std::time::Duration;

use crate::proxy::Fault;
use crate::sweep::Sweep;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_or_after_any_write_leads_to_the_same_objects() {
    let sweep = Sweep::begin("crash").await;
    // One run of each operator at a time, since a crash is one of all its runs.
    sweep.run(&[Fault::CrashBefore, Fault::CrashAfter], 1).await;
    sweep.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_any_write_leads_to_the_same_objects() {
    let answer = |code, reason| Fault::Answer { code, reason };
    let faults = [
        Fault::Drop,
        Fault::LoseReply,
        Fault::Truncate,
        Fault::Delay(Duration::from_millis(500)),
        answer(409, "Conflict"),
        answer(429, "TooManyRequests"),
        answer(500, "InternalError"),
        answer(504, "Timeout"),
    ];
    let sweep = Sweep::begin("write").await;
    sweep.run(&faults, 2).await;
    sweep.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_not_answered_leads_to_the_same_objects() {
    let sweep = Sweep::begin("hang").await;
    sweep.run(&[Fault::Hang, Fault::Silence], 8).await;
    sweep.end().await;
}
