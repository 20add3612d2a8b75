//! The program as it is started, with a server of a few lines.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_blocking")).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn help_says_how_it_is_called() {
    for help in ["--help", "-h"] {
        let (status, stdout, stderr) = run(&[help]);
        assert_eq!((status, &*stderr), (Some(0), ""));
        assert!(stdout.contains("Usage: blocking URL"), "{stdout}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (arguments, error) in [
        (&[][..], "which URL? --help says more\n"),
        (&["a b"], "a b: invalid uri character\n"),
        (&["--fast"], "invalid option '--fast'\n"),
        (&["http://127.0.0.1:1/", "more"], "unexpected argument"),
        (&["https://127.0.0.1:1/"], "the request needs what cannot be done here"),
    ] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!((status, &*stdout), (Some(1), ""), "{arguments:?}");
        assert!(stderr.starts_with(&format!("blocking: {error}")), "{arguments:?}: {stderr}");
    }
}

#[test]
fn it_prints_messages_until_there_is_nothing_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        for answer in [
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 1\ndata: one\n\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ] {
            let mut socket = listener.accept().unwrap().0;
            BufReader::new(&socket).lines().map(Result::unwrap).find(String::is_empty).unwrap();
            socket.write_all(answer.as_bytes()).unwrap();
        }
    });
    let (status, stdout, stderr) = run(&[&url]);
    assert_eq!((status, &*stdout), (Some(0), "one\n"), "{stderr}");
    serving.join().unwrap();
}
