//! The program as it is started: it says where it serves, gives the page, and streams what is typed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Kills the program at the end of the test, until when its standard output is open.
struct Running(Child, Option<BufReader<ChildStdout>>);

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

/// Posts a text and returns the whole answer.
#[cfg(unix)]
fn post(host: &str, path: &str, text: &str) -> String {
    let mut socket = TcpStream::connect(host).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = text.len();
    write!(
        socket,
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Starts the program on a free port, and returns it with its `host:port`.
fn start() -> (Running, String) {
    start_with(&[], Stdio::inherit())
}

fn start_with(arguments: &[&str], stderr: Stdio) -> (Running, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_live"))
        .args(["--addr", "127.0.0.1:0"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map(|child| Running(child, None))
        .unwrap();
    let mut first = String::new();
    let stdout = BufReader::new(program.0.stdout.take().unwrap());
    program.1.insert(stdout).read_line(&mut first).unwrap();
    let host = first.split("http://").nth(1).expect("the first line has the URL");
    (program, host.trim().trim_end_matches('/').to_owned())
}

#[test]
fn it_serves_the_page_and_streams_what_is_typed() {
    let (mut program, host) = start();
    let host = &host;
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

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_live")).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn help_tells_of_each_option() {
    for help in ["--help", "-h"] {
        let (status, stdout, stderr) = run(&[help]);
        assert_eq!((status, &*stderr), (Some(0), ""));
        for word in ["Usage: live", "--addr", "127.0.0.1:8080", "--store", "--redis", "--realm"] {
            assert!(stdout.contains(word), "{word}: {stdout}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (arguments, error) in [
        (
            &["--addr", "here"][..],
            r#"--addr "here": invalid socket address syntax; it takes ADDRESS:PORT, such as 127"#
                .to_owned(),
        ),
        (&["--addr"], "missing argument for option '--addr'".to_owned()),
        (
            &["--store", "a", "--redis", "redis://a"],
            "--store and --redis: a stream is kept in one".into(),
        ),
        (&["--redis", "redis://127.0.0.1:1"], "--redis needs --realm".into()),
        (&["--realm", "a"], "--realm needs --redis".into()),
        (&["--redis", "http://a", "--realm", "a"], "--redis: ".into()),
        (&["--port", "1"], "invalid option '--port'".to_owned()),
        (&["--addr", &address], format!("cannot listen on {address}: Address")),
    ] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!((status, &*stdout), (Some(1), ""), "{arguments:?}");
        assert!(stderr.starts_with(&format!("live: {error}")), "{stderr}");
    }
}

#[test]
fn a_stream_begins_with_what_was_published_before() {
    let (mut program, host) = start();
    let stdin = program.0.stdin.as_mut().unwrap();
    writeln!(stdin, "typed before").unwrap();
    // Somebody who is there already tells when it has been published.
    let mut witness = get(&host, "/events").lines().map_while(Result::ok);
    assert!(witness.any(|line| line == "data: typed before"));

    let mut stream = get(&host, "/events").lines().map_while(Result::ok);
    let notice = stream.find(|line| line.starts_with("data: ")).expect("the stream goes on");
    assert!(notice.starts_with("data: {\"stream\":\"kept\",\"replayed\":"), "{notice}");
    assert!(stream.any(|line| line == "data: typed before"));
}

#[cfg(unix)]
#[test]
fn signals_end_it_and_tell_its_readers_to_come_back() {
    for signal in ["-TERM", "-INT"] {
        let (mut program, host) = start();
        let mut stream = get(&host, "/events");
        let mut line = String::new();
        while line.trim_end() != "event: sansse-notice" {
            line.clear();
            assert!(stream.read_line(&mut line).unwrap() > 0, "it goes on");
        }
        let id = program.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let mut rest = String::new();
        stream.read_to_string(&mut rest).expect("it is UTF-8 to its end");
        assert!(rest.contains("event: farewell"), "{signal}: {rest}");
        assert!(rest.contains("\ndata: {\"stream\":\"ending\","), "{signal}: {rest}");
        // Not in good order, which some readers would take for "that was all".
        assert!(!rest.ends_with("\r\n0\r\n\r\n"), "{signal}: {rest}");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = program.0.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "{signal}: it still runs");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(0), "{signal}: {status}");
    }
}

#[cfg(unix)]
#[test]
fn a_node_without_its_engine_says_so_once_and_why_it_takes_nothing() {
    // Nobody listens there any more.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("redis://{nobody}");
    let (mut program, host) = start_with(&["--redis", &url, "--realm", "nobody"], Stdio::piped());
    let stdout = program.1.as_mut().unwrap().lines().map_while(Result::ok);
    let greeting: Vec<_> = stdout.take_while(|line| !line.starts_with("Lines that")).collect();
    let node = greeting.iter().position(|line| line.starts_with("The node: ")).unwrap();
    assert!(greeting[node].contains(", down: the engine cannot be reached"), "{greeting:#?}");
    assert_eq!(greeting[node + 1], "Pages have to wait until the engine is back.");

    let mut health = String::new();
    get(&host, "/health").read_to_string(&mut health).unwrap();
    assert!(health.starts_with("HTTP/1.1 503 ") && health.ends_with("\r\n\r\ndown\n"), "{health}");
    for (path, text) in [("/say", "Hello"), ("/ask", "")] {
        let answer = post(&host, path, text);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        let why = "\r\n\r\nThe store behind the server takes nothing now. Try again in a moment.\n";
        assert!(answer.ends_with(why), "{answer}");
    }

    let id = program.0.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let mut stderr = String::new();
    program.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(!stderr.contains("node "), "it was in the greeting: {stderr}");
}
