//! The program as it is started.

use std::process::Command;

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_own_executor")).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn help_says_what_it_does_and_what_is_wrong_is_named() {
    let (status, stdout, stderr) = run(&["--help"]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    assert!(stdout.contains("Usage: own_executor"), "{stdout}");
    for (argument, error) in
        [("--port", "invalid option '--port'"), ("http://a/", "unexpected argument \"http://a/\"")]
    {
        let (status, stdout, stderr) = run(&[argument]);
        assert_eq!((status, &*stdout), (Some(1), ""));
        assert_eq!(stderr, format!("own_executor: {error}\n"));
    }
}

#[test]
fn it_serves_and_reads_three_messages() {
    let (status, stdout, stderr) = run(&[]);
    assert_eq!(status, Some(0), "{stderr}");
    for word in ["open: http://127.0.0.1:", ": one\n", ": two\n", ": three\n"] {
        assert!(stdout.contains(word), "{word}: {stdout}");
    }
}
