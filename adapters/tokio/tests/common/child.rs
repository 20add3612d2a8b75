//! Tests that need a process of their own, with a limit of its own on open files.

use std::process::Command;

const MARK: &str = "SANSSE_TEST_CHILD";

/// Runs the test of this name once more, in a process that may open so many files; `false` in
/// that process.
pub(crate) fn is_parent(test: &str, open_files: u32) -> bool {
    if std::env::var_os(MARK).is_some() {
        return false;
    }
    let output = Command::new("sh")
        .args([
            "-c",
            &format!("ulimit -S -n {open_files} && exec \"$0\" --exact \"$1\" --nocapture"),
        ])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(MARK, "1")
        .output()
        .unwrap();
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (lossy(&output.stdout), lossy(&output.stderr));
    print!("{stdout}");
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("1 passed"), "no test is called {test}: {stdout}");
    true
}
