//! The `llm` example as processes: an answer that is whole is told from one that is not.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// `target/<profile>/llm`, seen from `target/<profile>/deps/<this test>`.
fn program() -> Command {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(std::path::Path::parent).expect("it is in deps");
    let program: PathBuf = profile.join(format!("llm{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.exists(),
        "{} is missing: build it with `cargo build -p llm` (and the profile of this test)",
        program.display()
    );
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("LLM_MODEL").env_remove("LLM_API_KEY");
    command
}

/// A process that does not outlive its test.
struct Process(Child);

impl Process {
    fn start(arguments: &[&str]) -> Self {
        Self(program().args(arguments).spawn().expect("it starts"))
    }

    fn kill(&mut self) {
        self.0.kill().expect("it is our child");
        self.0.wait().expect("it is our child");
    }

    /// Its exit code, and what it wrote after what was read already.
    fn end(mut self) -> (Option<i32>, String, String) {
        let reader = |pipe: Option<Box<dyn Read + Send>>| {
            thread::spawn(move || {
                let mut text = String::new();
                if let Some(mut pipe) = pipe {
                    pipe.read_to_string(&mut text).expect("it writes UTF-8");
                }
                text
            })
        };
        let stdout = reader(self.0.stdout.take().map(|pipe| Box::new(pipe) as _));
        let stderr = reader(self.0.stderr.take().map(|pipe| Box::new(pipe) as _));
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.0.try_wait().expect("it is our child") {
                break status;
            }
            assert!(Instant::now() < deadline, "it still runs after {PATIENCE:?}");
            thread::sleep(Duration::from_millis(10));
        };
        let text = |thread: thread::JoinHandle<String>| thread.join().expect("it was read");
        (status.code(), text(stdout), text(stderr))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server with these options, and the URL that it says.
fn server(options: &[&str]) -> (Process, String) {
    let mut process = Process::start(&[&["serve", "--addr", "127.0.0.1:0"], options].concat());
    let stdout = process.0.stdout.take().expect("it is piped");
    let (sender, urls) = mpsc::channel();
    // Reads to the end, so that the program never waits for room in the pipe.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender
                .send(line.split_whitespace().find(|word| word.contains("://")).map(str::to_owned));
        }
    });
    let url = urls.recv_timeout(PATIENCE).expect("it says where it serves");
    (process, url.expect("the first line has the URL"))
}

#[test]
fn a_whole_answer_is_a_success() {
    let (_server, url) = server(&["--pause", "1"]);
    let (code, stdout, stderr) = Process::start(&["ask", &url, "Is it", "all?"]).end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("You ask: Is it all?\n"), "{stdout}");
    assert!(stdout.ends_with("the last sentence sounded.\n"), "{stdout}");
    assert!(stderr.starts_with("(finished: "), "{stderr}");
    assert!(!stdout.contains("data:") && !stdout.contains("content"), "{stdout}");
}

#[test]
fn an_answer_that_the_server_cuts_off_is_none() {
    let (_server, url) = server(&["--pause", "1", "--cut-after", "4"]);
    let (code, stdout, stderr) = Process::start(&["ask", &url, "Is it all?"]).end();
    assert_eq!(code, Some(2), "{stderr}");
    assert_eq!(stdout, "You ask: Is it \n");
    assert!(stderr.starts_with("(cut off after 4 pieces"), "{stderr}");
}

#[test]
fn pieces_are_printed_as_they_come_and_a_server_that_dies_has_not_finished() {
    let (mut server, url) = server(&["--pause", "300"]);
    let mut asker = Process::start(&["ask", &url, "Is it all?"]);
    let mut first = [0; 4];
    let stdout = asker.0.stdout.as_mut().expect("it is piped");
    stdout.read_exact(&mut first).expect("the first piece comes");
    assert_eq!(&first, b"You ");
    server.kill();
    let (code, stdout, stderr) = asker.end();
    assert_eq!(code, Some(2), "{stdout} {stderr}");
    assert!(!stdout.contains("sounded"), "{stdout}");
    assert!(stderr.starts_with("(cut off after "), "{stderr}");
}

#[test]
fn an_answer_of_ten_thousand_pieces_is_whole() {
    let (_server, url) = server(&["--pause", "0", "--pieces", "10000"]);
    let (code, stdout, stderr) = Process::start(&["ask", &url, "Is it all?"]).end();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stderr, "(finished: 10000 pieces)\n");
    let repeated = stdout.matches("You ask: Is it all?\n").count();
    assert!(repeated > 100 && stdout.len() > 40_000, "{repeated} times, {} bytes", stdout.len());
}

