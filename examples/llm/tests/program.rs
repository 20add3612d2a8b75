//! The program as it is started.

use std::process::Command;

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_llm")).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn help_tells_of_each_command_and_option() {
    for help in [&["--help"][..], &["-h"], &["serve", "--help"], &["ask", "-h"]] {
        let (status, stdout, stderr) = run(help);
        assert_eq!((status, &*stderr), (Some(0), ""), "{help:?}");
        for word in ["Usage: llm", "llm serve", "llm ask", "--addr", "--cut-after", "--pause"] {
            assert!(stdout.contains(word), "{word}: {stdout}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (arguments, error) in [
        (&["listen"][..], r#"there is no command "listen"; --help says more"#),
        (&["ask", "http://127.0.0.1:1/"], "ask what? llm ask URL QUESTION"),
        (&["serve", "now"], r#"serve takes no "now"; --help says more"#),
        (&["serve", "--addr", "here"], r#"--addr "here": invalid socket address syntax"#),
        (&["serve", "--pause=long"], r#"--pause "long": invalid digit found in string"#),
        (&["serve", "--cut-after"], "missing argument for option '--cut-after'"),
        (&["--addr", "127.0.0.1:0"], "invalid option '--addr'"),
    ] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!((status, &*stdout), (Some(1), ""), "{arguments:?}");
        assert_eq!(stderr, format!("llm: {error}\n"));
    }
}
