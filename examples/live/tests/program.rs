//! The program as it is started: it says where it serves, gives the page, and streams what is typed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kills the program at the end of the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a request to `host:port` and leaves the answer to be read.
fn get(host: &str, path: &str) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(host).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    BufReader::new(socket)
}

#[test]
fn it_serves_the_page_and_streams_what_is_typed() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_live"))
        .args(["--addr", "127.0.0.1:0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)
        .unwrap();
    let mut first = String::new();
    let mut stdout = BufReader::new(program.0.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    let host = first.split("http://").nth(1).expect("the first line has the URL");
    let host = host.trim().trim_end_matches('/');

    let mut page = String::new();
    get(host, "/").read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    assert!(page.contains("content-type: text/html"), "{page}");

    let mut stream = get(host, "/events").lines().map(|line| line.expect("the stream goes on"));
    let mut wait_for = |wanted: &str| {
        // The counters of each second come between.
        let found = stream.by_ref().take(10_000).any(|line| line == wanted);
        assert!(found, "{wanted:?} did not come");
    };
    wait_for("event: sansse-notice");
    writeln!(program.0.stdin.as_mut().unwrap(), "typed into the terminal").unwrap();
    wait_for("data: typed into the terminal");
}
