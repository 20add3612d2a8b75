//! A program of another language, which prints a JSON line for all that happens to it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout_at};

/// For all that one test waits for.
pub(crate) const ALL: Duration = Duration::from_secs(60);

/// The running program. Dropping it kills it; it also ends with its standard input, so that it
/// does not outlive a test that was killed.
pub(crate) struct Program {
    child: Child,
    stdin: ChildStdin,
    lines: UnboundedReceiver<Value>,
    errors: Arc<Mutex<String>>,
    deadline: Instant,
}

impl Program {
    /// Starts a script of this directory, by the language that its name tells.
    pub(crate) fn start(script: &str, arguments: &[&str]) -> Self {
        let installed = installed();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(script);
        let extension = path.extension().and_then(OsStr::to_str);
        let mut command = match extension {
            Some("cjs") => {
                let mut node = Command::new("node");
                node.env("NODE_PATH", installed.join("node/node_modules"));
                node
            }
            Some("py") => Command::new(installed.join("python/bin/python")),
            _ => panic!("{} is in no language that is known here", path.display()),
        };
        let mut child = command
            .arg(&path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        // Both are read to their ends, so that the program never waits for room in a pipe.
        let (sender, lines) = unbounded_channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| Value::from(line));
                let _ = sender.send(value);
            }
        });
        let errors = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&errors);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        Self { child, stdin, lines, errors, deadline: Instant::now() + ALL }
    }

    /// The next line that it prints.
    pub(crate) async fn next(&mut self) -> Value {
        let line = timeout_at(self.deadline, self.lines.recv()).await;
        let line = line.unwrap_or_else(|_| panic!("what was waited for did not come in {ALL:?}"));
        line.unwrap_or_else(|| panic!("the program has ended: {:?}", self.child.wait()))
    }

    /// Writes a line to its standard input.
    pub(crate) fn tell(&mut self, order: &Value) {
        writeln!(self.stdin, "{order}").expect("the program reads its standard input");
    }

    /// Ends it without a warning, and waits for that.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            eprintln!("the program's standard error:\n{errors}");
        }
    }
}

/// Where the peers are.
pub(crate) fn installed() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target");
    let installed = target.join("foreign");
    assert!(
        installed.join("installed").exists(),
        "the foreign peers are not in {}: run tests/foreign/install",
        installed.display()
    );
    installed
}
