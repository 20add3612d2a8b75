//! The program as it is started.

use std::net::TcpListener;
use std::process::Command;

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fanout")).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn help_tells_of_each_option() {
    for help in ["--help", "-h"] {
        let (status, stdout, stderr) = run(&[help]);
        assert_eq!((status, &*stderr), (Some(0), ""));
        for word in ["Usage: fanout", "--port", "--runtime", "--threads"] {
            assert!(stdout.contains(word), "{word}: {stdout}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (arguments, error) in [
        ("--port=high", r#"--port "high": invalid digit found in string"#.to_owned()),
        ("--threads=0", r#"--threads "0": number would be zero for non-zero type"#.to_owned()),
        ("--runtime=fast", r#"--runtime "fast": there are tokio, smol and async-std"#.to_owned()),
        ("--speed", "invalid option '--speed'".to_owned()),
        ("--port", "missing argument for option '--port'".to_owned()),
        (&format!("--port={port}"), format!("cannot listen on 127.0.0.1:{port}: Address")),
    ] {
        let (status, stdout, stderr) = run(&[arguments]);
        assert_eq!((status, &*stdout), (Some(1), ""), "{arguments:?}");
        assert!(stderr.starts_with(&format!("fanout: {error}")), "{stderr}");
    }
}
