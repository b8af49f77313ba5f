//! The one executable of the image, under its other name.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::Running;

#[test]
fn a_server_program_called_echo_client_is_the_client() {
    let server = Running::start(Duration::from_secs(1));
    let folder = format!(
        "{}/link-{}",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    std::fs::create_dir_all(&folder).unwrap();
    let link = format!("{folder}/echo-client");
    symlink(env!("CARGO_BIN_EXE_echo-server"), &link).unwrap();
    let mut client = Command::new(&link)
        .arg(server.address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.take().unwrap().write_all(b"a\n").unwrap();
    let output = client.wait_with_output().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(output.stdout, b"Server response: Server received: a\n");
}
