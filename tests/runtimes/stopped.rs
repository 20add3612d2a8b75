//! A process that is stopped for longer than its deadlines, with bytes waiting in its socket. When
//! it goes on, its timers are due before anybody has looked at the socket.
#![expect(clippy::disallowed_methods, reason = "a process is stopped for a time, not for a turn")]

use crate::platform::Platform;
use bytes::{Buf, Bytes};
use http::Request;
use sansse::client::{Attempt, Client, ClientConfig, ClientEvent};
use sansse::feed::Http1;
use sansse::http1::{ClientConnection, ClientConnectionConfig, ResponsePart};
use sansse::{EventSource, SourceEvent};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// In the child: the URL that it reads.
const URL: &str = "SANSSE_TEST_URL";

/// Stands before what the child tells.
const MARK: &str = "the client tells: ";

/// For whatever is to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the client waits for at most.
const DEADLINE: Duration = Duration::from_secs(2);

/// How long the process is stopped.
const STOP: Duration = Duration::from_secs(3);

/// Runs the test of this name once more, as a process that reads a stream, and stops that process.
pub(crate) fn test<P: Platform>(test: &str) {
    match std::env::var(URL) {
        Ok(url) => P::run(0, |platform| read(platform, url)),
        Err(_) => stop(test),
    }
}

/// As [`test`], for a client of blocking sockets.
pub(crate) fn test_blocking(test: &str) {
    match std::env::var(URL) {
        Ok(url) => read_blocking(&url),
        Err(_) => stop(test),
    }
}

fn stop(test: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let reader = Reader::start(test, &format!("http://{}/", listener.local_addr().unwrap()));

    // Before the head of the response comes.
    let mut connection = accept(&listener);
    reader.stop_while(|| {
        thread::sleep(STOP);
        connection.write_all(crate::peer::STREAM.as_bytes()).unwrap();
        connection.write_all(b"data: 0\n\n").unwrap();
    });
    assert_eq!(reader.line(), "open");
    assert_eq!(reader.line(), "message 0");

    // While keep-alives come.
    reader.stop_while(|| {
        let until = Instant::now() + STOP;
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(200));
            connection.write_all(b":\n").unwrap();
        }
    });
    // It has read them when it has told this.
    connection.write_all(b"data: 1\n\n").unwrap();
    assert_eq!(reader.line(), "message 1");
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (connection, _) = listener.accept().unwrap();
    let mut request = BufReader::new(connection.try_clone().unwrap());
    let mut line = String::from("the request");
    while !line.trim().is_empty() {
        line.clear();
        request.read_line(&mut line).unwrap();
    }
    connection
}

/// The process that reads.
struct Reader {
    process: Child,
    lines: Receiver<String>,
}

impl Reader {
    fn start(test: &str, url: &str) -> Self {
        let (_, test) = test.split_once("::").unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(URL, url)
            .stdout(Stdio::piped())
            // Not this one's own, which a process that stays stopped would hold open.
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = BufReader::new(process.stderr.take().unwrap());
        thread::spawn(move || {
            errors.lines().map_while(Result::ok).for_each(|line| eprintln!("{line}"));
        });
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in output.lines() {
                if let Some((_, told)) = line.unwrap().split_once(MARK) {
                    let _ = sender.send(told.to_owned());
                }
            }
        });
        Self { process, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the client tells something")
    }

    /// Stops the process, and lets it go on when something was done.
    fn stop_while(&self, done: impl FnOnce()) {
        self.signal("STOP");
        done();
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        // The shell's own, since not every system has a program for it.
        let kill = format!("kill -{name} {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new(1);
    config.policy.timeouts.response = Some(DEADLINE);
    config.policy.timeouts.idle = Some(DEADLINE);
    config
}

fn request(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

fn tell(what: &str) {
    println!("{MARK}{what}");
}

async fn read<P: Platform>(platform: P, url: String) {
    let transport = Http1::new(platform.connector());
    let mut source = EventSource::new(transport, platform.runtime(), request(&url), config());
    while let Some(event) = source.next().await {
        match event {
            SourceEvent::Open { .. } => tell("open"),
            SourceEvent::Message(message) => tell(&format!("message {}", message.data)),
            SourceEvent::Retrying { error, .. } => tell(&format!("lost: {error}")),
            event => tell(&format!("{event:?}")),
        }
    }
}

/// The simplest driver that there is: a read with a time limit, and nothing else at the same time.
fn read_blocking(url: &str) {
    let mut client = Client::new(request(url), config());
    let mut connection: Option<(Attempt, TcpStream, ClientConnection)> = None;
    loop {
        while let Some(event) = client.poll_event() {
            match event {
                ClientEvent::Open(_) => tell("open"),
                ClientEvent::Message(message) => tell(&format!("message {}", message.data())),
                ClientEvent::Retrying { error, .. } => tell(&format!("lost: {error}")),
                event => tell(&format!("{event:?}")),
            }
        }
        if let Some((attempt, request)) = client.poll_request(Instant::now()) {
            let authority = request.uri().authority().unwrap().as_str();
            let mut socket = TcpStream::connect(authority).unwrap();
            let mut http =
                ClientConnection::new(&request, ClientConnectionConfig::default()).unwrap();
            while let Some(mut bytes) = http.poll_transmit() {
                while bytes.has_remaining() {
                    bytes.advance(socket.write(&bytes).unwrap());
                }
            }
            connection = Some((attempt, socket, http));
        }
        let Some((attempt, socket, http)) = &mut connection else {
            tell("there is no connection");
            return;
        };
        if let Some(part) = http.poll_response() {
            let now = Instant::now();
            match part.unwrap() {
                ResponsePart::Head(head) => client.handle_response(now, *attempt, &head),
                ResponsePart::Data(bytes) => client.handle_data(now, *attempt, &bytes),
                ResponsePart::End => client.handle_eof(now, *attempt),
            }
            continue;
        }
        let until = client.poll_timeout().expect("it waits for something");
        let patience = until.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            client.handle_timeout(Instant::now());
            continue;
        }
        socket.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 1024];
        match socket.read(&mut buffer) {
            Ok(0) => http.handle_eof(),
            Ok(length) => http.handle_data(&buffer[..length]),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Beside the runtimes: no runtime at all.
#[test]
fn a_stopped_process_of_blocking_sockets_keeps_its_stream() {
    test_blocking(concat!(
        module_path!(),
        "::a_stopped_process_of_blocking_sockets_keeps_its_stream"
    ));
}
