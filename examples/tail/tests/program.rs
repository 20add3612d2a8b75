//! The program as it is started, with a server of a few lines.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tail")).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

const NOTHING_MORE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

/// Gives each of these answers to one request, and returns the heads of the requests.
fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let answer = |answer: String| {
            let mut socket = listener.accept().unwrap().0;
            let lines = BufReader::new(&socket).lines().map(Result::unwrap);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            socket.write_all(answer.as_bytes()).unwrap();
            head.join("\n").to_lowercase()
        };
        answers.into_iter().map(answer).collect()
    });
    (url, serving)
}

/// A stream that ends properly, and asks to be asked for again soon.
fn stream(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 1\n\n{events}")
}

fn cursor(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn help_tells_of_each_option() {
    for help in ["--help", "-h"] {
        let (status, stdout, stderr) = run(&[help]);
        assert_eq!((status, &*stderr), (Some(0), ""));
        for word in [
            "Usage: tail [OPTIONS] URL",
            "--header",
            "--method",
            "--data",
            "--repeatable",
            "--from",
            "--cursor",
            "--json",
            "--standard",
        ] {
            assert!(stdout.contains(word), "{word}: {stdout}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let url = "http://127.0.0.1:1/";
    let two = cursor("two-lines", "41\n42\n");
    let two = two.to_str().unwrap();
    let named = format!("--cursor {two}: ");
    for (arguments, error) in [
        (&[][..], "which URL? --help says more"),
        (&["a b"], "a b: invalid uri character"),
        (&[url, "-X", "GE T"], r#"--method "GE T": "#),
        (&[url, "--method=GE T"], r#"--method "GE T": "#),
        (&[url, "-H", "no colon"], r#"--header "no colon": a header is 'NAME: VALUE'"#),
        (&[url, "--header", "a b: c"], r#"--header "a b: c": invalid HTTP header name"#),
        (&[url, "--from", "4\n1"], "--from: "),
        (&[url, "--data"], "missing argument for option '--data'"),
        (&[url, "--speed"], "invalid option '--speed'"),
        (&[url, url], "unexpected argument"),
        (&[url, "--cursor", two], &named),
    ] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!((status, &*stdout), (Some(1), ""), "{arguments:?}");
        assert!(stderr.starts_with(&format!("tail: {error}")), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn it_ends_with_the_text_of_the_error() {
    let (url, server) = server(vec!["HTTP/1.1 404 Not Found\r\n\r\nno such stream".to_owned()]);
    let (status, stdout, stderr) = run(&[&url]);
    assert_eq!((status, &*stdout), (Some(1), ""));
    let last = stderr.lines().last().unwrap();
    assert!(last.starts_with("tail: the server answered 404"), "{stderr}");
    server.join().unwrap();
}

#[test]
fn messages_are_printed_until_there_is_nothing_more() {
    let events = "id: 1\ndata: one\n\nevent: two\ndata: 2\n\n";
    for (arguments, expected) in [
        (&[][..], "one\ntwo: 2\n"),
        (
            &["--json"],
            "{\"data\":\"one\",\"event\":\"message\",\"id\":\"1\"}\n\
             {\"data\":\"2\",\"event\":\"two\",\"id\":\"1\"}\n",
        ),
    ] {
        let (url, server) = server(vec![stream(events), NOTHING_MORE.to_owned()]);
        let (status, stdout, stderr) = run(&[arguments, &[&url]].concat());
        assert_eq!((status, &*stdout), (Some(0), expected), "{stderr}");
        assert!(server.join().unwrap()[1].contains("last-event-id: 1"));
    }
}

#[test]
fn a_cursor_file_may_end_in_a_line_end_and_is_kept() {
    for (number, end) in ["", "\n", "\r\n"].into_iter().enumerate() {
        let file = cursor(&format!("cursor-{number}"), &format!("41{end}"));
        let (url, server) = server(vec![stream("id: 42\ndata: next\n\n"), NOTHING_MORE.to_owned()]);
        let (status, stdout, stderr) = run(&["--cursor", file.to_str().unwrap(), &url]);
        assert_eq!((status, &*stdout), (Some(0), "next\n"), "{stderr}");
        assert!(server.join().unwrap()[0].contains("last-event-id: 41"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "42");
    }
}

#[test]
fn without_a_cursor_file_it_starts_with_what_is_published_now() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-cursor");
    let _ = fs::remove_file(&file);
    let (url, server) = server(vec![NOTHING_MORE.to_owned()]);
    let (status, _, stderr) = run(&["--cursor", file.to_str().unwrap(), &url]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(!server.join().unwrap()[0].contains("last-event-id"));
}

#[test]
fn a_place_that_moves_without_a_message_is_kept_and_a_gap_is_told() {
    let notice = "id: 7\nevent: sansse-notice\n\
                  data: {\"stream\":\"gap\",\"replayed\":0,\"lost\":42,\"reason\":\"retention\"}\n\n";
    let (url, serving) = server(vec![stream(notice), NOTHING_MORE.to_owned()]);
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("place");
    let _ = fs::remove_file(&path);
    let (status, stdout, stderr) = run(&["--cursor", path.to_str().unwrap(), &url]);
    assert_eq!((status, &*stdout), (Some(0), ""), "{stderr}");
    assert!(stderr.contains("42 events are lost: "), "{stderr}");
    assert!(serving.join().unwrap()[1].contains("last-event-id: 7"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "7");
}
