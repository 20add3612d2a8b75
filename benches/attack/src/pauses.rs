//! A process that is stopped and goes on: what its peers did meanwhile it does not know yet, and it
//! must not take that for their silence.

mod child;

pub(crate) use child::child;

use crate::report::{Broken, Report, Size, promise};
use child::{MARK, PLATFORMS};
use rustix::process::{Pid, Signal, kill_process};
use sansse::broker::{Audience, BrokerConfig, SessionConfig};
use sansse::hub::HubBuilder;
use sansse::{Event, Hub};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long it may take until what was stopped has caught up.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(size: Size, report: &mut Report) -> Result<(), Broken> {
    let times = size.pick(1, 2);
    let stops: &[(usize, u64, u64)] = size.pick(&[(40, 1, 2)], &[(1_000, 60, 70), (2_000, 10, 20)]);
    for platform in PLATFORMS {
        for &(readers, stall, stop) in stops {
            println!("  a server on {platform}, {readers} readers, stall timeout {stall} s:");
            let (stall, stop) = (Duration::from_secs(stall), Duration::from_secs(stop));
            stop_server(platform, readers, stall, (times, stop), report)?;
        }
        println!("  a reader on {platform}:");
        let stop = Duration::from_secs(size.pick(2, 20));
        stop_reader(platform, Duration::from_secs(1), (times, stop), report)?;
    }
    Ok(())
}

