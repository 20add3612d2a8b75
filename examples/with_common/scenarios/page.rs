//! A program with a page as it is started, without the scripts of others, whose contents it does not
//! know.

use crate::{EVENTS, INSTALL, PROGRAM, SCRIPTS};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = env!("CARGO_PKG_NAME");
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

struct Program {
    child: Child,
    address: String,
}

impl Program {
    fn start() -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["--addr", "127.0.0.1:0", "--scripts"])
            .arg(scripts())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("Listening on http://").expect(&line).trim();
        let address = address.trim_end_matches('/').to_owned();
        Self { child, address }
    }

    /// Sends a request, and leaves the answer to be read.
    fn send(&self, method: &str, path: &str, body: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        )
        .unwrap();
        BufReader::new(stream)
    }

    fn answer(&self, method: &str, path: &str, body: &str) -> String {
        let mut answer = String::new();
        self.send(method, path, body).read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends SIGTERM; returns the exit status, and after how long it came.
    fn terminate(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status.code(), begun.elapsed())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory with a file for each script, which says its own name.
fn scripts() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{NAME}-scripts"));
    for script in SCRIPTS {
        let file = directory.join(script);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("// {script}")).unwrap();
    }
    directory
}

/// The exit status, standard output and standard error of the program with these arguments.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn help_tells_of_each_option() {
    let (status, stdout, stderr) = run(&["--help"]);
    assert_eq!((status, &*stderr), (Some(0), ""));
    for word in [&*format!("Usage: {NAME} [OPTIONS]"), "--addr", "--scripts"] {
        assert!(stdout.contains(word), "{word}: {stdout}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (arguments, error) in
        [(&["--addr", "x"][..], "--addr \"x\": "), (&["--more"], "invalid option '--more'")]
    {
        let (status, stdout, stderr) = run(arguments);
        assert_eq!((status, &*stdout), (Some(1), ""), "{arguments:?}");
        assert!(stderr.starts_with(&format!("{NAME}: {error}")), "{arguments:?}: {stderr}");
    }
}

#[test]
fn scripts_that_are_missing_are_named_with_the_command_that_brings_them() {
    let (status, stdout, stderr) = run(&["--scripts", "/nowhere"]);
    assert_eq!((status, &*stdout), (Some(2), ""), "{stderr}");
    assert!(stderr.starts_with(&format!("{NAME}: cannot read /nowhere/{}: ", SCRIPTS[0])));
    assert!(stderr.ends_with(&format!("Run this once: {INSTALL}\n")), "{stderr}");
}

#[test]
fn the_page_names_files_that_are_there_and_nothing_from_elsewhere() {
    let program = Program::start();
    let page = program.answer("GET", "/", "");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    let named = page.split('"').filter(|text| text.starts_with('/') && text.contains('.'));
    let named: Vec<&str> = named.collect();
    assert!(named.len() >= 2, "{page}");
    for path in named {
        let file = program.answer("GET", path, "");
        assert!(file.starts_with("HTTP/1.1 200 "), "{path}: {file}");
    }
    assert!(!page.contains("\"//") && !page.contains("://"), "{page}");
}

/// All that is said and done comes as events, also to a page that comes later, and is no markup.
#[test]
fn what_is_said_is_streamed_and_kept_and_the_program_ends_within_five_seconds() {
    let program = Program::start();
    let said = "name=+A+%26+B+&text=%3Cb%3Ehello%3C%2Fb%3E";
    assert!(program.answer("POST", "/say", said).starts_with("HTTP/1.1 204 "));
    assert!(program.answer("POST", "/say", "name=&text=++").starts_with("HTTP/1.1 204 "));
    assert!(program.answer("POST", "/say", "text=x").starts_with("HTTP/1.1 422 "));
    assert!(program.answer("POST", "/clap", "").starts_with("HTTP/1.1 204 "));
    let mut stream = program.send("GET", "/events", "").lines().map(Result::unwrap);
    for line in EVENTS {
        let read: Vec<String> = stream.by_ref().take(100).take_while(|read| read != line).collect();
        assert!(read.len() < 100, "{line} did not come: {read:#?}");
        assert!(!read.iter().any(|line| line.contains("somebody")), "an empty text is nothing");
    }
    let (status, time) = program.terminate();
    assert_eq!(status, Some(0));
    assert!(time < Duration::from_secs(5), "{time:?}");
}
