//! WebSocket connections (RFC 6455): every message is echoed, as it comes and in constant memory.
//!
//! The payload of a frame is echoed while it arrives, so it may have any length up to the limit. A ping is
//! answered by a pong, a close by a close.
//!
//! A binary frame is echoed as one frame. A text frame is too if it arrives at once; otherwise each part that
//! arrives is echoed as a fragment. So a close can follow when the next part is not UTF-8: within a frame, it
//! could not be sent.

mod accept;
mod head;
mod utf8;

pub use accept::accept;
use head::{FINAL, Head, HeadBytes, opcode};
use utf8::Utf8;

/// Why a server closes: it ends (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// Why a server closes: a frame violates the protocol.
const PROTOCOL_ERROR: u16 = 1002;

/// Why a server closes: text, or the reason of a close, is not UTF-8.
const INVALID_PAYLOAD: u16 = 1007;

/// Why a server closes: a message is longer than allowed.
const MESSAGE_TOO_BIG: u16 = 1009;

/// The first byte of a close.
const CLOSE: u8 = 0x88;

/// The first byte of a pong.
const PONG: u8 = 0x8a;

/// The state of one connection after its handshake.
#[derive(Debug)]
pub struct WebSocket {
    /// The phase of the protocol.
    phase: Phase,
    /// The message of which a fragment has come, and not the last one.
    open: Option<Message>,
    /// The longest message.
    max_message_bytes: u64,
    /// A message was longer, and therefore a close was sent.
    is_too_big: bool,
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

/// A message, as far as it has come.
#[derive(Debug, Default)]
struct Message {
    /// The check of a text; none: the message is binary.
    text: Option<Utf8>,
    /// The length of its frames so far.
    bytes: u64,
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
    /// It is echoed as part of a message.
    Echo {
        /// The message.
        message: Message,
        /// The first byte of the head of its echo. Of a binary frame, the head was sent.
        first: u8,
    },
    /// It is echoed; the head was sent.
    Pong,
    /// It is discarded: that of a pong.
    Discard,
    /// It is the code and the reason of a close, at most 125 bytes.
    Close(Vec<u8>),
}

/// Text is not UTF-8.
struct InvalidText;

impl WebSocket {
    /// Begins with a limit for messages; none: they may have any length.
    pub fn new(max_message_bytes: Option<u64>) -> Self {
        Self {
            phase: Phase::default(),
            open: None,
            max_message_bytes: max_message_bytes.unwrap_or(u64::MAX),
            is_too_big: false,
        }
    }

    /// Appends to `output` the answer to input, which is no longer than the input, the head of a frame (10
    /// bytes) and a close. Returns how many messages that completed. Input after the end of the protocol is
    /// dropped.
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
                    let taken = payload.take(rest);
                    rest = rest.get(taken.len()..).unwrap_or_default();
                    if payload.answer(taken, output).is_err() {
                        self.close(INVALID_PAYLOAD, output);
                    } else if payload.left > 0 {
                        return messages;
                    } else {
                        messages += self.end_payload(output);
                    }
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

    /// Returns whether a close was sent because a message is longer than allowed.
    pub fn is_too_big(&self) -> bool {
        self.is_too_big
    }

    /// Returns whether no message and no frame is open, so that a close cuts none.
    pub fn is_between_messages(&self) -> bool {
        self.open.is_none() && matches!(&self.phase, Phase::Head(bytes) if bytes.is_empty())
    }

    /// Begins the payload of a frame.
    fn begin_payload(&mut self, head: &Head, output: &mut Vec<u8>) {
        let use_of = match head.opcode {
            opcode::PING => {
                Head::write(PONG, head.length, output);
                Use::Pong
            }
            opcode::PONG => Use::Discard,
            opcode::CLOSE => Use::Close(Vec::new()),
            _ => match self.begin_echo(head, output) {
                Ok(echo) => echo,
                Err(code) => return self.close(code, output),
            },
        };
        self.phase = Phase::Payload(Payload {
            use_of,
            left: head.length,
            mask: head.mask,
        });
    }

    /// Begins the payload of a frame of a message. The error is the code of a close.
    fn begin_echo(&mut self, head: &Head, output: &mut Vec<u8>) -> Result<Use, u16> {
        let mut message = match (head.opcode, self.open.take()) {
            (opcode::CONTINUATION, Some(open)) => open,
            (opcode::TEXT, None) => Message {
                text: Some(Utf8::default()),
                bytes: 0,
            },
            (opcode::BINARY, None) => Message::default(),
            _ => return Err(PROTOCOL_ERROR),
        };
        message.bytes = message.bytes.saturating_add(head.length);
        if message.bytes > self.max_message_bytes {
            self.is_too_big = true;
            return Err(MESSAGE_TOO_BIG);
        }
        if message.text.is_none() {
            Head::write(head.first, head.length, output);
        }
        let first = head.first;
        Ok(Use::Echo { message, first })
    }

    /// Ends a payload that has come, and returns how many messages that completed.
    fn end_payload(&mut self, output: &mut Vec<u8>) -> u64 {
        let Phase::Payload(Payload { use_of, .. }) = std::mem::take(&mut self.phase) else {
            return 0;
        };
        match use_of {
            Use::Echo { first, .. } if first & FINAL != 0 => return 1,
            Use::Echo { message, .. } => self.open = Some(message),
            Use::Close(reason) => {
                if let Some(code) = close_code(&reason) {
                    self.close(code, output);
                } else {
                    output.extend_from_slice(&[CLOSE, 0]);
                    self.phase = Phase::Over;
                }
            }
            Use::Pong | Use::Discard => {}
        }
        0
    }

    /// Sends a close.
    fn close(&mut self, code: u16, output: &mut Vec<u8>) {
        output.extend_from_slice(&[CLOSE, 2]);
        output.extend_from_slice(&code.to_be_bytes());
        self.phase = Phase::Over;
    }
}

impl Payload {
    /// Takes as much of the input as belongs to it.
    fn take<'i>(&mut self, input: &'i [u8]) -> &'i [u8] {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        let taken = input.get(..most).unwrap_or(input);
        self.left -= count(taken);
        taken
    }

    /// Answers bytes that were taken.
    fn answer(&mut self, taken: &[u8], output: &mut Vec<u8>) -> Result<(), InvalidText> {
        let unmasked = taken.iter().zip(self.mask.iter().cycle());
        let unmasked = unmasked.map(|(byte, mask)| byte ^ mask);
        match &mut self.use_of {
            Use::Echo {
                message: Message {
                    text: Some(text), ..
                },
                first,
            } => {
                let is_last = self.left == 0;
                if is_last || !taken.is_empty() {
                    let begin = output.len();
                    let head = if is_last { *first } else { *first & !FINAL };
                    Head::write(head, count(taken), output);
                    let after_head = output.len();
                    output.extend(unmasked);
                    let part = output.get(after_head..).unwrap_or_default();
                    if !text.continues(part) || head & FINAL != 0 && !text.is_complete() {
                        output.truncate(begin);
                        return Err(InvalidText);
                    }
                    *first = *first & FINAL | opcode::CONTINUATION;
                }
            }
            Use::Echo { .. } | Use::Pong => output.extend(unmasked),
            Use::Close(reason) => reason.extend(unmasked),
            Use::Discard => {}
        }
        self.mask.rotate_left(taken.len() % 4);
        Ok(())
    }
}

/// Counts bytes.
fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
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