/// Stops a server in the middle of a burst, several times.
fn stop_server(
    platform: &str,
    count: usize,
    stall: Duration,
    (times, stop): (usize, Duration),
    report: &mut Report,
) -> Result<(), Broken> {
    const EVENTS: usize = 2_000;
    let server = Process::start(&["server", platform, &stall.as_secs().to_string()])?;
    let (mut orders, mut says) = server.pipes()?;
    let address = next_line(&mut says)?;
    let (got, gaps, ends) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let is_over = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| -> Result<(), Broken> {
        let (got, gaps, ends, is_over) = (&got, &gaps, &ends, &is_over);
        let mut sockets = Vec::new();
        for _ in 0..count {
            let mut socket = TcpStream::connect(&address)?;
            write!(socket, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
            sockets.push(socket.try_clone()?);
            std::thread::Builder::new().stack_size(64 << 10).spawn_scoped(scope, move || {
                read_all(socket, got, gaps);
                if !is_over.load(Ordering::SeqCst) {
                    ends.fetch_add(1, Ordering::SeqCst);
                }
            })?;
        }
        let result = (|| -> Result<(), Broken> {
            wait_for(|| gaps.load(Ordering::SeqCst) == count, "every reader is told its place")?;
            for _ in 0..times {
                let before = got.load(Ordering::SeqCst);
                writeln!(orders, "{EVENTS}")?;
                // In the middle of it.
                wait_for(|| got.load(Ordering::SeqCst) > before, "the burst begins")?;
                server.signal(Signal::STOP)?;
                std::thread::sleep(stop);
                server.signal(Signal::CONT)?;
                let all = before + EVENTS * count;
                wait_for(
                    || got.load(Ordering::SeqCst) == all || ends.load(Ordering::SeqCst) > 0,
                    "every reader has every event",
                )?;
            }
            Ok(())
        })();
        is_over.store(true, Ordering::SeqCst);
        for socket in sockets {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
        result
    });
    writeln!(orders, "count")?;
    let stalled = next_line(&mut says)?;
    let (got, told) = (got.load(Ordering::SeqCst), gaps.load(Ordering::SeqCst));
    let ends = ends.load(Ordering::SeqCst);
    report.figure(&format!("  sessions that ended over {times} stops of {stop:?}"), ends);
    report.figure("  sessions that the server called stalled", &stalled);
    report.figure("  notices beside the first of each", told.saturating_sub(count));
    report.figure("  events that came", format_args!("{got} of {}", EVENTS * count * times));
    outcome?;
    promise(stalled == "0" && ends == 0, || "a pause was taken for the peers' silence".into())?;
    promise(told == count, || "readers were told of gaps".into())
}

/// Reads until the end, and counts events and notices.
fn read_all(socket: TcpStream, got: &AtomicUsize, notices: &AtomicUsize) {
    for line in BufReader::with_capacity(16 << 10, socket).lines() {
        let Ok(line) = line else { return };
        if line.starts_with("data: x") {
            got.fetch_add(1, Ordering::SeqCst);
        } else if line == "event: sansse-notice" {
            notices.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Stops a reader for longer than its server may be silent, while the server is not.
fn stop_reader(
    platform: &str,
    idle: Duration,
    (times, stop): (usize, Duration),
    report: &mut Report,
) -> Result<(), Broken> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (hub, address) = runtime.block_on(serve())?;
    let reader = Process::start(&["reader", platform, &address, &idle.as_secs().to_string()])?;
    let (_orders, mut says) = reader.pipes()?;
    let tell = |text: String| hub.publish(Audience::Everyone, &Event::new(text));
    promise(next_line(&mut says)? == "open", || "no stream came".into())?;
    for round in 0..times {
        reader.signal(Signal::STOP)?;
        std::thread::sleep(stop / 2);
        tell(format!("while stopped {round}"))?;
        std::thread::sleep(stop / 2);
        reader.signal(Signal::CONT)?;
        for said in [format!("while stopped {round}"), format!("afterwards {round}")] {
            if said.starts_with("afterwards") {
                tell(said.clone())?;
            }
            let line = next_line(&mut says)?;
            promise(line == said, || format!("the reader said {line:?} where {said:?} came"))?;
        }
    }
    report.figure(&format!("  connections given up over {times} stops of {stop:?}"), 0);
    Ok(())
}

/// A server in this process, whose heartbeats come well within what a reader waits for.
async fn serve() -> Result<(Hub, String), Broken> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let mut config = BrokerConfig::new(sansse_tokio::random_epoch());
    config.session.heartbeat = Some(Duration::from_millis(200));
    let hub = sansse_tokio::spawn_hub(HubBuilder::new(config))?;
    let streams = hub.clone();
    tokio::spawn(sansse_tokio::serve(listener, hub.clone(), move |request| {
        let answer = streams.accept(&request, SessionConfig::new());
        async { answer }
    }));
    Ok((hub, address))
}

fn next_line(says: &mut impl BufRead) -> Result<String, Broken> {
    let mut line = String::new();
    says.read_line(&mut line)?;
    promise(!line.is_empty(), || "the process is gone".into())?;
    Ok(line.trim_end().to_owned())
}

fn wait_for(mut holds: impl FnMut() -> bool, what: &str) -> Result<(), Broken> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        promise(Instant::now() < deadline, || format!("not within {PATIENCE:?}: {what}"))?;
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A process of this program, which ends with this value.
struct Process(std::cell::RefCell<Child>);

impl Process {
    fn start(arguments: &[&str]) -> Result<Self, Broken> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(MARK).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(command.spawn()?.into()))
    }

    fn pipes(&self) -> Result<(ChildStdin, BufReader<ChildStdout>), Broken> {
        let mut child = self.0.borrow_mut();
        let pipes = child.stdin.take().zip(child.stdout.take());
        promise(pipes.is_some(), || "the pipes are taken".into())?;
        let (orders, says) = pipes.into_iter().next().ok_or(std::io::Error::other("no pipes"))?;
        Ok((orders, BufReader::new(says)))
    }

    fn signal(&self, signal: Signal) -> Result<(), Broken> {
        let id = i32::try_from(self.0.borrow().id())?;
        let id = Pid::from_raw(id).ok_or(std::io::Error::other("no process has the id 0"))?;
        Ok(kill_process(id, signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let child = self.0.get_mut();
        // It may be gone already.
        let _ = child.kill();
        let _ = child.wait();
        if let Some(mut rest) = child.stdout.take() {
            let _ = rest.read_to_end(&mut Vec::new());
        }
    }
}
