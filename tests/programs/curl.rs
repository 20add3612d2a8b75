//! `curl -N` against the `live` example: a peer that was written by somebody else and shows the
//! bytes as they come.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::live::Live;

/// For all that one peer waits for.
const ALL: Duration = Duration::from_secs(30);

#[test]
#[ignore = "needs curl"]
fn the_head_comes_at_once_and_each_line_when_it_is_published() {
    let mut live = Live::start();
    let mut curl = Curl::start(&live, &[]);

    let head = curl.head();
    assert!(head[0].starts_with("HTTP/1.1 200"), "{head:?}");
    assert_eq!(value(&head, "content-type").as_deref(), Some("text/event-stream"));
    assert_eq!(value(&head, "cache-control").as_deref(), Some("no-cache, no-transform"));
    assert_eq!(value(&head, "x-accel-buffering").as_deref(), Some("no"));

    let first = curl.next_block();
    assert_eq!(first.event, "sansse-notice", "the first event says how the stream begins");
    let notice: Value = serde_json::from_str(&first.data).expect("JSON");
    assert_eq!(notice["stream"], "kept");
    assert!(notice["replayed"].is_u64(), "{notice}");

    // One after another: a line that were held back until the next would never arrive.
    for number in 0..20 {
        live.publish([format!("line {number}")]);
        assert_eq!(curl.next("line").data, format!("line {number}"));
    }
}

#[test]
#[ignore = "needs curl"]
fn last_event_id_brings_what_was_missed_once_and_in_order() {
    let mut live = Live::start();
    // The witness loses nothing, so it knows what there is to be replayed, and when.
    let mut witness = Curl::start(&live, &[]);
    witness.head();
    let mut first = Curl::start(&live, &[]);
    first.head();
    live.publish((0..10).map(|number| format!("line {number}")));
    let last = first.until("line 3");
    drop(first);
    let id = last.id.expect("an id");
    while witness.next_block().id.as_ref() != Some(&id) {}

    live.publish((10..30).map(|number| format!("line {number}")));
    let at_least = witness.events_until("line 29");
    let mut second = Curl::start(&live, &["-H", &format!("Last-Event-ID: {id}")]);
    second.head();
    let notice: Value = serde_json::from_str(&second.next("sansse-notice").data).expect("JSON");
    live.publish(["live again"]);
    // Without "live again" itself; counters may have come in between.
    let at_most = at_least + witness.events_until("live again") - 1;

    assert_eq!(notice["stream"], "complete", "{notice}");
    let replayed = notice["replayed"].as_u64().expect("a count");
    assert!((at_least..=at_most).contains(&replayed), "{replayed}, not {at_least} to {at_most}");
    for number in 4..30 {
        assert_eq!(second.next("line").data, format!("line {number}"));
    }
    assert_eq!(second.next("line").data, "live again");
}

#[test]
#[ignore = "needs curl"]
fn an_id_that_the_server_never_gave_opens_the_stream_and_is_said_to_be_unknown() {
    let mut live = Live::start();
    let mut curl = Curl::start(&live, &["-H", "Last-Event-ID: never given"]);
    assert!(curl.head()[0].starts_with("HTTP/1.1 200"));
    let notice: Value = serde_json::from_str(&curl.next("sansse-notice").data).expect("JSON");
    assert_eq!(notice["stream"], "gap", "{notice}");
    assert_eq!(notice["reason"], "unknown-id", "{notice}");
    live.publish(["and it goes on"]);
    assert_eq!(curl.next("line").data, "and it goes on");
}

#[test]
#[ignore = "needs curl"]
fn what_is_posted_reaches_those_who_listen() {
    let live = Live::start();
    let mut curl = Curl::start(&live, &[]);
    curl.head();
    curl.next_block();

    let said = Command::new("curl")
        .args(["-sS", "-m", "10", "-o", "-", "-w", "%{http_code}"])
        .args(["-H", "Content-Type: text/plain; charset=utf-8"])
        .args(["--data-binary", "Grüße\nin two lines"])
        .arg(format!("{}say?client=somebody&name=Some%20body", live.url()))
        .output()
        .expect("curl runs");
    let answer = String::from_utf8_lossy(&said.stdout);
    assert!(answer.ends_with("202") || answer.ends_with("204"), "{answer}");

    let chat: Value = serde_json::from_str(&curl.next("chat").data).expect("JSON");
    assert_eq!(chat["client"], "somebody");
    assert_eq!(chat["name"], "Some body");
    assert_eq!(chat["text"], "Grüße\nin two lines");
    assert!(chat["time"].as_u64().is_some_and(|time| time > 1_600_000_000_000), "{chat}");
}

