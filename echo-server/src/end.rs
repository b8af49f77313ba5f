//! How connections end, whoever serves them.

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Over,
    /// It began with no good header of the PROXY protocol.
    BadHeader,
    /// Its client, known by such a header, has as many as one is allowed.
    ClientLimit,
    /// Nothing came at first for too long.
    Silent,
    /// Nothing came for too long.
    Idle,
    /// The client took nothing for too long.
    Stuck,
    /// A line was longer than allowed.
    TooLong,
    /// A fault that was asked for.
    Fault,
}
