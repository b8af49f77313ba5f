use std::net::TcpListener;
use std::thread;

use super::*;
use crate::cli::{Action, parse};

/// Answers every line with a prefix, one connection at a time, until the test's process ends.
fn serve(address: &str, prefix: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut line = Vec::new();
            BufReader::new(&stream)
                .read_until(b'\n', &mut line)
                .unwrap();
            let answer = [prefix.as_bytes(), &line].concat();
            (&stream).write_all(&answer).unwrap();
        }
    });
    address
}

/// Probes the addresses of a name, and gives whether all went well, and what
/// is printed beside the lines of answers.
fn tally(flags: &[&str], addresses: &[SocketAddr]) -> (bool, String) {
    let words = [&["echo-client", "probe", "name"], flags].concat();
    let arguments = parse(words.into_iter().map(Into::into)).unwrap();
    let Some(Action::Probe(args)) = arguments.action else {
        panic!("{flags:?}");
    };
    let mut printed = Vec::new();
    let output = &mut Output::new(&mut printed);
    let deadline = Deadline::after(Duration::from_secs(10));
    let is_good = probe_all(&args, addresses, deadline, &Mutex::default(), output).is_ok();
    let text = String::from_utf8(printed).unwrap();
    let rest = text.lines().filter(|line| !line.contains(": connect "));
    (is_good, rest.collect::<Vec<_>>().join("\n"))
}

#[test]
fn each_address_of_a_name_is_counted_by_who_answers_there() {
    let [one, two] = [("127.0.0.1", "a: "), ("127.0.0.2", "b: ")].map(|(at, who)| serve(at, who));
    let by_address =
        format!("2 of 4 answers from \"a: \" at {one}\n2 of 4 answers from \"b: \" at {two}");
    let flags = ["--any-prefix", "--all-addresses", "--count=2"];
    assert_eq!(tally(&flags, &[one, two]), (true, by_address));
    let first = format!("2 of 2 answers from \"a: \" at {one}");
    assert_eq!(
        tally(&["--any-prefix", "--count=2"], &[one, two]),
        (true, first)
    );
    let same = serve("127.0.0.3", "a: ");
    assert_eq!(
        tally(&["--any-prefix", "--all-addresses"], &[one, same]),
        (
            true,
            format!("2 of 2 answers from \"a: \" at {one}, {same}")
        )
    );
}

#[test]
fn an_address_that_fails_counts_only_if_all_are_tried() {
    let closed = TcpListener::bind("127.0.0.2:0")
        .unwrap()
        .local_addr()
        .unwrap(); // closed again, so that nothing listens there
    let open = serve("127.0.0.1", "a: ");
    let failed = format!(
        "{closed}: failed\n1 of 2 failed at {closed}\n1 of 2 answers from \"a: \" at {open}"
    );
    let all = ["--any-prefix", "--all-addresses"];
    assert_eq!(tally(&all, &[closed, open]), (false, failed));
    let answered = format!("1 of 1 answers from \"a: \" at {open}");
    assert_eq!(tally(&["--any-prefix"], &[closed, open]), (true, answered));
}
