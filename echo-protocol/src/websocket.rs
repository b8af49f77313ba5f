//! WebSocket connections (RFC 6455): every frame is echoed, as it comes and in constant memory.
//!
//! The payload of a text or binary frame, whole or a fragment, is echoed while it arrives, so it may have any
//! length. A ping is answered by a pong, a close by a close. Text is not decoded.

mod accept;
mod head;

pub use accept::accept;
use head::{Head, HeadBytes, opcode};

/// Why a server closes: it ends (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// Why a server closes: a frame violates the protocol.
const PROTOCOL_ERROR: u16 = 1002;

/// Why a server closes: the reason of a close is not UTF-8.
const INVALID_PAYLOAD: u16 = 1007;

/// The first byte of a close.
const CLOSE: u8 = 0x88;

/// The first byte of a pong.
const PONG: u8 = 0x8a;

/// The state of one connection after its handshake.
#[derive(Debug, Default)]
pub struct WebSocket {
    /// The phase of the protocol.
    phase: Phase,
    /// A fragment has come, and not the last one of its message.
    is_fragmented: bool,
}

/// The phase of the protocol.
#[derive(Debug)]
enum Phase {
    /// The head of a frame is to come, or the rest of it.
    Head(HeadBytes),
    /// The payload of a frame is to come, or the rest of it.
    Payload(Payload),
    /// A close was sent. Nothing more is answered.
    Over,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Head(HeadBytes::default())
    }
}

/// A payload, as far as it has not come.
#[derive(Debug)]
struct Payload {
    /// What happens to it.
    use_of: Use,
    /// Bytes that are to come.
    left: u64,
    /// The mask of the next bytes.
    mask: [u8; 4],
}

/// What happens to a payload.
#[derive(Debug)]
enum Use {
    /// It is echoed.
    Echo {
        /// A message ends with it.
        ends_message: bool,
    },
    /// It is discarded: that of a pong.
    Discard,
    /// It is the code and the reason of a close, at most 125 bytes.
    Close(Vec<u8>),
}

impl WebSocket {
    /// Appends to `output` the answer to input, which is no longer than the input and a close. Returns how
    /// many messages that completed. Input after the end of the protocol is dropped.
    pub fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> u64 {
        let (mut rest, mut messages) = (input, 0);
        loop {
            match &mut self.phase {
                Phase::Over => return messages,
                Phase::Head(bytes) => {
                    rest = bytes.fill(rest);
                    if !bytes.is_complete() {
                        return messages;
                    }
                    match Head::parse(bytes) {
                        Some(head) => self.begin_payload(&head, output),
                        None => self.close(PROTOCOL_ERROR, output),
                    }
                }
                Phase::Payload(payload) => {
                    rest = payload.take(rest, output);
                    if payload.left > 0 {
                        return messages;
                    }
                    messages += self.end_payload(output);
                }
            }
        }
    }

    /// Sends a close with a code by which clients know that the server ends.
    pub fn go_away(&mut self, output: &mut Vec<u8>) {
        if !self.is_over() {
            self.close(GOING_AWAY, output);
        }
    }

    /// Returns whether a close was sent: nothing more will be answered.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Returns whether no message and no frame is open, so that a close cuts none.
    pub fn is_between_messages(&self) -> bool {
        !self.is_fragmented && matches!(&self.phase, Phase::Head(bytes) if bytes.is_empty())
    }

    /// Begins the payload of a frame: its echo has the same head, but for the mask.
    fn begin_payload(&mut self, head: &Head, output: &mut Vec<u8>) {
        let use_of = match head.opcode {
            opcode::PING => {
                head.write(PONG, output);
                Use::Echo {
                    ends_message: false,
                }
            }
            opcode::PONG => Use::Discard,
            opcode::CLOSE => Use::Close(Vec::new()),
            data => {
                if (data == opcode::CONTINUATION) != self.is_fragmented {
                    return self.close(PROTOCOL_ERROR, output);
                }
                self.is_fragmented = !head.is_final;
                head.write(head.first, output);
                Use::Echo {
                    ends_message: head.is_final,
                }
            }
        };
        self.phase = Phase::Payload(Payload {
            use_of,
            left: head.length,
            mask: head.mask,
        });
    }

    /// Ends a payload that has come, and returns how many messages that completed.
    fn end_payload(&mut self, output: &mut Vec<u8>) -> u64 {
        match std::mem::take(&mut self.phase) {
            Phase::Payload(Payload {
                use_of: Use::Echo { ends_message },
                ..
            }) => u64::from(ends_message),
            Phase::Payload(Payload {
                use_of: Use::Close(reason),
                ..
            }) => {
                if let Some(code) = close_code(&reason) {
                    self.close(code, output);
                } else {
                    output.extend_from_slice(&[CLOSE, 0]);
                    self.phase = Phase::Over;
                }
                0
            }
            Phase::Payload(_) | Phase::Head(_) | Phase::Over => 0,
        }
    }

    /// Sends a close.
    fn close(&mut self, code: u16, output: &mut Vec<u8>) {
        output.extend_from_slice(&[CLOSE, 2]);
        output.extend_from_slice(&code.to_be_bytes());
        self.phase = Phase::Over;
    }
}

impl Payload {
    /// Takes as much of the input as belongs to it, and returns the rest.
    fn take<'i>(&mut self, input: &'i [u8], output: &mut Vec<u8>) -> &'i [u8] {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (taken, rest) = input.split_at(most.min(input.len()));
        let unmasked = taken.iter().zip(self.mask.iter().cycle());
        let unmasked = unmasked.map(|(byte, mask)| byte ^ mask);
        match &mut self.use_of {
            Use::Echo { .. } => output.extend(unmasked),
            Use::Close(reason) => reason.extend(unmasked),
            Use::Discard => {}
        }
        self.mask.rotate_left(taken.len() % 4);
        self.left -= u64::try_from(taken.len()).unwrap_or(self.left);
        rest
    }
}

/// Returns the code of the close that answers one with such a payload; nothing if it has none.
fn close_code(payload: &[u8]) -> Option<u16> {
    let (code, reason) = match payload {
        [] => return None,
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        [_] => return Some(PROTOCOL_ERROR),
    };
    Some(match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 if str::from_utf8(reason).is_ok() => code,
        1000..=1003 | 1007..=1014 | 3000..=4999 => INVALID_PAYLOAD,
        _ => PROTOCOL_ERROR,
    })
}

#[cfg(test)]
mod tests;
