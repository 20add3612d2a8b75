//! The README's server, into which lines are piped as fast as a pipe takes them: all who read get
//! every line, and a reader that is stopped holds up nobody for longer than the patience.

use sansse::FeedEvent;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const LINES: usize = 100_000;
const LENGTH: usize = 500;
/// For everything together; a slow machine takes a fraction.
const ALL: Duration = Duration::from_secs(180);
/// By default a reader that takes nothing counts for three seconds.
const PATIENCE: Duration = Duration::from_secs(3);

#[test]
#[ignore = "needs curl"]
fn all_who_read_get_every_line_and_one_that_is_stopped_holds_up_nobody_for_long() {
    let (server, mut stdin) = Server::start();
    let (_curl, by_curl) = Curl::start(&server);
    let readers = [by_curl, ours(&server), plain(&server)];
    let (stopped, by_stopped) = Curl::start(&server);

    let pipe = thread::spawn(move || {
        for number in 0..LINES {
            let written = stdin.write_all(format!("{}\n", line(number)).as_bytes());
            written.expect("the server reads all of it");
        }
        stdin
    });
    // Some are read by all, and then one is stopped.
    by_stopped.take(0..1_000);
    stopped.signal("-STOP");
    let began = Instant::now();
    let reading = readers.map(|reader| thread::spawn(move || reader.take(0..LINES)));
    let pauses = reading.map(|reading| reading.join().expect("it got all lines, in order"));
    let took = began.elapsed();
    let stdin = pipe.join().expect("all was written");

    println!("{LINES} lines in {took:?}, with pauses of {pauses:?}");
    // Twice as long as the patience is for a machine that is busy with other things.
    for pause in pauses {
        assert!(pause < 2 * PATIENCE, "{pause:?}");
    }
    // It goes on, and has lost its place, of which the server keeps no more.
    stopped.signal("-CONT");
    drop((stopped, stdin));
}

/// The program, which is killed when it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> (Self, ChildStdin) {
        let test = std::env::current_exe().expect("a test knows where it is");
        let profile = test.parent().and_then(std::path::Path::parent).expect("it is in deps");
        let program: PathBuf = profile.join(format!("readme{}", std::env::consts::EXE_SUFFIX));
        assert!(
            program.exists(),
            "{} is missing: build it with `cargo build -p readme` (and the profile of this test)",
            program.display()
        );
        // It does not say where it listens, so that it is told a port that was free just now.
        let free = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let mut child = Command::new(program)
            .arg(address.to_string())
            .stdin(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdin = child.stdin.take().expect("stdin is piped");
        let server = Self { child, address };
        let deadline = Instant::now() + ALL;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "it does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        (server, stdin)
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(number: usize) -> String {
    format!("{number:0LENGTH$}")
}

/// What a reader says: that it listens, and each line.
enum Said {
    Listens,
    Line(String),
}

/// One of those who read, each on a thread of its own.
struct Reader {
    name: &'static str,
    said: mpsc::Receiver<Said>,
}

impl Reader {
    fn start(name: &'static str, read: impl FnOnce(&mpsc::Sender<Said>) + Send + 'static) -> Self {
        let (sender, said) = mpsc::channel();
        thread::spawn(move || read(&sender));
        let reader = Self { name, said };
        match reader.said.recv_timeout(ALL) {
            Ok(Said::Listens) => reader,
            _ => panic!("{name} did not begin with its place"),
        }
    }

    /// Takes the lines with these numbers. Says for how long none came at most.
    fn take(&self, numbers: std::ops::Range<usize>) -> Duration {
        let (mut longest, mut last) = (Duration::ZERO, Instant::now());
        for number in numbers {
            match self.said.recv_timeout(ALL) {
                Ok(Said::Line(text)) => assert!(text == line(number), "{}: {text}", self.name),
                Ok(Said::Listens) => unreachable!("it said so before"),
                Err(error) => panic!("{}: line {number} did not come: {error}", self.name),
            }
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        longest
    }
}

/// Says what is in a stream, block by block. A block with a type is no line.
fn say(stream: impl Read, to: &mpsc::Sender<Said>) {
    let (mut data, mut has_type, mut has_id, mut listens) = (None, false, false, false);
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        match line.split_once(": ") {
            Some(("data", text)) => data = Some(text.to_owned()),
            Some(("event", _)) => has_type = true,
            Some(("id", _)) => has_id = true,
            _ if line.is_empty() => {
                // The first place that it is told is where it begins.
                if has_id && !listens {
                    listens = true;
                    let _ = to.send(Said::Listens);
                }
                if let Some(data) = data.take().filter(|_| !has_type)
                    && to.send(Said::Line(data)).is_err()
                {
                    return;
                }
                (has_type, has_id) = (false, false);
            }
            _ => {}
        }
    }
}

/// A `curl`, which is killed when it is dropped.
struct Curl(Child);

impl Curl {
    fn start(server: &Server) -> (Self, Reader) {
        let mut child = Command::new("curl")
            .args(["-N", "-sS", "-m", "600"])
            .arg(server.url())
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl runs");
        let stdout = child.stdout.take().expect("stdout is piped");
        (Self(child), Reader::start("curl", move |to| say(stdout, to)))
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status().expect("kill exists on Unix");
        assert!(sent.success(), "curl had ended by itself");
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client of this library's, as the README has it.
fn ours(server: &Server) -> Reader {
    let url = server.url();
    Reader::start("ours", move |to| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut events = sansse_tokio::feed(url).subscribe();
            while let Some(event) = events.next().await {
                let said = match event {
                    FeedEvent::Open(_) => Said::Listens,
                    FeedEvent::Message(message) => Said::Line(message.data.clone()),
                    lost @ FeedEvent::Lost { .. } => panic!("{lost}"),
                    _ => continue,
                };
                if to.send(said).is_err() {
                    return;
                }
            }
        });
    })
}

/// A reader with a socket and no library.
fn plain(server: &Server) -> Reader {
    let mut socket = TcpStream::connect(server.address).expect("it listens");
    let request = format!("GET / HTTP/1.0\r\nHost: {}\r\n\r\n", server.address);
    socket.write_all(request.as_bytes()).expect("it reads");
    Reader::start("plain", move |to| say(socket, to))
}
