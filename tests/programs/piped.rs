//! The README's server, into which lines are piped as fast as a pipe takes them: all who read get
//! every line. A reader that is stopped holds up nobody for longer than the patience, and is told what
//! it missed.

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
fn all_who_read_get_every_line_and_one_that_is_stopped_is_told_what_it_missed() {
    let (server, mut stdin) = Server::start();
    let (_curl, by_curl) = Curl::start(&server);
    let readers = [by_curl, ours(&server), plain(&server)];
    let stopped = Tail::start(&server);

    let pipe = thread::spawn(move || {
        for number in 0..LINES {
            let written = stdin.write_all(format!("{}\n", line(number)).as_bytes());
            written.expect("the server reads all of it");
        }
        stdin
    });
    // Some are read by all, and then one is stopped.
    stopped.by_it.take(0..1_000);
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
    // It goes on, is told how much it has missed, and gets what is kept.
    stopped.signal("-CONT");
    let (mut next, mut missed) = (1_000, Vec::new());
    while next < LINES {
        let number: usize = stopped.by_it.next().parse().expect("lines are numbers");
        if number != next {
            missed.push(format!("{} events are lost: ", number - next));
        }
        next = number + 1;
    }
    assert_eq!(missed.len(), 1, "{missed:?}");
    stopped.tells(&missed[0]);
    drop(stdin);
}

/// The program, which is killed when it is dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> (Self, ChildStdin) {
        // It does not say where it listens, so that it is told a port that was free just now.
        let free = TcpListener::bind("127.0.0.1:0").expect("there are free ports");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let mut child = Command::new(program("readme"))
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

/// A program of this workspace.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(std::path::Path::parent).expect("it is in deps");
    let program = profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is missing: build it with `cargo build -p {name}` (and the profile of this test)",
        program.display()
    );
    program
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

    fn next(&self) -> String {
        match self.said.recv_timeout(ALL) {
            Ok(Said::Line(text)) => text,
            Ok(Said::Listens) => unreachable!("it said so before"),
            Err(error) => panic!("{}: no line came: {error}", self.name),
        }
    }

    /// Takes the lines with these numbers. Says for how long none came at most.
    fn take(&self, numbers: std::ops::Range<usize>) -> Duration {
        let (mut longest, mut last) = (Duration::ZERO, Instant::now());
        for number in numbers {
            let text = self.next();
            assert!(text == line(number), "{}: {text}", self.name);
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
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `tail`, which reads by this library, and is killed when it is dropped.
struct Tail {
    process: Child,
    by_it: Reader,
    told: mpsc::Receiver<String>,
}

impl Tail {
    fn start(server: &Server) -> Self {
        let mut process = Command::new(program("tail"))
            .arg(server.url())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = process.stdout.take().expect("stdout is piped");
        let stderr = process.stderr.take().expect("stderr is piped");
        let (sender, told) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        let open = told.recv_timeout(ALL).expect("it opens the stream");
        assert!(open.starts_with("open: "), "{open}");
        let by_it = Reader::start("tail", move |to| {
            let _ = to.send(Said::Listens);
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.for_each(|line| drop(to.send(Said::Line(line))));
        });
        Self { process, by_it, told }
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status().expect("kill exists on Unix");
        assert!(sent.success(), "it had ended by itself");
    }

    /// Waits until it has told this.
    fn tells(&self, what: &str) {
        loop {
            let told = self.told.recv_timeout(ALL).expect("it tells something");
            if told.starts_with(what) {
                return;
            }
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
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
