//! `curl` as a reader.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};

use crate::ALL;

/// The running program. Dropping it ends it; it also ends by itself after a time.
pub(crate) struct Curl {
    child: Child,
    lines: UnboundedReceiver<(Instant, String)>,
}

impl Curl {
    pub(crate) fn start<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut child = Command::new("curl")
            .args(["-sSN", "--max-time", "60"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start curl: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = unbounded_channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send((Instant::now(), line));
            }
        });
        Self { child, lines }
    }

    /// The next line that it prints, and when; `None` after the last.
    pub(crate) async fn next(&mut self) -> Option<(Instant, String)> {
        let line = timeout(ALL, self.lines.recv()).await;
        line.unwrap_or_else(|_| panic!("nothing in {ALL:?}"))
    }

    /// Waits for a line; returns when it came.
    pub(crate) async fn line(&mut self, wanted: &str) -> Instant {
        loop {
            let (when, line) = self.next().await.expect("it goes on");
            if line.trim_end() == wanted {
                return when;
            }
        }
    }

    /// Reads what is left, up to its end; returns what it exits with.
    pub(crate) async fn exit_code(mut self) -> Option<i32> {
        while self.next().await.is_some() {}
        self.child.wait().expect("it is a child").code()
    }
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
