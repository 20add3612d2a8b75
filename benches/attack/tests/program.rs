//! The program as it is started, with every attack in its short form.

use std::process::Command;

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_attack")).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

/// Makes one attack, and shows its figures where it breaks a promise.
fn held(attack: &str) {
    let (status, stdout, stderr) = run(&["--short", attack]);
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    assert!(stdout.trim_end().ends_with("held"), "{stdout}");
    print!("{stdout}");
}

#[test]
fn what_is_held_for_peers_is_bounded_and_others_are_served() {
    held("budgets");
}

#[test]
fn long_ids_cost_no_more_than_their_limit() {
    held("ids");
}

#[cfg(unix)]
#[test]
fn a_process_that_is_stopped_does_not_blame_its_peers() {
    held("pauses");
}

#[test]
fn names_that_subscribers_invent_keep_nobody_else_out() {
    held("names");
}

#[test]
fn an_id_that_was_made_up_costs_no_more_than_none() {
    held("replay");
}

#[test]
fn a_pattern_costs_no_more_than_its_limit_however_much_it_matches() {
    held("patterns");
}

#[test]
fn a_panic_of_the_application_costs_one_call() {
    held("panics");
}

#[test]
fn help_tells_of_each_option() {
    for help in ["--help", "-h"] {
        let (status, stdout, stderr) = run(&[help]);
        assert_eq!((status, &*stderr), (Some(0), ""));
        for word in ["Usage: attack", "--short", "--list"] {
            assert!(stdout.contains(word), "{word}: {stdout}");
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let (status, stdout, stderr) = run(&["flood"]);
    assert_eq!((status, &*stdout), (Some(2), ""));
    assert_eq!(stderr, "attack: there is no attack \"flood\"; --list names them\n");
}
