//! The program as it is started, with curl and this project's client as its readers.

use crate::PROGRAM;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = env!("CARGO_PKG_NAME");

struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--addr", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.strip_prefix("Listening on ").expect(&line).trim().to_owned();
        Self { child, url }
    }

    fn address(&self) -> &str {
        self.url.split('/').nth(2).unwrap()
    }

    fn say(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        let length = text.len();
        let head = format!(
            "POST /say HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends a signal; returns the exit status, and after how long it came.
    fn end_by(mut self, signal: &str) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status.code(), begun.elapsed())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn help_tells_of_each_option() {
    let (status, stdout, stderr) = run(&["--help"]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    for word in [&*format!("Usage: {NAME} [OPTIONS]"), "--addr", "--cert", "--key"] {
        assert!(stdout.contains(word), "{word}: {stdout}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (arguments, error) in [
        (&["--addr", "x"][..], "--addr \"x\": "),
        (&["--cert", "/none"], "--cert and --key belong together"),
        (&["--cert", "/none", "--key", "/none"], "--cert /none: "),
        (&["--more"], "invalid option '--more'"),
    ] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!((status, &*stdout), (Some(1), ""), "{arguments:?}");
        assert!(stderr.starts_with(&format!("{NAME}: {error}")), "{arguments:?}: {stderr}");
    }
}

/// Reads by the client of this project what is said meanwhile.
#[tokio::test]
async fn a_client_hears_what_is_said_and_the_program_ends_within_five_seconds() {
    for signal in ["-TERM", "-INT"] {
        hear_and_end_by(signal).await;
    }
}

async fn hear_and_end_by(signal: &str) {
    use sansse::SourceEvent;
    let program = Program::start(&[]);
    let mut source = sansse_tokio::connect(&*program.url);
    let heard = async {
        loop {
            match source.next().await.expect("it goes on") {
                SourceEvent::Open { .. } => {
                    assert!(program.say("hello").starts_with("HTTP/1.1 202 "));
                }
                SourceEvent::Message(message) if message.data == "hello" => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap();
    // The source, and a peer that reads nothing, are there still.
    let mut idle = TcpStream::connect(program.address()).unwrap();
    idle.write_all(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let (status, time) = program.end_by(signal);
    assert_eq!(status, Some(0), "{signal}");
    assert!(time < Duration::from_secs(5), "{signal}: {time:?}");
}

#[test]
fn curl_reads_by_http_2_with_and_without_tls() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: there is no curl on this machine");
        return;
    }
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let [cert, key] = ["cert", "key"].map(|name| directory.join(format!("{NAME}-{name}.pem")));
    std::fs::write(&cert, certified.cert.pem()).unwrap();
    std::fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let [cert, key] = [cert, key].map(|path| path.to_str().unwrap().to_owned());
    let port = |program: &Program| program.address().rsplit(':').next().unwrap().to_owned();

    let plain = Program::start(&[]);
    let secure = Program::start(&["--cert", &cert, "--key", &key]);
    for (program, arguments, url) in [
        (&plain, &["--http2-prior-knowledge"][..], plain.url.clone()),
        (&plain, &["--http1.1"], plain.url.clone()),
        (&secure, &["--cacert", &cert, "--http2"], {
            format!("https://localhost:{}/events", port(&secure))
        }),
    ] {
        let mut curl = Command::new("curl")
            .args(["-sNi", "--max-time", "20"])
            .args(arguments)
            .arg(&url)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines().map(Result::unwrap);
        let version = lines.next().unwrap_or_default();
        let expected = if arguments.contains(&"--http1.1") { "HTTP/1.1 200" } else { "HTTP/2 200" };
        assert!(version.starts_with(expected), "{arguments:?}: {version}");
        assert!(lines.any(|line| line == "event: sansse-notice"));
        if program.url.starts_with("http:") {
            program.say("hello");
            assert!(lines.any(|line| line == "data: hello"), "{arguments:?}");
        }
        curl.kill().unwrap();
        curl.wait().unwrap();
    }
}
