//! The header of a frame: what it says of the payload.

/// The opcodes of frames (RFC 6455, section 5.2).
pub(super) mod opcode {
    /// A further fragment of a message.
    pub(in crate::websocket) const CONTINUATION: u8 = 0;
    /// Text, or the first fragment of one.
    pub(in crate::websocket) const TEXT: u8 = 1;
    /// Bytes, or their first fragment.
    pub(in crate::websocket) const BINARY: u8 = 2;
    /// A Close.
    pub(in crate::websocket) const CLOSE: u8 = 8;
    /// A Ping, to be answered by a Pong.
    pub(in crate::websocket) const PING: u8 = 9;
    /// A Pong, the answer to a Ping.
    pub(in crate::websocket) const PONG: u8 = 10;
}

/// The longest payload of a control frame: Close, Ping or Pong.
const MAX_CONTROL_BYTES: u64 = 125;

/// The length in the second byte that stands for one in the two bytes after it.
const IN_TWO_BYTES: u8 = 126;

/// The length in the second byte that stands for one in the eight bytes after it.
const IN_EIGHT_BYTES: u8 = 127;

/// The bit of the first byte by which no further fragment follows.
pub(super) const FINAL: u8 = 0x80;

/// What the header of a frame says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// The first byte, which an echo has too.
    pub(super) first: u8,
    /// The opcode.
    pub(super) opcode: u8,
    /// The length of the payload.
    pub(super) length: u64,
    /// The masking key of the payload.
    pub(super) masking_key: [u8; 4],
}

impl FrameHeader {
    /// Reads a complete header. Returns nothing if a client must not send it.
    pub(super) fn parse(HeaderBytes { bytes, .. }: &HeaderBytes) -> Option<Self> {
        let [first, second, rest @ ..] = *bytes;
        let [l0, l1, l2, l3, l4, l5, l6, l7, m0, m1, m2, m3] = rest; // as after the longest length
        let is_masked = second & 0x80 != 0;
        let (length, masking_key, least) = match second & 0x7f {
            IN_TWO_BYTES => (u16::from_be_bytes([l0, l1]).into(), [l2, l3, l4, l5], 126),
            IN_EIGHT_BYTES => {
                let length = u64::from_be_bytes([l0, l1, l2, l3, l4, l5, l6, l7]);
                (length, [m0, m1, m2, m3], 1 << 16)
            }
            length => (length.into(), [l0, l1, l2, l3], 0),
        };
        let (is_final, opcode) = (first & FINAL != 0, first & 0x0f);
        let is_known = match opcode {
            opcode::CONTINUATION | opcode::TEXT | opcode::BINARY => true,
            opcode::CLOSE | opcode::PING | opcode::PONG => is_final && length <= MAX_CONTROL_BYTES,
            _ => false,
        };
        let has_extension = first & 0x70 != 0;
        let is_shortest = length >= least && length >> 63 == 0;
        (is_masked && is_known && is_shortest && !has_extension).then_some(Self {
            first,
            opcode,
            length,
            masking_key,
        })
    }

    /// Appends the header of a frame of such a length without a masking key, as a server sends it.
    pub(super) fn write(first: u8, length: u64, output: &mut Vec<u8>) {
        output.push(first);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length), _) if length < IN_TWO_BYTES => output.push(length),
            (_, Ok(length)) => {
                output.push(IN_TWO_BYTES);
                output.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                output.push(IN_EIGHT_BYTES);
                output.extend_from_slice(&length.to_be_bytes());
            }
        }
    }
}

/// The bytes of a header, as far as they have come.
#[derive(Debug, Default)]
pub(super) struct HeaderBytes {
    /// The bytes.
    bytes: [u8; 14],
    /// How many have come.
    length: usize,
}

impl HeaderBytes {
    /// Takes as much of the input as belongs to it, and returns the rest.
    pub(super) fn fill<'i>(&mut self, input: &'i [u8]) -> &'i [u8] {
        let mut rest = input;
        while !self.is_complete()
            && let Some((byte, after)) = rest.split_first()
            && let Some(slot) = self.bytes.get_mut(self.length)
        {
            *slot = *byte;
            self.length += 1;
            rest = after;
        }
        rest
    }

    /// Returns whether all of it has come.
    pub(super) fn is_complete(&self) -> bool {
        let [_, second, ..] = self.bytes;
        let length = match second & 0x7f {
            IN_TWO_BYTES => 2,
            IN_EIGHT_BYTES => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        self.length >= 2 && self.length >= 2 + length + mask
    }
}
