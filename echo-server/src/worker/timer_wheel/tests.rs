use super::*;

/// Advances and gives the keys that came due, in order.
fn advance(wheel: &mut TimerWheel, now: u32) -> Vec<usize> {
    let mut due = Vec::new();
    wheel.advance(now, &mut due);
    due.sort_unstable();
    due
}

/// Numbers that look random and are the same in every run (Marsaglia's xorshift).
fn numbers() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(2_463_534_242_u32), |last| {
        let mut number = *last;
        number ^= number << 13;
        number ^= number >> 17;
        Some(number ^ (number << 5))
    })
}

#[test]
fn every_timer_comes_due_never_early_and_at_most_an_eighth_late() {
    for start in [0, 1, 63, 4_095, 1_000_003] {
        for ahead in (1..600).chain([4_000, 32_767, 172_800, 250_000]) {
            let mut wheel = TimerWheel::new();
            advance(&mut wheel, start);
            wheel.set(3, start + ahead);
            let due = wheel.next_due().unwrap();
            let late = due - (start + ahead);
            assert!(late <= ahead / 8, "{ahead} after {start} is {late} late");
            assert_eq!(advance(&mut wheel, due - 1), [0_usize; 0]);
            assert_eq!(advance(&mut wheel, due), [3]);
            assert_eq!(wheel.next_due(), None);
        }
    }
}

#[test]
fn a_timer_of_now_or_before_comes_due_at_the_next_tick() {
    let mut wheel = TimerWheel::new();
    advance(&mut wheel, 100);
    wheel.set(0, 100);
    wheel.set(1, 7);
    assert_eq!(wheel.next_due(), Some(101));
    assert_eq!(advance(&mut wheel, 101), [0, 1]);
}

#[test]
fn a_timer_further_away_than_the_wheel_reaches_comes_due_early() {
    let mut wheel = TimerWheel::new();
    wheel.set(0, NEVER - 1);
    let due = wheel.next_due().unwrap();
    assert!(due >= 250_000);
    assert_eq!(advance(&mut wheel, due), [0]);
}

#[test]
fn a_timer_that_is_moved_or_cleared_is_no_longer_where_it_was() {
    let mut wheel = TimerWheel::new();
    wheel.set(0, 10);
    wheel.set(1, 10);
    wheel.set(2, 20);
    wheel.set(0, 30);
    wheel.clear(1);
    wheel.clear(1);
    wheel.clear(77);
    assert_eq!(wheel.next_due(), Some(20));
    assert_eq!(advance(&mut wheel, 29), [2]);
    assert_eq!(advance(&mut wheel, 30), [0]);
    assert_eq!(wheel.next_due(), None);
}

#[test]
fn a_long_sleep_misses_nobody() {
    let mut wheel = TimerWheel::new();
    for key in 0..1_000_u32 {
        wheel.set(index(key), key * key + 1);
    }
    assert_eq!(advance(&mut wheel, 2_000_000).len(), 1_000);
}

#[test]
fn thousands_of_timers_of_five_minutes_share_a_wake_up_every_32_seconds() {
    let mut wheel = TimerWheel::new();
    let mut wake_ups = 0;
    for (key, number) in (0..10_000).zip(numbers()) {
        wheel.set(key, 600 + number % 600);
    }
    for tick in 1..=2_400 {
        let due = advance(&mut wheel, tick);
        wake_ups += u32::from(!due.is_empty());
        for key in due {
            wheel.set(key, tick + 601);
        }
    }
    assert!(wake_ups <= 2_400 / 64 + 1, "{wake_ups} in 20 minutes");
}

#[test]
fn any_mix_of_sets_clears_and_advances_matches_a_plain_list() {
    let (mut wheel, mut list) = (TimerWheel::new(), std::collections::BTreeMap::new());
    let (mut now, mut numbers) = (0, numbers());
    let mut number = |below| numbers.next().unwrap() % below;
    for _ in 0..100_000 {
        let key = index(number(50));
        match number(4) {
            0 => {
                now += 1 + number(9);
                let due = advance(&mut wheel, now);
                for key in due {
                    let at: u32 = list.remove(&key).expect("a timer that is set");
                    assert!(at <= now, "{key} is early");
                }
                let most_late = now.saturating_sub(2_000 / 8 + 10);
                assert!(list.values().all(|at| *at >= most_late), "one is missed");
            }
            1 => {
                list.remove(&key);
                wheel.clear(key);
            }
            _ => {
                let at = now + 1 + number(2_000);
                list.insert(key, at);
                wheel.set(key, at);
            }
        }
        assert_eq!(wheel.next_due().is_none(), list.is_empty());
    }
}
