//! `curl` as a client of the server: a peer that was written by somebody else.

mod common;

use common::{Authority, PATIENCE, Running};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

struct Curl {
    #[expect(dead_code, reason = "it is killed when it is dropped")]
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Curl {
    fn start(root: &Path, url: &str, options: &[&str]) -> Self {
        let mut child = Command::new("curl")
            .args(["-N", "-sS", "-i", "-m", "60", "--cacert"])
            .arg(root)
            .args(options)
            .arg(url)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("curl runs");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> Option<String> {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("a line comes");
        line.expect("it is text")
    }

    /// The next line that begins so.
    async fn until(&mut self, start: &str) -> String {
        loop {
            let line = self.line().await.unwrap_or_else(|| panic!("{start:?} comes"));
            if line.starts_with(start) {
                return line;
            }
        }
    }
}

fn root(authority: &Authority, name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, &authority.pem).unwrap();
    path
}

#[tokio::test]
#[ignore = "needs curl"]
async fn curl_gets_the_head_at_once_each_event_when_it_is_published_and_a_proper_end() {
    let authority = Authority::new();
    let root = root(&authority, "stream.pem");
    let server = Running::start(authority.server()).await;
    let url = format!("https://localhost:{}/events", server.address.port());
    for options in [&["--tlsv1.3"][..], &["--tls-max", "1.2"], &["--http1.0"]] {
        let mut curl = Curl::start(&root, &url, options);
        curl.until("HTTP/1.1 200").await;
        curl.until("content-type: text/event-stream").await;
        curl.until("id: ").await;
        // One after another: one that were held back until the next would never arrive.
        for number in 0..20 {
            server.say(format!("line {number}"));
            assert_eq!(curl.until("data: ").await, format!("data: line {number}"));
        }
        server.say("x".repeat(1 << 20));
        assert_eq!(curl.until("data: ").await.len(), 6 + (1 << 20));
    }

    // With OpenSSL it says so by its status when `close_notify` is missing.
    let mut child = Command::new("curl")
        .args(["-N", "-sS", "--http1.0", "-m", "60", "--cacert"])
        .arg(&root)
        .arg(&url)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().is_some());
    server.hub.close();
    while timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().is_some() {}
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
#[ignore = "needs curl"]
async fn curl_posts_a_large_body_and_gets_it_back_on_a_connection_that_is_kept() {
    let authority = Authority::new();
    let root = root(&authority, "post.pem");
    let server = Running::start(authority.server()).await;
    let url = format!("https://localhost:{}/echo", server.address.port());
    let body = Path::new(env!("CARGO_TARGET_TMPDIR")).join("body");
    std::fs::write(&body, "x".repeat(900_000)).unwrap();
    let output = Command::new("curl")
        .args(["-sS", "-m", "60", "-H", "Expect:", "--cacert"])
        .arg(&root)
        .args(["--data-binary", &format!("@{}", body.display())])
        .args([&url, &url])
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == "x".repeat(1_800_000).as_bytes(), "{}", output.stdout.len());
    assert_eq!(server.counters.snapshot().accepted, 1);
}

#[tokio::test]
#[ignore = "needs curl"]
async fn curl_that_does_not_trust_the_authority_refuses_and_the_server_goes_on() {
    let authority = Authority::new();
    let other = root(&Authority::new(), "other.pem");
    let root = root(&authority, "refused.pem");
    let server = Running::start(authority.server()).await;
    let url = format!("https://localhost:{}/events", server.address.port());
    let mut refusing = Curl::start(&other, &url, &["--stderr", "-"]);
    let said = refusing.until("curl: (60)").await;
    assert!(!said.is_empty());
    Curl::start(&root, &url, &[]).until("HTTP/1.1 200").await;
}
