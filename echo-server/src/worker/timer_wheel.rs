//! A worker's timers: one for each connection, in buckets that are wider the further away they are.
//!
//! Works like the Linux kernel's timer wheel: a timer stays in the bucket in which it was put and
//! is late by at most an eighth, in return for which thousands of long timers share a wake-up. Its
//! buckets are doubly linked lists through one array, so setting and clearing a timer costs a few
//! stores, and a timer eight bytes. Pure: time is a number of ticks that is passed in.

/// Buckets of one level: as many as bits that tell which of them hold timers.
const BUCKETS: u32 = u64::BITS;

/// Each level's buckets are 2 to the power of this wider than those of the level before.
const WIDENING: u32 = 3;

/// Levels. The last one's buckets are 4096 ticks wide and reach 258,048 ticks ahead: 35 hours of
/// half-second ticks.
const LEVELS: usize = 5;

/// The lists' heads, which come before the timers in the array.
const HEADS: u32 = BUCKETS * 5;

/// A moment that never comes.
pub(super) const NEVER: u32 = u32::MAX;

/// The timers, by their connections' keys.
#[derive(Debug)]
pub(super) struct TimerWheel {
    /// Heads, then timers.
    nodes: Vec<Node>,
    /// For each level, a bit for each bucket that holds timers.
    occupied: [u64; LEVELS],
    /// The tick up to which timers have come due.
    now: u32,
}

/// A place in a circular list; a list by itself when it is in none.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Its predecessor's place.
    previous: u32,
    /// Its successor's place.
    next: u32,
}

impl TimerWheel {
    /// Begins at tick 0 without timers, and with room for as many.
    pub(super) fn with_room(timers: usize) -> Self {
        let mut nodes = Vec::with_capacity(index(HEADS) + timers);
        nodes.extend((0..HEADS).map(alone));
        Self {
            nodes,
            occupied: [0; LEVELS],
            now: 0,
        }
    }

    /// Sets a timer, or moves it. It comes due at that tick or up to an eighth later, but at the
    /// next tick at the earliest; one that is further away than the wheel reaches comes due early.
    pub(super) fn set(&mut self, key: usize, due: u32) {
        let Some(place) = place(key) else { return };
        for new in (HEADS..=place).skip(self.nodes.len() - index(HEADS)) {
            self.nodes.push(alone(new));
        }
        self.unlink(place);
        let (level, bucket) = self.bucket(due.max(self.now.saturating_add(1)));
        self.link(place, level * BUCKETS + bucket % BUCKETS);
    }

    /// Clears a timer, if it is set.
    pub(super) fn clear(&mut self, key: usize) {
        if let Some(place) = place(key) {
            self.unlink(place);
        }
    }

    /// Returns the tick at which the next timers come due.
    pub(super) fn next_due(&self) -> Option<u32> {
        let due_on = |(level, occupied): (u32, &u64)| {
            let first = (self.now >> (level * WIDENING)) + 1;
            let ahead = occupied.rotate_right(first % BUCKETS).trailing_zeros();
            (*occupied != 0).then(|| (first + ahead) << (level * WIDENING))
        };
        (0..).zip(&self.occupied).filter_map(due_on).min()
    }

    /// Moves on to a tick, and moves the keys of the timers that have come due meanwhile to `due`;
    /// they are no longer set.
    pub(super) fn advance(&mut self, now: u32, due: &mut Vec<usize>) {
        while let Some(next) = self.next_due().filter(|next| *next <= now) {
            self.now = next;
            for (level, _) in (0..).zip(self.occupied) {
                let width = level * WIDENING;
                if (next >> width) << width == next {
                    self.empty(level * BUCKETS + (next >> width) % BUCKETS, due);
                }
            }
        }
        self.now = self.now.max(now);
    }

    /// Finds the level and the bucket for a tick after now: of the finest level that reaches it.
    fn bucket(&self, due: u32) -> (u32, u32) {
        for (level, _) in (0..).zip(self.occupied) {
            let width = level * WIDENING;
            let bucket = due.div_ceil(1 << width);
            if bucket - (self.now >> width) < BUCKETS {
                return (level, bucket);
            }
        }
        let last = HEADS / BUCKETS - 1;
        (last, (self.now >> (last * WIDENING)) + BUCKETS - 1)
    }

    /// Moves a bucket's timers' keys to `due`.
    fn empty(&mut self, head: u32, due: &mut Vec<usize>) {
        let mut first = self.node(head).next;
        while first != head {
            self.unlink(first);
            due.push(index(first - HEADS));
            first = self.node(head).next;
        }
    }

    /// Appends a place to a list.
    fn link(&mut self, place: u32, head: u32) {
        let last = self.node(head).previous;
        self.join(last, place);
        self.join(place, head);
        self.mark(head, true);
    }

    /// Takes a place out of its list, if it is in one.
    fn unlink(&mut self, place: u32) {
        let Node { previous, next } = self.node(place);
        self.join(previous, next);
        self.join(place, place);
        if previous == next && next < HEADS {
            self.mark(next, false);
        }
    }

    /// Makes two places neighbours.
    fn join(&mut self, first: u32, second: u32) {
        if let Some(node) = self.nodes.get_mut(index(first)) {
            node.next = second;
        }
        if let Some(node) = self.nodes.get_mut(index(second)) {
            node.previous = first;
        }
    }

    /// Reads a place; one that was never used is alone.
    fn node(&self, place: u32) -> Node {
        let node = self.nodes.get(index(place));
        node.copied().unwrap_or_else(|| alone(place))
    }

    /// Records whether a bucket holds timers.
    fn mark(&mut self, head: u32, is_occupied: bool) {
        let bit = 1_u64 << (head % BUCKETS);
        if let Some(occupied) = self.occupied.get_mut(index(head / BUCKETS)) {
            let others = *occupied & !bit;
            *occupied = if is_occupied { others | bit } else { others };
        }
    }
}

/// Makes a list of one place.
fn alone(place: u32) -> Node {
    Node {
        previous: place,
        next: place,
    }
}

/// Finds the place of a connection's timer; none beyond four billion connections.
fn place(key: usize) -> Option<u32> {
    u32::try_from(key).ok()?.checked_add(HEADS)
}

/// Returns a place's index.
fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