#[test]
#[ignore = "needs curl"]
fn a_request_for_the_head_gets_it_with_the_date_and_no_stream() {
    let live = Live::start();
    let (status, head) = answer(&live, "events", &["-I"]);
    assert_eq!(status, "200");
    let head: Vec<String> = head.lines().map(str::to_owned).collect();
    assert_eq!(value(&head, "content-type").as_deref(), Some("text/event-stream"));
    assert!(value(&head, "date").is_some_and(|date| date.ends_with(" GMT")), "{head:?}");
}

/// `live` is open to all who reach it, and so must tell pages of others from its own.
#[test]
#[ignore = "needs curl"]
fn a_name_that_is_rebound_and_a_page_of_another_origin_get_403() {
    let live = Live::start();
    let port = live.address().port();
    let (here, own) =
        (format!("Host: localhost:{port}"), format!("Origin: http://localhost:{port}"));
    for (headers, status) in [
        (&[&*here][..], "200"),
        (&[&*here, &*own], "200"),
        (&[&*here, "Origin: https://evil.example"], "403"),
        (&[&*here, "Origin: null"], "403"),
        (&["Host: evil.example"], "403"),
        (&["Host: evil.example", "Origin: http://evil.example"], "403"),
    ] {
        let options: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
        assert_eq!(answer(&live, "", &options).0, status, "{headers:?}");
        let said = [&options[..], &["-d", "Hello"]].concat();
        let said = answer(&live, "say", &said).0;
        assert_eq!(said == "403", status == "403", "{headers:?}: {said}");
    }
}

/// The status of an answer, and what came of it.
fn answer(live: &Live, path: &str, options: &[&str]) -> (String, String) {
    let output = Command::new("curl")
        .args(["-sS", "-m", "10", "-w", "\n%{http_code}"])
        .args(options)
        .arg(format!("{}{path}", live.url()))
        .output()
        .expect("curl runs");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (text, status) = text.rsplit_once('\n').expect("the status is written");
    (status.to_owned(), text.to_owned())
}

/// A running `curl -N`, which is killed when it is dropped.
struct Curl {
    child: Child,
    lines: mpsc::Receiver<String>,
    deadline: Instant,
}

/// What stands between two blank lines.
#[derive(Debug, Default)]
struct Block {
    event: String,
    data: String,
    id: Option<String>,
}

impl Curl {
    fn start(live: &Live, options: &[&str]) -> Self {
        let mut child = Command::new("curl")
            .args(["-N", "-sS", "-i", "-m", "60"])
            .args(options)
            .arg(format!("{}events", live.url()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("curl: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, deadline: Instant::now() + ALL }
    }

    fn line(&mut self) -> String {
        let rest = self.deadline.saturating_duration_since(Instant::now());
        let line = self.lines.recv_timeout(rest);
        line.unwrap_or_else(|error| panic!("what was waited for did not come in {ALL:?}: {error}"))
    }

    /// The lines of the response head.
    fn head(&mut self) -> Vec<String> {
        let mut head = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return head;
            }
            head.push(line);
        }
    }

    /// The next block that is more than comments.
    fn next_block(&mut self) -> Block {
        let mut block = Block::default();
        let mut empty = true;
        loop {
            let line = self.line();
            match line.split_once(": ").unwrap_or((&line, "")) {
                ("", "") if !empty => return block,
                ("event", text) => text.clone_into(&mut block.event),
                ("id", text) => block.id = Some(text.to_owned()),
                ("data", text) => block.data.push_str(text),
                _ => continue,
            }
            empty = false;
        }
    }

    /// How many events come up to and with this line.
    fn events_until(&mut self, line: &str) -> u64 {
        let mut events = 0;
        loop {
            let block = self.next_block();
            events += u64::from(block.id.is_some());
            if block.event == "line" && block.data == line {
                return events;
            }
        }
    }

    /// The event of this line; others are passed over.
    fn until(&mut self, line: &str) -> Block {
        loop {
            let block = self.next("line");
            if block.data == line {
                return block;
            }
        }
    }

    /// The next event of a type; others are passed over.
    fn next(&mut self, event: &str) -> Block {
        loop {
            let block = self.next_block();
            if block.event == event {
                return block;
            }
        }
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn value(head: &[String], name: &str) -> Option<String> {
    head.iter().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}
