//! The echo servers of other builds that are part of the benchmark: a thread for each connection,
//! and tokio, both the way in which most people would write them.
//!
//! Lines in one read are answered by one write, as a buffered writer does it that is flushed when
//! nothing more is at hand; without that both would only be measured at making system calls.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use echo_protocol::line::PREFIX;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

/// Serves with a thread for each connection.
pub(crate) fn serve_by_threads(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::Builder::new().spawn(move || converse(&stream))?;
    }
    Ok(())
}

/// Converses on a blocking socket.
fn converse(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(stream), BufWriter::new(stream));
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = without_end(&line);
        for part in [PREFIX.as_bytes(), text, b"\n"] {
            writer.write_all(part)?;
        }
        if text == b"exit" {
            break;
        }
        line.clear();
        if reader.buffer().is_empty() {
            writer.flush()?;
        }
    }
    writer.flush()
}

/// Serves with tokio: its runtime of many threads, of which one fits on one processor, and a task
/// for each connection.
pub(crate) fn serve_by_tokio(port: u16) -> io::Result<()> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(async {
            let listener = tokio::net::TcpListener::bind(("0.0.0.0", port)).await?;
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(converse_in_task(stream));
            }
        })
}

/// Converses in a task.
async fn converse_in_task(mut stream: tokio::net::TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.split();
    let mut reader = tokio::io::BufReader::new(reader);
    let mut writer = tokio::io::BufWriter::new(writer);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await? > 0 {
        let text = without_end(&line);
        for part in [PREFIX.as_bytes(), text, b"\n"] {
            writer.write_all(part).await?;
        }
        if text == b"exit" {
            break;
        }
        line.clear();
        if reader.buffer().is_empty() {
            writer.flush().await?;
        }
    }
    writer.flush().await
}

/// Takes off a line's end.
fn without_end(line: &[u8]) -> &[u8] {
    let text = line.strip_suffix(b"\n");
    text.map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text))
}
