use super::*;

const SECOND: Duration = Duration::from_secs(1);

const TIMINGS: Timings = Timings {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

fn record(renewal: u64, holder: Option<&str>) -> Record {
    Record {
        holder: holder.map(ToOwned::to_owned),
        duration: TIMINGS.lease_duration,
        renewal: renewal.to_string(),
    }
}

fn candidate(renewed_at: Option<Duration>) -> Candidate<'static> {
    Candidate {
        identity: "me",
        renewed_at,
        timings: TIMINGS,
    }
}

/// Returns what is decided at `now`, in seconds, after the Lease was observed at the times given.
fn decide_at(
    now: u64,
    observations: &[(u64, Option<Record>)],
    renewed_at: Option<u64>,
) -> Decision {
    let mut observed = Observed::default();
    for (time, record) in observations {
        observed.observe(record.clone(), SECOND * u32::try_from(*time).unwrap());
    }
    let renewed_at = renewed_at.map(Duration::from_secs);
    decide(&observed, Duration::from_secs(now), &candidate(renewed_at))
}

#[test]
fn a_candidate_reads_the_lease_before_it_writes_it() {
    assert_eq!(decide_at(0, &[], None), Decision::Read);
}

#[test]
fn a_lease_that_does_not_exist_or_was_released_is_taken_at_once() {
    assert_eq!(decide_at(1, &[(1, None)], None), Decision::Write);
    let released = Some(record(1, None));
    assert_eq!(decide_at(1, &[(1, released)], None), Decision::Write);
}

#[test]
fn a_lease_of_another_holder_is_taken_when_it_has_not_changed_for_its_duration() {
    let held = || Some(record(1, Some("other")));
    let renewed = || Some(record(2, Some("other")));
    let wait = |seconds| Decision::WaitUntil(Duration::from_secs(seconds));
    assert_eq!(decide_at(5, &[(5, held())], None), wait(20));
    assert_eq!(decide_at(19, &[(5, held())], None), wait(20));
    assert_eq!(decide_at(20, &[(5, held())], None), Decision::Write);
    let observations = [(5, held()), (9, renewed()), (12, renewed())];
    assert_eq!(decide_at(20, &observations, None), wait(24));
}

#[test]
fn a_deleted_lease_is_created_anew_only_after_its_holder_has_stopped() {
    let observations = [(5, Some(record(1, Some("other")))), (6, None)];
    let expiry = Decision::WaitUntil(Duration::from_secs(20));
    assert_eq!(decide_at(6, &observations, None), expiry);
    assert_eq!(decide_at(20, &observations, None), Decision::Write);
}

#[test]
fn an_edit_that_shortens_a_lease_does_not_shorten_the_time_of_its_holder() {
    let mut edited = record(2, Some("other"));
    edited.duration = SECOND;
    let observations = [(5, Some(record(1, Some("other")))), (6, Some(edited))];
    let expiry = Decision::WaitUntil(Duration::from_secs(20));
    assert_eq!(decide_at(10, &observations, None), expiry);
}

#[test]
fn the_duration_that_counts_is_the_holders_own() {
    let mut held = record(1, Some("other"));
    held.duration = Duration::from_mins(1);
    let expiry = Decision::WaitUntil(Duration::from_secs(65));
    assert_eq!(decide_at(30, &[(5, Some(held))], None), expiry);
}

#[test]
fn a_leader_renews_the_lease_each_retry_period_and_stops_at_its_deadline() {
    let held = || [(3, Some(record(1, Some("me"))))];
    let wait = Decision::WaitUntil(Duration::from_secs(5));
    assert_eq!(decide_at(3, &held(), Some(3)), wait);
    assert_eq!(decide_at(5, &held(), Some(3)), Decision::Write);
    assert_eq!(decide_at(12, &held(), Some(3)), Decision::Write);
    let stop = Decision::Stop(Loss::Deadline);
    assert_eq!(decide_at(13, &held(), Some(3)), stop);
    assert_eq!(decide_at(500, &held(), Some(3)), stop, "after a pause");
}

#[test]
fn a_leader_stops_when_the_lease_has_another_holder_or_was_released_by_an_administrator() {
    for holder in [Some("other"), None] {
        let changed = [(4, Some(record(2, holder)))];
        let stop = Decision::Stop(Loss::Taken);
        assert_eq!(decide_at(4, &changed, Some(3)), stop, "{holder:?}");
    }
}

#[test]
fn a_leader_creates_a_deleted_lease_at_once() {
    let deleted = [(3, Some(record(1, Some("me")))), (4, None)];
    assert_eq!(decide_at(4, &deleted, Some(3)), Decision::Write);
}

#[test]
fn a_candidate_whose_write_was_carried_out_without_a_reply_leads_by_another_write() {
    let own = [(4, Some(record(2, Some("me"))))];
    assert_eq!(decide_at(4, &own, None), Decision::Write);
}

#[test]
fn after_a_failure_the_lease_is_read_but_not_before_the_time_set() {
    let mut observed = Observed::default();
    observed.observe(Some(record(1, Some("me"))), SECOND);
    observed.set_outdated(SECOND * 4);
    let leader = candidate(Some(SECOND));
    let wait = Decision::WaitUntil(SECOND * 4);
    assert_eq!(decide(&observed, SECOND * 3, &leader), wait);
    assert_eq!(decide(&observed, SECOND * 4, &leader), Decision::Read);
    let follower = candidate(None);
    assert_eq!(decide(&observed, SECOND * 3, &follower), wait);
    assert_eq!(decide(&observed, SECOND * 4, &follower), Decision::Read);
    observed.set_outdated(SECOND * 30);
    let deadline = Decision::WaitUntil(SECOND * 11);
    assert_eq!(decide(&observed, SECOND * 4, &leader), deadline);
}

#[test]
fn timings_that_leave_no_margin_are_rejected() {
    let fast = Timings {
        lease_duration: SECOND * 6,
        renew_deadline: SECOND * 4,
        retry_period: SECOND,
    };
    assert_eq!(TIMINGS.check(), Ok(TIMINGS));
    assert_eq!(fast.check(), Ok(fast));
    let short_lease = Timings {
        lease_duration: SECOND * 11,
        ..TIMINGS
    };
    assert_eq!(short_lease.check(), Err(InvalidTimings::LeaseDuration));
    let one_attempt = Timings {
        retry_period: SECOND * 4,
        ..TIMINGS
    };
    assert_eq!(one_attempt.check(), Err(InvalidTimings::RenewDeadline));
    let hasty = Timings {
        retry_period: Duration::from_millis(999),
        ..TIMINGS
    };
    assert_eq!(hasty.check(), Err(InvalidTimings::RetryPeriod));
}
