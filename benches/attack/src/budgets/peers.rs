//! The peers of an attacked server, and the processes that are attacked.

use super::child::MARK;
use crate::report::{Broken, promise};
use socket2::{Domain, Socket, Type};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Where those come from who attack, and who do not.
pub(super) const HOSTILE: Ipv4Addr = Ipv4Addr::LOCALHOST;
pub(super) const HEALTHY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is attacked. It ends with this.
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    pub(super) fn start(arguments: &[&str]) -> Result<Self, Broken> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(MARK).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or(std::fmt::Error)?;
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    pub(super) fn line(&mut self) -> Result<String, Broken> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    /// Ends its input.
    pub(super) fn end_input(&mut self) {
        self.input = None;
    }

    /// Returns how many bytes of it are in memory.
    pub(super) fn resident(&self) -> u64 {
        resident(self.child.id())
    }

    /// Looks at its memory until this is asked for the most that there was.
    pub(super) fn watch(&self) -> Watch {
        let (id, most, over) =
            (self.child.id(), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (seen, ends) = (most.clone(), over.clone());
        let thread = spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                seen.fetch_max(resident(id), Ordering::Relaxed);
                sleep(Duration::from_millis(10));
            }
        });
        Watch { most, over, thread: Some(thread) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be over already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resident(process: u32) -> u64 {
    let process = Pid::from_u32(process);
    let mut system = System::new();
    let what = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[process]), false, what);
    system.process(process).map_or(0, sysinfo::Process::memory)
}

pub(super) struct Watch {
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn most(mut self) -> u64 {
        self.end();
        self.most.load(Ordering::Relaxed)
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// Connects from an address; `narrow` with a system that takes little before it has been read.
pub(super) fn connect(from: Ipv4Addr, to: SocketAddr, narrow: bool) -> Result<TcpStream, Broken> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    if narrow {
        socket.set_recv_buffer_size(4 << 10)?;
    }
    socket.connect(&to.into())?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Asks for something with a body, on a connection that stays, and returns the status and the body.
pub(super) fn ask(
    stream: &mut TcpStream,
    path: &str,
    body: &[u8],
) -> Result<(u16, String), Broken> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).unwrap_or("0");
            let length = length.split("\r\n").next().unwrap_or("0").parse().unwrap_or(0);
            if body.len() >= length {
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return Ok((status.unwrap_or(0), body.to_owned()));
            }
        }
        let read = stream.read(&mut buffer)?;
        promise(read > 0, || format!("no whole answer: {}", String::from_utf8_lossy(&answer)))?;
        answer.extend_from_slice(&buffer[..read]);
    }
}

/// What the server has counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) held: u64,
    pub(super) most: u64,
    pub(super) requests: u64,
    pub(super) streams: u64,
    pub(super) accept_errors: u64,
    pub(super) refused: u64,
    pub(super) max_connections: u64,
    pub(super) open: u64,
    pub(super) retained: u64,
}

impl Counted {
    pub(super) fn by(stream: &mut TcpStream) -> Result<Self, Broken> {
        let (_, text) = ask(stream, "/counted", b"")?;
        let numbers: Vec<u64> = text.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [
            held,
            most,
            requests,
            streams,
            accept_errors,
            refused,
            max_connections,
            open,
            retained,
        ] = numbers[..]
        else {
            promise(false, || format!("no counters: {text}"))?;
            return Err(std::fmt::Error.into());
        };
        Ok(Self {
            held,
            most,
            requests,
            streams,
            accept_errors,
            refused,
            max_connections,
            open,
            retained,
        })
    }

    /// Waits until it is as wanted.
    pub(super) fn until(
        stream: &mut TcpStream,
        wanted: impl Fn(&Self) -> bool,
    ) -> Result<Self, Broken> {
        let began = Instant::now();
        loop {
            let counted = Self::by(stream)?;
            if wanted(&counted) {
                return Ok(counted);
            }
            promise(began.elapsed() < PATIENCE, || {
                format!("what must come does not: {counted:?}")
            })?;
            sleep(Duration::from_millis(5));
        }
    }
}

/// A peer that asks again and again beside an attack, with a body that counts.
pub(super) struct Healthy {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Duration>, Broken>>,
}

impl Healthy {
    pub(super) fn start(server: SocketAddr, body: usize) -> Result<Self, Broken> {
        Ok(Self::start_on(connect(HEALTHY, server, false)?, body))
    }

    pub(super) fn start_on(mut stream: TcpStream, body: usize) -> Self {
        let over = Arc::<AtomicBool>::default();
        let ends = over.clone();
        let thread = spawn(move || {
            let (mut times, body) = (Vec::new(), vec![b'h'; body]);
            while !ends.load(Ordering::Relaxed) {
                let began = Instant::now();
                let (status, _) = ask(&mut stream, "/", &body)?;
                promise(status == 200, || format!("a healthy peer was answered {status}"))?;
                times.push(began.elapsed());
                sleep(Duration::from_millis(10));
            }
            times.sort_unstable();
            Ok(times)
        });
        Self { over, thread }
    }

    /// Returns how long its answers took, the longest last.
    pub(super) fn times(self) -> Result<Vec<Duration>, Broken> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| Err(std::fmt::Error.into()))
    }
}
