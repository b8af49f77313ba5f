//! The panics of a run. The operator or its runtime catches most, so that a run could go on as if there were none.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

static HOOK: Once = Once::new();

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Runs a simulation on this thread. Returns its result, unless it panics, and each panic on this thread, caught or not.
pub(crate) fn collect<T>(run: impl FnOnce() -> T) -> (Option<T>, Vec<String>) {
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            print(panic);
        }));
    });
    PANICS.take();
    let result = catch_unwind(AssertUnwindSafe(run));
    (result.ok(), PANICS.take())
}

#[test]
fn a_panic_of_a_task_that_nothing_waits_for_is_a_violation() {
    let (result, panics) = collect(|| {
        let runtime = crate::run::runtime();
        runtime.spawn(async { panic!("as a bug would") });
        runtime.block_on(crate::run::advance(std::time::Duration::from_secs(1)));
    });
    assert!(result.is_some(), "it goes on");
    assert_eq!(panics.len(), 1);
    assert!(panics[0].contains("as a bug would"), "{panics:?}");
}
