//! A real server as a child process, in a directory of its own.

use crate::ALL;
use crate::client::{Client, info};
use resp_rs::resp2::Frame;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::iter;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program of `SANSSE_REDIS_SERVER`, `redis-server` by default.
    Redis,
    /// The program of `SANSSE_VALKEY_SERVER`, `valkey-server` by default.
    Valkey,
}

impl Kind {
    fn program(self) -> PathBuf {
        let (variable, default) = match self {
            Self::Redis => ("SANSSE_REDIS_SERVER", "redis-server"),
            Self::Valkey => ("SANSSE_VALKEY_SERVER", "valkey-server"),
        };
        std::env::var_os(variable).unwrap_or_else(|| default.into()).into()
    }

    /// Whether the program is here. With `SANSSE_ENGINES=1` it has to be.
    pub(crate) fn is_here(self) -> bool {
        let program = self.program();
        let version = Command::new(&program).arg("--version").stdout(Stdio::null()).status();
        let is_here = version.is_ok_and(|status| status.success());
        let is_wanted = std::env::var_os("SANSSE_ENGINES").is_some_and(|wanted| wanted == "1");
        assert!(is_here || !is_wanted, "{} cannot be started", program.display());
        if !is_here {
            eprintln!("SKIPPED: {} cannot be started", program.display());
        }
        is_here
    }

    /// Whether it can do TLS. Some are built without, among them those in packages of Python.
    pub(crate) fn has_tls(self) -> bool {
        // It names the first setting that it does not know, and ends.
        let settings = ["--tls-replication", "no", "--no-such-setting", "1"];
        let output = Command::new(self.program()).args(settings).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        self == Self::Redis && said.contains("no-such-setting")
    }
}

/// A running server, or one that was killed and can be started again. It ends with the test.
pub(crate) struct Engine {
    kind: Kind,
    directory: PathBuf,
    pub(crate) port: u16,
    arguments: Vec<String>,
    running: Option<Running>,
}

struct Running {
    child: Child,
    /// Ends the server when this process is killed, and its pipe with it.
    watcher: Child,
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    free_port_below(u16::MAX)
}

fn free_port_below(limit: u16) -> u16 {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    iter::repeat_with(free).take(10_000).find(|port| *port < limit).unwrap()
}

pub(crate) fn directory() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("sansse-redis-{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

impl Engine {
    /// Starts a server that keeps nothing, with these arguments beside.
    pub(crate) fn start(kind: Kind, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let (directory, port) = (directory(), free_port());
        let mut engine = Self { kind, directory, port, arguments, running: None };
        engine.start_again();
        engine
    }

    /// Starts a server of a cluster, whose own bus is 10,000 ports above.
    pub(crate) fn of_cluster(kind: Kind) -> Self {
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "30000"];
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let (directory, port) = (directory(), free_port_below(55_000));
        let mut engine = Self { kind, directory, port, arguments, running: None };
        engine.start_again();
        engine
    }

    /// Starts a Sentinel with this configuration.
    pub(crate) fn sentinel(kind: Kind, configuration: &str) -> Self {
        let (directory, port) = (directory(), free_port());
        let file = directory.join("sentinel.conf");
        fs::write(&file, format!("port {port}\nbind 127.0.0.1\n{configuration}")).unwrap();
        let arguments = vec![file.display().to_string(), "--sentinel".into()];
        let mut engine = Self { kind, directory, port, arguments, running: None };
        engine.start_again();
        engine
    }

    /// Starts it, and waits until it has loaded what it keeps.
    pub(crate) fn start_again(&mut self) {
        self.begin();
        self.until_loaded();
    }

    /// Starts it with more arguments, and waits until it says that it loads what it keeps.
    pub(crate) fn start_loading(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(ToString::to_string));
        self.begin();
        let began = Instant::now();
        loop {
            let answer = Client::open(self.port).and_then(|mut client| client.try_ask(&["PING"]));
            match answer {
                Some(Frame::Error(said)) if said.starts_with(b"LOADING") => return,
                Some(answer) => panic!("it has loaded: {answer:?}"),
                None => thread::sleep(Duration::from_millis(2)),
            }
            assert!(began.elapsed() < ALL, "it does not start");
        }
    }

    fn begin(&mut self) {
        self.kill();
        let mut command = Command::new(self.kind.program());
        if self.arguments.last().is_none_or(|last| last != "--sentinel") {
            let port = self.port.to_string();
            command.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
            command.arg("--dir").arg(&self.directory);
        }
        let log = fs::File::create(self.directory.join("output")).unwrap();
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let watcher = Command::new("sh")
            .args(["-c", "read -r _; kill -KILL $1", "sh", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.running = Some(Running { child, watcher });
    }

    fn until_loaded(&self) {
        let began = Instant::now();
        loop {
            let answer = Client::open(self.port).and_then(|mut client| client.try_ask(&["PING"]));
            match answer {
                Some(Frame::SimpleString(said)) if said == "PONG" => return,
                // It wants a password.
                Some(Frame::Error(said)) if said.starts_with(b"NOAUTH") => return,
                _ => {}
            }
            let output = || fs::read_to_string(self.directory.join("output")).unwrap_or_default();
            assert!(began.elapsed() < ALL, "it does not start: {}", output());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            // First, so that it kills no process which has the same id later.
            let _ = running.watcher.kill();
            let _ = running.watcher.wait();
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }

    /// Stops it without a word to anybody, as a machine that hangs.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = &self.running.as_ref().unwrap().child;
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        Client::open(self.port).unwrap()
    }

    /// Does one command; an error reply is a failure of the test.
    pub(crate) fn command(&self, words: &[&str]) -> Frame {
        self.client().ask(words)
    }

    /// Waits until a read waits there.
    pub(crate) async fn until_a_read_waits(&self) {
        let mut client = self.client();
        let began = Instant::now();
        while info(&mut client, "clients", "blocked_clients") != "1" {
            assert!(began.elapsed() < ALL, "no read waits");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
