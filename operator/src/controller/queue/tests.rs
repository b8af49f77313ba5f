use futures::StreamExt;

use super::*;
use crate::metrics::Metrics;

fn queue(slots: usize) -> Queue<u32> {
    let limits = Limits {
        slots,
        processing: 4,
    };
    Queue::new(limits, Workqueue::default())
}

fn get_all(queue: &Queue<u32>) -> Vec<u32> {
    std::iter::from_fn(|| queue.try_get().ok()).collect()
}

#[test]
fn keys_start_in_the_order_in_which_they_were_added_and_each_waits_once() {
    let queue = queue(3);
    for key in [1, 2, 1, 3, 4] {
        queue.add(key);
    }
    assert_eq!(get_all(&queue), [1, 2, 3]);
    queue.add(1); // while it is being processed
    queue.done(&2);
    assert_eq!(get_all(&queue), [4]);
    queue.done(&1);
    assert_eq!(get_all(&queue), [1]);
}

#[test]
fn a_change_goes_before_a_reconcile_of_all() {
    let queue = queue(2);
    queue.add_all(0..10_000);
    queue.add(9_999);
    queue.add(10_000);
    assert_eq!(get_all(&queue), [9_999, 10_000]);
    let state = queue.lock();
    assert_eq!((state.ready.len(), state.places.len()), (9_999, 9_999));
}

#[tokio::test(start_paused = true)]
async fn what_is_due_does_not_wait_for_a_reconcile_of_all() {
    let queue = queue(1);
    for is_processing in [false, true] {
        queue.add(1);
        assert_eq!(get_all(&queue), [1]);
        queue.add_after(&1, Duration::from_secs(4));
        if is_processing {
            queue.add_all([2, 1]);
            queue.done(&1);
        } else {
            queue.done(&1);
            queue.add_all([2, 1]);
        }
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(get_all(&queue), [1]);
        queue.done(&1);
        assert_eq!(get_all(&queue), [2]);
        queue.done(&2);
        let state = queue.lock();
        assert!(state.ready.is_empty() && state.places.is_empty());
        assert!(state.delayed.is_empty() && state.due_places.is_empty());
    }
}

#[test]
fn a_key_that_is_being_processed_takes_no_slot_when_it_is_added_again() {
    let queue = queue(1);
    queue.add(1);
    assert_eq!(get_all(&queue), [1]);
    queue.release_slot(&1);
    queue.add(1);
    queue.add(2);
    assert_eq!(get_all(&queue), [2]);
    queue.done(&1);
    assert_eq!(get_all(&queue), [0_u32; 0], "2 has the slot");
    queue.done(&2);
    assert_eq!(get_all(&queue), [1]);
}

#[test]
fn keys_that_have_released_their_slots_are_limited_too() {
    let queue = queue(1);
    for key in 0..6 {
        queue.add(key);
        for key in get_all(&queue) {
            queue.release_slot(&key);
        }
    }
    assert_eq!(queue.lock().processing.len(), 4);
    queue.done(&0);
    assert_eq!(get_all(&queue), [4]);
}

#[tokio::test(start_paused = true)]
async fn what_is_due_needs_a_slot_like_what_was_added() {
    let queue = queue(1);
    queue.add(1);
    assert_eq!(get_all(&queue), [1]);
    queue.add_after(&1, Duration::from_secs(4));
    queue.done(&1);
    queue.add(2);
    assert_eq!(get_all(&queue), [2]);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(get_all(&queue), [0_u32; 0], "2 has the slot");
    queue.done(&2);
    assert_eq!(get_all(&queue), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_returned_when_it_is_due_unless_it_was_added_before() {
    let queue = queue(1);
    let started = Instant::now();
    for is_added in [false, true] {
        queue.add(1);
        assert_eq!(queue.get().await, 1);
        queue.add_after(&1, Duration::from_secs(4));
        if is_added {
            queue.add(1);
        }
        queue.done(&1);
        assert_eq!(queue.get().await, 1);
        assert_eq!(started.elapsed().as_secs(), 4);
        queue.done(&1);
    }
    assert!(queue.lock().delayed.is_empty() && queue.lock().due_places.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_metrics_report_what_waits_and_what_is_processed_and_for_how_long() {
    let queue = queue(2);
    let state = queue.state();
    queue.add_all(0..10);
    queue.add(9);
    queue.add(20);
    assert_eq!(get_all(&queue), [9, 20]);
    tokio::time::advance(Duration::from_secs(3)).await;
    queue.done(&9);
    assert_eq!(get_all(&queue), [0]);
    queue.add(30);
    tokio::time::advance(Duration::from_secs(1)).await;
    let expected = QueueState {
        changed: 1,
        all: 8,
        active: 2,
        stragglers: 0,
        slots: 2,
        unfinished: Duration::from_secs(5),
        longest: Duration::from_secs(4),
    };
    assert_eq!(state(), expected);
    drop(queue);
    assert_eq!(state(), QueueState::default());
}

#[tokio::test(start_paused = true)]
async fn the_time_before_this_process_leads_is_no_time_in_the_queue() {
    let metrics = Metrics::default();
    let limits = Limits {
        slots: 1,
        processing: 1,
    };
    let queue = Queue::new(limits, metrics.workqueue().clone());
    queue.add_all([1]);
    tokio::time::advance(Duration::from_hours(1)).await;
    let mut keys = std::pin::pin!(queue.clone().stream());
    queue.add_all([2]);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(keys.next().await, Some(1));
    queue.done(&1);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(keys.next().await, Some(2));
    let text = metrics.text().unwrap();
    let sum = text
        .lines()
        .find(|line| line.starts_with("workqueue_queue_duration_seconds_sum"));
    assert!(sum.is_some_and(|sum| sum.ends_with(" 7.0")), "{sum:?}");
}
