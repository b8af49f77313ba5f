//! The protocols of bytes as a task, where faults happen to them: otherwise workers speak them.

use std::io;
use std::net::SocketAddr;

use echo_protocol::Protocol;
use echo_protocol::conversation::Conversation;
use echo_protocol::line::Rules;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::admitted_connection::{AdmittedConnection, Counted};
use super::connection::linger;
use super::faulty::Faulty;
use crate::counters::count;
use crate::end::End;

/// Bytes read at once, and the most answer made at once.
const BUFFER_BYTES: usize = 16 * 1024;

/// Serves a connection until it ends, or until a drain between two lines.
pub(super) async fn serve(
    mut stream: Faulty,
    protocol: Protocol,
    connection: &AdmittedConnection,
    begin: Instant,
) -> End {
    let mut talk = Talk {
        conversation: Conversation::new(protocol),
        rules: &connection.context().shared.rules,
        counted: connection.counted(),
        client: connection.client(),
        answer: Vec::new(),
    };
    let mut question = vec![0; BUFFER_BYTES];
    loop {
        let read = tokio::select! {
            biased;
            read = stream.read(&mut question) => read,
            () = connection.context().drain_due(begin), if talk.conversation.is_between() => break,
        };
        let Ok(length) = read else { return End::Over };
        let input = question.get(..length).unwrap_or_default();
        if talk.answer(input, &mut stream).await.is_err() {
            let is_fault = stream.is_reset();
            return if is_fault { End::Fault } else { End::Over };
        }
        if talk.conversation.is_over() {
            break;
        }
    }
    linger(&mut stream).await;
    if talk.conversation.is_too_long() {
        End::TooLong
    } else {
        End::Over
    }
}

/// A conversation and what it takes to lead it.
struct Talk<'a> {
    /// How far it is.
    conversation: Conversation,
    /// How lines are answered.
    rules: &'a Rules,
    /// Where lines are counted.
    counted: Counted,
    /// Whose they are.
    client: SocketAddr,
    /// Lent to each answer.
    answer: Vec<u8>,
}

impl Talk<'_> {
    /// Answers input, no bytes of which are its end.
    async fn answer(&mut self, input: &[u8], stream: &mut Faulty) -> io::Result<()> {
        let begin = Instant::now();
        let (mut lines, mut sent) = (0, 0);
        let mut rest = input;
        while !rest.is_empty() {
            self.answer.clear();
            let answered =
                self.conversation
                    .answer(rest, &mut self.answer, BUFFER_BYTES, self.rules);
            rest = rest.get(answered.taken..).unwrap_or_default();
            lines += answered.lines;
            self.answer.extend_from_slice(answered.verbatim);
            sent += count(self.answer.len());
            stream.write_all(&self.answer).await?;
        }
        if input.is_empty() {
            self.answer.clear();
            lines += self.conversation.finish(&mut self.answer, self.rules);
            sent += count(self.answer.len());
            stream.write_all(&self.answer).await?;
        }
        self.counted.note_lines(self.client, lines, sent);
        if let Some(counters) = self.counted.get() {
            counters.latency.observe(lines, begin.elapsed());
        }
        Ok(())
    }
}
