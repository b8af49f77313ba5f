//! WebSocket connections (RFC 6455): every message is echoed, as it comes and in constant memory.
//!
//! The payload of a frame is echoed while it arrives, so it may have any length up to the limit. A Ping frame is
//! answered by a Pong frame, a Close frame by a Close frame.
//!
//! A binary frame is echoed as one frame. A text frame is too if it arrives at once; otherwise each part that
//! arrives is echoed as a fragment. So a Close frame can follow when the next part is not UTF-8: within a frame, it
//! could not be sent.

mod accept;
mod header;
mod utf8;

pub use accept::accept;
use header::{FINAL, FrameHeader, HeaderBytes, opcode};
use utf8::Utf8;

/// The status code of a server that ends (RFC 6455, section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// The status code after a frame that violates the protocol.
const PROTOCOL_ERROR: u16 = 1002;

/// The status code after text, or the reason of a Close frame, that is not UTF-8.
const INVALID_PAYLOAD: u16 = 1007;

/// The status code after a message that is longer than allowed.
const MESSAGE_TOO_BIG: u16 = 1009;

/// The first byte of a Close frame.
const CLOSE: u8 = 0x88;

/// The first byte of a Pong frame.
const PONG: u8 = 0x8a;

/// The state of one connection after its opening handshake.
#[derive(Debug)]
pub struct WebSocket {
    /// The phase of the protocol.
    phase: Phase,
    /// The message of which a fragment has come, and not the last one.
    open: Option<Message>,
    /// The longest message.
    max_message_bytes: u64,
    /// A message was longer, and therefore a Close frame was sent.
    is_too_big: bool,
    /// A Close frame is to be sent as soon as no message is open.
    is_going_away: bool,
}

/// The phase of the protocol.
#[derive(Debug)]
enum Phase {
    /// The header of a frame is to come, or the rest of it.
    Header(HeaderBytes),
    /// The payload of a frame is to come, or the rest of it.
    Payload(Payload),
    /// A Close frame was sent: the closing handshake has begun, and nothing more is answered.
    Closing,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Header(HeaderBytes::default())
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

/// The payload of a frame, as far as it has not come.
#[derive(Debug)]
struct Payload {
    /// The frame that it belongs to.
    frame: Frame,
    /// Bytes that are to come.
    remaining: u64,
    /// The masking key, from the next byte on.
    masking_key: [u8; 4],
}

/// A frame whose header has come.
#[derive(Debug)]
enum Frame {
    /// A frame of a message, which is echoed.
    Data {
        /// The message.
        message: Message,
        /// The first byte of the header of its echo. Of a binary frame, the header was sent.
        first: u8,
    },
    /// A Ping frame, whose payload is echoed. The header of the Pong frame was sent.
    Ping,
    /// A Pong frame, which is discarded.
    Pong,
    /// A Close frame, with the status code and the reason as far as they have come: at most 125 bytes.
    Close(Vec<u8>),
}

/// Text is not UTF-8.
struct InvalidUtf8;

impl WebSocket {
    /// Begins with a limit for messages; none: they may have any length.
    pub fn new(max_message_bytes: Option<u64>) -> Self {
        Self {
            phase: Phase::default(),
            open: None,
            max_message_bytes: max_message_bytes.unwrap_or(u64::MAX),
            is_too_big: false,
            is_going_away: false,
        }
    }

    /// Appends to `output` the answer to input, which is no longer than the input, the header of a frame (10
    /// bytes) and a Close frame. Returns how many messages that completed. Input after the end of the protocol is
    /// discarded.
    pub fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> u64 {
        let (mut rest, mut messages) = (input, 0);
        loop {
            match &mut self.phase {
                Phase::Closing => return messages,
                Phase::Header(bytes) => {
                    rest = bytes.fill(rest);
                    if !bytes.is_complete() {
                        return messages;
                    }
                    match FrameHeader::parse(bytes) {
                        Some(header) => self.begin_payload(&header, output),
                        None => self.close(PROTOCOL_ERROR, output),
                    }
                }
                Phase::Payload(payload) => {
                    let taken = payload.take(rest);
                    rest = rest.get(taken.len()..).unwrap_or_default();
                    if payload.answer(taken, output).is_err() {
                        self.close(INVALID_PAYLOAD, output);
                    } else if payload.remaining > 0 {
                        return messages;
                    } else {
                        messages += self.end_payload(output);
                        self.close_if_going_away(output);
                    }
                }
            }
        }
    }

    /// Sends a Close frame with the status code by which clients know that the server ends: now, or as soon as no
    /// message is open, also when the next one follows in the same input. What follows is discarded.
    pub fn go_away(&mut self, output: &mut Vec<u8>) {
        self.is_going_away = true;
        self.close_if_going_away(output);
    }

    /// Returns whether the server is to close, or has closed, because it ends.
    pub fn is_going_away(&self) -> bool {
        self.is_going_away
    }

