//! The list of cases: what each is called, what it asks of a server, and the bytes.

use super::super::error::ClientError;
use super::Subject;
use super::conversations;

/// One thing that a server has to do.
pub(super) struct Case {
    /// Its name, for `--skip`.
    pub name: &'static str,
    /// What the server has to do, as a sentence.
    pub description: &'static str,
    /// How that is found out.
    pub exchange: Exchange,
}

/// How a case goes.
pub(super) enum Exchange {
    /// The input and the end of input are sent; these lines are answered, and the output ends.
    Answers {
        /// What is sent.
        input: &'static [u8],
        /// What is answered, without prefixes and ends.
        lines: &'static [&'static [u8]],
    },
    /// Only the input is sent; these lines are answered, and the server ends by itself.
    Ends {
        /// What is sent.
        input: &'static [u8],
        /// What is answered, without prefixes and ends.
        lines: &'static [&'static [u8]],
    },
    /// Anything else.
    Converses(fn(&Subject<'_>) -> Result<(), ClientError>),
}

/// A case of lines that are answered.
const fn answers(
    name: &'static str,
    description: &'static str,
    input: &'static [u8],
    lines: &'static [&'static [u8]],
) -> Case {
    let exchange = Exchange::Answers { input, lines };
    Case {
        name,
        description,
        exchange,
    }
}

/// A case that the server ends.
const fn ends(
    name: &'static str,
    description: &'static str,
    input: &'static [u8],
    lines: &'static [&'static [u8]],
) -> Case {
    let exchange = Exchange::Ends { input, lines };
    Case {
        name,
        description,
        exchange,
    }
}

/// A case of its own kind.
const fn converses(
    name: &'static str,
    description: &'static str,
    conversation: fn(&Subject<'_>) -> Result<(), ClientError>,
) -> Case {
    let exchange = Exchange::Converses(conversation);
    Case {
        name,
        description,
        exchange,
    }
}

/// All cases, from the simplest on.
pub(super) const CASES: &[Case] = &[
    answers("line", "a line is answered", b"hello\n", &[b"hello"]),
    answers(
        "lines",
        "lines are answered in their order",
        b"one\ntwo\nthree\n",
        &[b"one", b"two", b"three"],
    ),
    answers(
        "empty-line",
        "an empty line is a line",
        b"\n\na\n\n",
        &[b"", b"", b"a", b""],
    ),
    answers(
        "blanks",
        "blanks at both ends of a line stay",
        b" \t a \t \n",
        &[b" \t a \t "],
    ),
    answers(
        "crlf",
        "a carriage return before a line feed is part of the line's end",
        b"a\r\n\r\n",
        &[b"a", b""],
    ),
    answers(
        "carriage-return",
        "any other carriage return is part of the line",
        b"a\rb\r\r\n\rc\n",
        &[b"a\rb\r", b"\rc"],
    ),
    answers(
        "bytes",
        "bytes that are no text come back as they are",
        b"\0\x01\x7f\x80\xc3\x28\xfe\xff\n",
        &[b"\0\x01\x7f\x80\xc3\x28\xfe\xff"],
    ),
    answers(
        "text",
        "text in UTF-8 comes back as it is",
        "Grüße, 世界 🌍\n".as_bytes(),
        &["Grüße, 世界 🌍".as_bytes()],
    ),
    answers(
        "last-line",
        "a last line without an end is answered like any other",
        b"a\nlast",
        &[b"a", b"last"],
    ),
    answers(
        "no-line",
        "the end of input without a line ends the output without an answer",
        b"",
        &[],
    ),
    ends(
        "exit",
        "exit is answered and ends the conversation",
        b"a\nexit\n",
        &[b"a", b"exit"],
    ),
    ends(
        "exit-crlf",
        "so does exit before a carriage return and a line feed",
        b"exit\r\n",
        &[b"exit"],
    ),
    ends(
        "after-exit",
        "nothing after exit is answered",
        b"exit\nmore\n",
        &[b"exit"],
    ),
    answers(
        "not-exit",
        "what only resembles exit is a line like any other",
        b"exit \n exit\nEXIT\nexi\nexits\nexit\rx\n",
        &[b"exit ", b" exit", b"EXIT", b"exi", b"exits", b"exit\rx"],
    ),
    converses(
        "at-once",
        "a line is answered before the next one is sent",
        conversations::at_once,
    ),
    converses(
        "byte-by-byte",
        "a line may come byte by byte",
        conversations::byte_by_byte,
    ),
    converses(
        "pipelined",
        "10,000 lines sent at once are all answered",
        conversations::pipelined,
    ),
    converses(
        "long-line",
        "a line of 1 MiB comes back whole",
        conversations::long_line,
    ),
    converses(
        "slow-reader",
        "a client that reads late gets every answer",
        conversations::slow_reader,
    ),
    converses(
        "side-by-side",
        "a client that waits holds up no other",
        conversations::side_by_side,
    ),
    converses(
        "reset",
        "a client that breaks its connection disturbs no other",
        conversations::reset,
    ),
];
