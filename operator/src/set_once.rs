//! A value that is set after what reads it was made.

use std::fmt;
use std::sync::{Arc, OnceLock};

/// A value that is set at most once. Clones share it.
pub(crate) struct SetOnce<T>(Arc<OnceLock<T>>);

impl<T> SetOnce<T> {
    /// Sets the value. The first one stays.
    pub(crate) fn set(&self, value: T) {
        let _ = self.0.set(value);
    }

    /// Returns the value, once it is set.
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }
}

impl<T> Clone for SetOnce<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for SetOnce<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> fmt::Debug for SetOnce<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SetOnce").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_stays_and_clones_have_it() {
        let value = SetOnce::default();
        let clone = value.clone();
        assert_eq!(clone.get(), None);
        value.set(1);
        clone.set(2);
        assert_eq!((value.get(), clone.get()), (Some(&1), Some(&1)));
    }
}
