//! The program as it is started.

use std::process::Command;

#[test]
fn a_command_that_it_does_not_know_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_llm")).arg("listen").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("that is not understood"), "{stderr}");
}
