//! A process has one log, however often it is installed.

#[cfg(test)]
mod tests {
    use std::hint::spin_loop;
    use std::ptr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn calls_at_the_same_time_start_one_writer_and_return_the_same_log() {
        const CALLS: usize = 2;
        let begun = AtomicUsize::new(0);
        let reporter = Arc::new(());
        let install = || {
            let of_this_writer = Arc::clone(&reporter);
            begun.fetch_add(1, Ordering::Relaxed);
            while begun.load(Ordering::Relaxed) < CALLS {
                spin_loop(); // a barrier would wake one after the other
            }
            log_writer::install(move |_| drop(Arc::clone(&of_this_writer))).unwrap()
        };
        let logs = thread::scope(|scope| {
            let calls: Vec<_> = (0..CALLS).map(|_| scope.spawn(install)).collect();
            let logs = calls.into_iter().map(|call| call.join().unwrap());
            logs.collect::<Vec<_>>()
        });
        assert!(ptr::eq(logs[0], logs[1]));
        let writers = Arc::strong_count(&reporter) - 1;
        assert_eq!(writers, 1);
    }
}
