//! The program with a stream that it keeps in a file, killed in the middle of its work.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Running {
    child: Child,
    host: String,
}

impl Running {
    /// Starts it on a free port with a stream in this file.
    fn start(file: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_live"))
            .args(["--addr", "127.0.0.1:0", "--store"])
            .arg(file)
            // Nothing is typed, and it goes on.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let host = first.split("http://").nth(1).expect("the first line has the URL");
        Self { child, host: host.trim().trim_end_matches('/').to_owned() }
    }

    /// By SIGKILL: it can do nothing about it.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of this test alone, which goes with it.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> Self {
        let name = format!("sansse-live-{}-{name}.redb", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn ask(host: &str, request: &str) -> std::io::Result<BufReader<TcpStream>> {
    let mut socket = TcpStream::connect(host)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    write!(socket, "{request}")?;
    Ok(BufReader::new(socket))
}

/// Says something, and returns whether the server has it.
fn say(host: &str, text: &str) -> std::io::Result<bool> {
    let length = text.len();
    let request = format!(
        "POST /say HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
    );
    let mut answer = String::new();
    ask(host, &request)?.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 202 "))
}

/// The lines of a stream that goes on after this id.
fn stream(host: &str, last: Option<&str>) -> impl Iterator<Item = String> + use<> {
    let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    let request = format!("GET /events HTTP/1.1\r\nHost: {host}\r\n{last}\r\n");
    ask(host, &request).unwrap().lines().map_while(Result::ok)
}

fn id_of(line: &str) -> Option<String> {
    line.strip_prefix("id: ").map(str::to_owned)
}

#[test]
fn what_was_acknowledged_before_a_kill_is_there_after_it_and_the_page_is_told_that_nothing_is_missing()
 {
    let file = File::new("kill");
    let program = Running::start(&file.0);
    // Somebody who was there from the beginning, and comes back with the id of that.
    let last = stream(&program.host, None).find_map(|line| id_of(&line)).unwrap();
    let is_over = AtomicBool::new(false);
    let acknowledged: BTreeSet<String> = thread::scope(|scope| {
        let publishers: Vec<_> = (0..4)
            .map(|publisher| {
                let (host, is_over) = (program.host.clone(), &is_over);
                scope.spawn(move || {
                    let texts = (0..).map(|number| format!("{publisher}-{number}"));
                    texts
                        .take_while(|_| !is_over.load(Ordering::Relaxed))
                        .filter(|text| say(&host, text).unwrap_or(false))
                        .take(40)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        // In the middle of it, when some are there already.
        let mut heard = stream(&program.host, None);
        assert!(heard.by_ref().filter(|line| line.contains("\"text\":")).nth(10).is_some());
        program.kill();
        is_over.store(true, Ordering::Relaxed);
        publishers.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    // Of what was heard, some answers may not have come before the end.
    assert!(acknowledged.len() >= 5, "{acknowledged:?}");

    let program = Running::start(&file.0);
    let mut lines = stream(&program.host, Some(&last));
    let told = lines.find(|line| line.starts_with("data: ")).unwrap();
    assert!(told.starts_with("data: {\"stream\":\"complete\","), "{told}");
    let mut missing = acknowledged;
    let mut seen = BTreeSet::new();
    while !missing.is_empty() {
        let line = lines.next().expect("the stream goes on");
        let Some((_, rest)) = line.split_once("\"text\":\"") else { continue };
        let text = rest.split('"').next().unwrap().to_owned();
        missing.remove(&text);
        assert!(seen.insert(text.clone()), "{text} came twice");
    }
}

#[test]
fn a_balancer_is_told_that_it_is_ready() {
    let file = File::new("health");
    let program = Running::start(&file.0);
    let request =
        format!("GET /health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", program.host);
    let begun = Instant::now();
    loop {
        let mut answer = String::new();
        ask(&program.host, &request).unwrap().read_to_string(&mut answer).unwrap();
        if answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nready\n") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{answer}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_file_that_another_process_uses_or_that_is_no_store_is_said_and_left_alone() {
    let file = File::new("locked");
    let _program = Running::start(&file.0);
    let start = |file: &Path| {
        let arguments = ["--addr", "127.0.0.1:0", "--store"];
        let program = Command::new(env!("CARGO_BIN_EXE_live")).args(arguments).arg(file).output();
        let output = program.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, said) = start(&file.0);
    assert_eq!(status, Some(1));
    let named = format!("live: --store {}: another process uses the store", file.0.display());
    assert!(said.starts_with(&named), "{said}");

    let other = File::new("other");
    std::fs::write(&other.0, "somebody's letters").unwrap();
    let (status, said) = start(&other.0);
    assert_eq!(status, Some(1));
    assert!(said.contains("makes no sense"), "{said}");
    assert_eq!(std::fs::read(&other.0).unwrap(), b"somebody's letters");
}
