//! The `live` example as two nodes on one Redis behind HAProxy, and as one that keeps its stream in a
//! file, with its page in a real browser: what is killed costs the page nothing, or is told.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::browser::{AGAIN, Browser, Kind, SOON, in_both_browsers};
use crate::live::{Live, Stream};
use crate::live_page::{LINE_EVENTS, LINES, line, open, shows_line, strings};

in_both_browsers! {
    a_page_goes_from_a_killed_node_to_the_other_and_has_each_line_once_and_in_order,
    a_page_is_told_what_an_engine_that_was_started_without_data_has_lost_and_goes_on,
    a_page_of_a_stream_in_a_file_is_told_that_nothing_is_missing_after_a_kill,
}

const TWO_PEOPLE: &str = "document.querySelectorAll('#people li[data-client]').length === 2";

/// For what starts, and for what is asked again.
const PATIENCE: Duration = Duration::from_secs(30);

async fn a_page_goes_from_a_killed_node_to_the_other_and_has_each_line_once_and_in_order(
    kind: Kind,
) {
    let engine = Engine::start();
    let mut nodes = engine.nodes();
    let balancer = Balancer::start(nodes.each_ref().map(Live::address));
    let browser = Browser::start(kind).await;
    open(&browser, &balancer.url()).await;
    browser.wait_for("live.node", SOON).await;
    let node = browser.value("live.node").await;
    if nodes[0].node() != node {
        nodes.swap(0, 1);
    }
    let [its, mut other] = nodes;
    assert_eq!(its.node(), node);
    // Somebody who is with the other node is shown, and stays when the page comes there.
    let _witness = Stream::open(other.address(), "/events?client=witness&name=witness", SOON);
    browser.wait_for(TWO_PEOPLE, SOON).await;

    // What is typed into the other one comes to the page through both.
    other.publish((0..50).map(line));
    browser.wait_for(&shows_line(&line(49)), SOON).await;
    // Some of these are on their way when the page's node is killed, which can do nothing about it.
    other.publish((50..150).map(line));
    drop(its);
    other.publish((150..200).map(line));
    browser.wait_for("live.resumes.length === 2", AGAIN).await;
    other.publish((200..250).map(line));
    browser.wait_for(&shows_line(&line(249)), AGAIN).await;

    let all: Vec<String> = (0..250).map(line).collect();
    assert_eq!(strings(&browser.value(LINES).await), all, "shown once and in order");
    assert_eq!(strings(&browser.value(LINE_EVENTS).await), all, "received once and in order");
    assert_eq!(browser.value("live.resumes[1].stream").await, "complete");
    assert_eq!(browser.value("live.gaps").await, 0);
    browser.wait_for(&format!("live.node === '{}'", other.node()), SOON).await;
    browser.wait_for(TWO_PEOPLE, SOON).await;
}

async fn a_page_is_told_what_an_engine_that_was_started_without_data_has_lost_and_goes_on(
    kind: Kind,
) {
    let mut engine = Engine::start();
    let mut nodes = engine.nodes();
    let balancer = Balancer::start(nodes.each_ref().map(Live::address));
    let browser = Browser::start(kind).await;
    open(&browser, &balancer.url()).await;
    nodes[0].publish((0..5).map(line));
    browser.wait_for(&shows_line(&line(4)), SOON).await;

    engine.kill();
    // The page stays, and is told by its node that this has no engine.
    wait_until(|| health(nodes[0].address()).ends_with("stale"));
    engine.start_again();
    browser.wait_for("live.gaps === 1", AGAIN).await;
    wait_until(|| health(nodes[0].address()).ends_with("ready"));
    nodes[0].publish((5..10).map(line));
    browser.wait_for(&shows_line(&line(9)), AGAIN).await;
    let all: Vec<String> = (0..10).map(line).collect();
    assert_eq!(strings(&browser.value(LINE_EVENTS).await), all);
    // It has never lost its connection.
    assert_eq!(browser.value("[live.connections, live.losses, live.gaps].join()").await, "1,0,1");
    let mark = browser.value("document.querySelector('#log .mark').innerText").await;
    let mark = mark.as_str().expect("a text");
    assert!(mark.contains("The store behind the server was started again"), "{mark}");
}