    /// Returns whether a Close frame was sent: nothing more will be answered.
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing)
    }

    /// Returns whether a Close frame was sent because a message is longer than allowed.
    pub fn is_too_big(&self) -> bool {
        self.is_too_big
    }

    /// Begins the payload of a frame.
    fn begin_payload(&mut self, header: &FrameHeader, output: &mut Vec<u8>) {
        let frame = match header.opcode {
            opcode::PING => {
                FrameHeader::write(PONG, header.length, output);
                Frame::Ping
            }
            opcode::PONG => Frame::Pong,
            opcode::CLOSE => Frame::Close(Vec::new()),
            _ => match self.begin_data(header, output) {
                Ok(data) => data,
                Err(code) => return self.close(code, output),
            },
        };
        self.phase = Phase::Payload(Payload {
            frame,
            remaining: header.length,
            masking_key: header.masking_key,
        });
    }

    /// Begins a frame of a message. The error is the status code of a Close frame.
    fn begin_data(&mut self, header: &FrameHeader, output: &mut Vec<u8>) -> Result<Frame, u16> {
        let mut message = match (header.opcode, self.open.take()) {
            (opcode::CONTINUATION, Some(open)) => open,
            (opcode::TEXT, None) => Message {
                text: Some(Utf8::default()),
                bytes: 0,
            },
            (opcode::BINARY, None) => Message::default(),
            _ => return Err(PROTOCOL_ERROR),
        };
        message.bytes = message.bytes.saturating_add(header.length);
        if message.bytes > self.max_message_bytes {
            self.is_too_big = true;
            return Err(MESSAGE_TOO_BIG);
        }
        if message.text.is_none() {
            FrameHeader::write(header.first, header.length, output);
        }
        let first = header.first;
        Ok(Frame::Data { message, first })
    }

    /// Ends a payload that has come, and returns how many messages that completed.
    fn end_payload(&mut self, output: &mut Vec<u8>) -> u64 {
        let Phase::Payload(Payload { frame, .. }) = std::mem::take(&mut self.phase) else {
            return 0;
        };
        match frame {
            Frame::Data { first, .. } if first & FINAL != 0 => return 1,
            Frame::Data { message, .. } => self.open = Some(message),
            Frame::Close(payload) => {
                if let Some(code) = answered_status_code(&payload) {
                    self.close(code, output);
                } else {
                    output.extend_from_slice(&[CLOSE, 0]);
                    self.phase = Phase::Closing;
                }
            }
            Frame::Ping | Frame::Pong => {}
        }
        0
    }

    /// Sends a Close frame if the server ends and neither a message nor a control frame is open, so that it cuts
    /// none. Of a frame whose header has not come whole, nothing was answered.
    fn close_if_going_away(&mut self, output: &mut Vec<u8>) {
        if self.is_going_away && self.open.is_none() && matches!(self.phase, Phase::Header(_)) {
            self.close(GOING_AWAY, output);
        }
    }

    /// Sends a Close frame.
    fn close(&mut self, code: u16, output: &mut Vec<u8>) {
        output.extend_from_slice(&[CLOSE, 2]);
        output.extend_from_slice(&code.to_be_bytes());
        self.phase = Phase::Closing;
    }
}

impl Payload {
    /// Takes as much of the input as belongs to it.
    fn take<'i>(&mut self, input: &'i [u8]) -> &'i [u8] {
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let taken = input.get(..most).unwrap_or(input);
        self.remaining -= count(taken);
        taken
    }

    /// Answers bytes that were taken.
    fn answer(&mut self, taken: &[u8], output: &mut Vec<u8>) -> Result<(), InvalidUtf8> {
        let unmasked = taken.iter().zip(self.masking_key.iter().cycle());
        let unmasked = unmasked.map(|(byte, key)| byte ^ key);
        match &mut self.frame {
            Frame::Data {
                message: Message {
                    text: Some(text), ..
                },
                first,
            } => {
                let is_last = self.remaining == 0;
                if is_last || !taken.is_empty() {
                    let begin = output.len();
                    let echo_first = if is_last { *first } else { *first & !FINAL };
                    FrameHeader::write(echo_first, count(taken), output);
                    let after_header = output.len();
                    output.extend(unmasked);
                    let part = output.get(after_header..).unwrap_or_default();
                    if !text.continues(part) || echo_first & FINAL != 0 && !text.is_complete() {
                        output.truncate(begin);
                        return Err(InvalidUtf8);
                    }
                    *first = *first & FINAL | opcode::CONTINUATION;
                }
            }
            Frame::Data { .. } | Frame::Ping => output.extend(unmasked),
            Frame::Close(payload) => payload.extend(unmasked),
            Frame::Pong => {}
        }
        self.masking_key.rotate_left(taken.len() % 4);
        Ok(())
    }
}

/// Counts bytes.
fn count(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Returns the status code of the Close frame that answers one with such a payload; nothing if it has none.
fn answered_status_code(payload: &[u8]) -> Option<u16> {
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
