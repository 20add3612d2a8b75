//! The program as it is started.

use std::process::Command;

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_million")).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn help_tells_of_each_option() {
    for help in ["--help", "-h"] {
        let (status, stdout, stderr) = run(&[help]);
        assert_eq!((status, &*stderr), (Some(0), ""));
        for word in ["Usage: million", "SESSIONS TOPICS", "--clients"] {
            assert!(stdout.contains(word), "{word}: {stdout}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let numbers = "either no number, or how many sessions and over how many topics";
    for (arguments, error) in [
        (&["many"][..], r#"SESSIONS "many": invalid digit found in string"#),
        (&["10", "few"], r#"TOPICS "few": invalid digit found in string"#),
        (&["10"], numbers),
        (&["10", "0"], numbers),
        (&["--speed"], "invalid option '--speed'"),
    ] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!((status, &*stdout), (Some(1), ""), "{arguments:?}");
        assert_eq!(stderr, format!("million: {error}\n"));
    }
}

#[test]
fn two_numbers_measure_that_many() {
    for arguments in [&["20", "5"][..], &["--clients", "20", "5"]] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!(status, Some(0), "{stderr}");
        assert!(stdout.trim_start().starts_with("20 "), "{stdout}");
    }
}