async fn a_page_of_a_stream_in_a_file_is_told_that_nothing_is_missing_after_a_kill(kind: Kind) {
    let directory = Directory::new("store");
    let file = directory.0.join("stream.redb");
    let arguments = ["--store", file.to_str().expect("a plain name")];
    let mut live = Live::start_with(any_port(), &arguments);
    let address = live.address();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    live.publish((0..20).map(line));
    browser.wait_for(&shows_line(&line(19)), SOON).await;

    // By SIGKILL.
    drop(live);
    browser.wait_for("live.state === 'lost'", SOON).await;
    let mut live = Live::start_with(address, &arguments);
    browser.wait_for("live.resumes.length === 2", AGAIN).await;
    assert_eq!(browser.value("live.resumes[1].stream").await, "complete");
    live.publish((20..30).map(line));
    browser.wait_for(&shows_line(&line(29)), SOON).await;
    let all: Vec<String> = (0..30).map(line).collect();
    assert_eq!(strings(&browser.value(LINES).await), all, "shown once and in order");
    assert_eq!(strings(&browser.value(LINE_EVENTS).await), all, "received once and in order");

    // A page that comes now has what was published in both lives.
    open(&browser, &live.url()).await;
    browser.wait_for(&shows_line(&line(29)), SOON).await;
    assert_eq!(strings(&browser.value(LINES).await), all);
}

/// A Redis without a disk, on a free port. Dropping it ends it.
pub(crate) struct Engine {
    child: Child,
    port: u16,
    directory: Directory,
}

impl Engine {
    pub(crate) fn start() -> Self {
        let (port, directory) = (free_port(), Directory::new("redis"));
        let child = Self::run(port, &directory.0);
        Self { child, port, directory }
    }

    fn run(port: u16, directory: &Path) -> Child {
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "no", "--dir"])
            .arg(directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        wait_until(|| {
            assert!(child.try_wait().expect("it is our child").is_none(), "Redis has ended");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        child
    }

    /// Two nodes of one realm.
    fn nodes(&self) -> [Live; 2] {
        [(); 2].map(|()| self.node())
    }

    pub(crate) fn node(&self) -> Live {
        let url = format!("redis://127.0.0.1:{}", self.port);
        Live::start_with(any_port(), &["--redis", &url, "--realm", "nodes"])
    }

    /// Changes a setting of it.
    pub(crate) fn set(&self, name: &str, value: &str) {
        use std::io::{Read, Write};
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let done = write!(socket, "CONFIG SET {name} {value}\r\n");
        let mut answer = [0; 5];
        done.and_then(|()| socket.read_exact(&mut answer)).expect("it answers");
        assert_eq!(answer, *b"+OK\r\n");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is our child");
    }

    pub(crate) fn start_again(&mut self) {
        self.child = Self::run(self.port, &self.directory.0);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// HAProxy in front of two nodes. Dropping it ends it.
struct Balancer {
    child: Child,
    port: u16,
    _directory: Directory,
}

impl Balancer {
    fn start(nodes: [SocketAddr; 2]) -> Self {
        let (port, directory) = (free_port(), Directory::new("haproxy"));
        let mut text = include_str!("../../examples/proxies/haproxy-nodes.cfg").to_owned();
        for (line, place) in [
            ("bind :8000\n", format!("bind 127.0.0.1:{port}\n")),
            ("127.0.0.1:8081", nodes[0].to_string()),
            ("127.0.0.1:8082", nodes[1].to_string()),
        ] {
            assert!(text.contains(line), "{line:?} is not in the configuration");
            text = text.replace(line, &place);
        }
        let file = directory.0.join("haproxy.cfg");
        fs::write(&file, text).expect("the directory is there");
        let mut child = Command::new("haproxy")
            .args(["-db", "-f"])
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy is installed");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_until(|| {
            assert!(child.try_wait().expect("it is our child").is_none(), "HAProxy has ended");
            TcpStream::connect(address).is_ok() && health(address).ends_with("ready")
        });
        Self { child, port, _directory: directory }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory of one test, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("nodes-{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("the target directory can be written");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a node, or a balancer, answers to `GET /health`.
fn health(address: SocketAddr) -> String {
    use std::io::{Read, Write};
    let Ok(mut socket) = TcpStream::connect(address) else { return String::new() };
    let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let done = socket.set_read_timeout(Some(PATIENCE));
    let done = done.and_then(|()| socket.write_all(request.as_bytes()));
    let _ = done.and_then(|()| socket.read_to_string(&mut answer));
    answer.trim_end().to_owned()
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not come about within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(any_port()).expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}
