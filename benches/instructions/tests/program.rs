//! The program as it is started.

use std::process::Command;

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_instructions")).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn help_names_cases_that_there_are() {
    let (status, stdout, stderr) = run(&["--help"]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    assert!(stdout.contains("open-with-client"), "{stdout}");
    let (status, stdout, stderr) = run(&["open-with-client"]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    assert!(stdout.trim().parse::<u32>().is_ok_and(|operations| operations > 0), "{stdout}");
}

#[test]
fn what_is_wrong_is_named() {
    for (arguments, error) in [
        (&[][..], "which case? --help names them"),
        (&["close"], "there is no case \"close\"; --help names them"),
    ] {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!((status, &*stdout), (Some(1), ""), "{arguments:?}");
        assert_eq!(stderr, format!("instructions: {error}\n"));
    }
}