#[test]
fn a_failure_of_the_model_is_told() {
    let (_server, url) = server(&["--pause", "0", "--fail-after", "4"]);
    let (code, stdout, stderr) = Process::start(&["ask", &url, "Is it all?"]).end();
    assert_eq!((code, &stdout[..]), (Some(1), "You ask: Is it "), "{stderr}");
    assert!(stderr.contains("The model is overloaded."), "{stderr}");
}

const QUESTION: &str =
    r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Is it all?"}]}"#;

/// What `curl` writes, as it comes, and its exit code.
fn curl(url: &str, options: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("curl")
        .args(["-sSN", "-m", "60", "-H", "content-type: application/json", "-d", QUESTION])
        .args(options)
        .arg(url)
        .output()
        .expect("curl runs");
    (output.status.code(), String::from_utf8(output.stdout).expect("it is UTF-8"))
}

#[test]
#[ignore = "needs curl"]
fn curl_gets_ten_thousand_pieces_at_once_or_slowly() {
    let (_server, url) = server(&["--pause", "0", "--pieces", "10000"]);
    for options in [&[][..], &["--limit-rate", "400k"]] {
        let (code, answer) = curl(&url, options);
        assert_eq!(code, Some(0));
        let pieces = answer.lines().filter(|line| line.contains(r#""content":"#)).count();
        assert_eq!(pieces, 10_000);
        assert!(answer.ends_with("data: [DONE]\n\n"));
    }
}

/// 18: a part of the answer is missing.
#[test]
#[ignore = "needs curl"]
fn curl_is_told_of_a_failure_and_that_the_answer_is_not_whole() {
    let (_server, url) = server(&["--pause", "0", "--fail-after", "4"]);
    let (code, answer) = curl(&url, &[]);
    assert_eq!(code, Some(18), "{answer}");
    let last = answer.trim_end().lines().last().unwrap_or_default();
    let error = r#"data: {"error":{"message":"The model is overloaded.","type":"server_error"}}"#;
    assert_eq!(last, error);
}

/// The most memory that a process ever had, in KiB.
#[cfg(target_os = "linux")]
fn most_memory(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id()));
    let status = status.expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux says it");
    line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number")
}

/// The answer would have 2 GB, and is made far faster than this reads.
#[test]
#[cfg(target_os = "linux")]
fn a_slow_reader_costs_no_memory() {
    let (server, url) = server(&["--pause", "0", "--pieces", "10000000"]);
    let address = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).expect("one");
    let mut reader = std::net::TcpStream::connect(address).expect("it listens");
    let length = QUESTION.len();
    let path = url.split_once(address).expect("it is in there").1;
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    std::io::Write::write_all(&mut reader, (head + QUESTION).as_bytes()).expect("it is read");
    let mut buffer = vec![0; 64 << 10];
    let mut read = |least: usize, pause: u64| {
        let mut received = 0;
        while received < least {
            let length = reader.read(&mut buffer).expect("it goes on");
            assert_ne!(length, 0, "it goes on");
            received += length;
            thread::sleep(Duration::from_millis(pause));
        }
    };
    read(1 << 20, 0);
    let before = most_memory(&server);
    read(10 << 20, 5);
    let growth = most_memory(&server) - before;
    assert!(growth < 16 << 10, "{growth} KiB more");
}

#[test]
fn what_the_server_says_about_a_bad_request_is_shown() {
    let (_server, url) = server(&[]);
    let (code, stdout, stderr) = Process::start(&["ask", &url, " "]).end();
    assert_eq!((code, &stdout[..]), (Some(1), ""));
    let expected = "the server answered 400 Bad Request: There is no question in \"messages\".\n";
    assert_eq!(stderr, expected);
}

#[test]
fn without_arguments_it_shows_both_endings() {
    let (code, stdout, stderr) = Process::start(&[]).end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("finishes its answer") && stdout.contains("cut off"), "{stdout}");
    let endings: Vec<&str> = stderr.lines().collect();
    assert!(endings.len() == 2, "{stderr}");
    assert!(endings[0].starts_with("(finished: ") && endings[1].starts_with("(cut off after 17"));
}
