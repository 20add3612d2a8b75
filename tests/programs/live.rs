//! The `live` example as a child process, and a plain stream of it as one more subscriber.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const STARTS_WITHIN: Duration = Duration::from_secs(20);
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// The running program. Dropping it kills it.
pub(crate) struct Live {
    child: Child,
    stdin: ChildStdin,
    address: SocketAddr,
    node: Option<String>,
}

impl Live {
    /// Starts it on a free port and waits until it says where it serves.
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().expect("an address"))
    }

    /// Starts it on a given port, as after a restart.
    pub(crate) fn start_at(address: SocketAddr) -> Self {
        Self::start_with(address, &[])
    }

    /// Starts it on a given port, with further arguments.
    pub(crate) fn start_with(address: SocketAddr, arguments: &[&str]) -> Self {
        let program = program();
        assert!(
            program.exists(),
            "{} is missing: build it with `cargo build -p live` (and the profile of this test)",
            program.display()
        );
        let mut child = Command::new(&program)
            .args(["--addr", &address.to_string()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        // From here on an early return kills the child.
        let mut live = Self { child, stdin, address, node: None };

        let (sender, greeting) = mpsc::channel();
        // Reads to the end, so that the program never waits for room in the pipe.
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let deadline = Instant::now() + STARTS_WITHIN;
        let mut address = None;
        loop {
            match greeting.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with("Lines that you type") => break,
                Ok(line) => {
                    address = address.or_else(|| address_in(&line));
                    if let Some(node) = line.strip_prefix("The node:") {
                        live.node = node.split(',').next().map(|node| node.trim().to_owned());
                    }
                }
                Err(error) => panic!(
                    "{} did not greet: {error}; its exit: {:?}",
                    program.display(),
                    live.child.try_wait()
                ),
            }
        }
        live.address = address.expect("the greeting says http://127.0.0.1:PORT/");
        live
    }

    /// The name of the node, of a stream that is kept.
    pub(crate) fn node(&self) -> &str {
        self.node.as_deref().expect("the greeting says which node it is")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Writes lines to its standard input.
    pub(crate) fn publish<S: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = S>) {
        let mut text = String::new();
        for line in lines {
            text.push_str(line.as_ref());
            text.push('\n');
        }
        self.stdin.write_all(text.as_bytes()).expect("the program reads its standard input");
        self.stdin.flush().expect("the program reads its standard input");
    }

    /// Stops it as Ctrl-C does and waits for its end. Open streams must not hold it up.
    #[cfg(unix)]
    pub(crate) fn interrupt(mut self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().expect("kill exists on Unix");
        assert!(sent.success(), "the program had ended by itself");
        let deadline = Instant::now() + STOPS_WITHIN;
        while self.child.try_wait().expect("it is our child").is_none() {
            assert!(
                Instant::now() < deadline,
                "the program was interrupted and still runs after {STOPS_WITHIN:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A subscriber of its own, straight to the server: it tells when something has been published,
/// also while nobody else can hear it, and it stands for another person.
pub(crate) struct Stream {
    socket: TcpStream,
    received: Vec<u8>,
}

impl Stream {
    /// Opens `GET target` and waits for the response head.
    pub(crate) fn open(address: SocketAddr, target: &str, within: Duration) -> Self {
        let mut socket = TcpStream::connect(address).expect("the server listens");
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).expect("the server reads the request");
        let mut stream = Self { socket, received: Vec::new() };
        stream.wait_for("\r\n\r\n", within);
        let head = String::from_utf8_lossy(&stream.received).into_owned();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        stream
    }

    /// Reads until the text is there.
    pub(crate) fn wait_for(&mut self, text: &str, within: Duration) {
        let deadline = Instant::now() + within;
        let mut buffer = [0; 4096];
        while !self.received.windows(text.len()).any(|window| window == text.as_bytes()) {
            let rest = deadline.saturating_duration_since(Instant::now());
            assert!(!rest.is_zero(), "{text:?} did not arrive within {within:?}");
            self.socket.set_read_timeout(Some(rest)).expect("not zero");
            match self.socket.read(&mut buffer) {
                Ok(0) => panic!("the stream ended before {text:?}"),
                Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("the stream broke before {text:?}: {error}"),
            }
        }
    }
}

/// `target/<profile>/live`, seen from `target/<profile>/deps/<this test>`.
fn program() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(std::path::Path::parent).expect("it is in deps");
    profile.join(format!("live{}", std::env::consts::EXE_SUFFIX))
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    rest.split(|c: char| c == '/' || c.is_whitespace()).next()?.parse().ok()
}
