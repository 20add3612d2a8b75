//! Peers that make a server hold as much as they can: bodies that stop before their end, readers that
//! do not read, connections without end. And a reader that forgets a subscription.

mod child;
mod peers;

pub(crate) use child::child;

use crate::report::{Broken, Report, Size, promise};
use peers::{Counted, HEALTHY, HOSTILE, Healthy, Process, Watch, ask, connect};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

pub(crate) fn run(size: Size, report: &mut Report) -> Result<(), Broken> {
    let limit = size.pick(2 * MIB, 64 * MIB);
    bodies(size, report, limit, true)?;
    frames(size, report, limit, true)?;
    if size == Size::Full {
        bodies(size, report, 1 << 50, false)?;
        frames(size, report, 1 << 50, false)?;
    }
    forgotten(size, report)?;
    open_files(size, report)
}

/// A server that is attacked, and a healthy peer that asks it what it has counted.
struct Attacked {
    process: Process,
    address: SocketAddr,
    healthy: TcpStream,
}

impl Attacked {
    fn start(held: u64, files: u64, connections: u64) -> Result<Self, Broken> {
        let numbers = [held, files, connections].map(|number| number.to_string());
        let [held, files, connections] = &numbers;
        let mut process = Process::start(&["server", held, files, connections])?;
        let address = process.line()?.parse()?;
        let healthy = connect(HEALTHY, address, false)?;
        let mut attacked = Self { process, address, healthy };
        // What it takes once is no part of an attack.
        ask(&mut attacked.healthy, "/", &vec![b'x'; 1 << 20])?;
        Ok(attacked)
    }

    fn counted(&mut self) -> Result<Counted, Broken> {
        Counted::by(&mut self.healthy)
    }
}

/// Connections that each send almost all of a body as large as allowed, and stop.
fn bodies(size: Size, report: &mut Report, limit: u64, is_limited: bool) -> Result<(), Broken> {
    let name = if is_limited { "bodies" } else { "bodies without a limit" };
    let count = size.pick(40, 1_000_u64);
    let length = size.pick(200_000, 1 << 20);
    let mut attacked = Attacked::start(limit, 0, 10_000)?;
    let (before, watch) = (attacked.process.resident(), attacked.process.watch());
    let healthy = Healthy::start(attacked.address, length / 4)?;
    let body = vec![b'x'; length - 1];
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut stream = connect(HOSTILE, attacked.address, false)?;
        // One that had to give way is closed in the middle of it.
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        connections.push(stream);
    }
    let fits = limit / length as u64;
    let sent = (count * length as u64).min(limit);
    let enough = if is_limited { 80 } else { 99 };
    let counted = Counted::until(&mut attacked.healthy, |counted| {
        counted.requests + fits >= count && counted.held * 100 >= sent * enough
    })?;
    sleep(Duration::from_millis(200));
    let times = healthy.times()?;
    report.figure(
        &format!("{name}: connections, and bytes of each"),
        format_args!("{count}, {length}"),
    );
    memory(report, name, before, watch, limit, is_limited)?;
    report.figure(
        &format!("{name}: bytes held, and at most"),
        format_args!("{}, {}", counted.held, counted.most),
    );
    report.figure(&format!("{name}: gave way"), counted.requests);
    latency(report, name, &times)?;
    // The last that had to give way is told, and the last of all has not.
    if is_limited {
        promise(counted.most <= limit, || format!("{} bytes were held", counted.most))?;
        let mut answer = String::new();
        let first = &mut connections[0];
        let _ = first.read_to_string(&mut answer);
        promise(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after"), || {
            format!("one that gave way was told: {answer}")
        })?;
    }
    let began = Instant::now();
    drop(connections);
    Counted::until(&mut attacked.healthy, |counted| counted.held == 0 && counted.open == 1)?;
    report.figure(&format!("{name}: time to recover"), format_args!("{:.1?}", began.elapsed()));
    Ok(())
}

/// Readers that do not read, each of which holds the rest of another event.
fn frames(size: Size, report: &mut Report, limit: u64, is_limited: bool) -> Result<(), Broken> {
    let name = if is_limited { "events" } else { "events without a limit" };
    let count = size.pick(12, 300_u64);
    let length = size.pick(1 << 20, 4_000_000);
    let mut attacked = Attacked::start(limit, 0, 10_000)?;
    let (before, watch) = (attacked.process.resident(), attacked.process.watch());
    let mut publisher = connect(HEALTHY, attacked.address, false)?;
    let healthy = Healthy::start(attacked.address, 1_000)?;
    let mut reader = Reader::start(attacked.address)?;
    let (mut connections, mut slowest) = (Vec::new(), Duration::ZERO);
    for number in 1..=count {
        connections.push(subscribe(attacked.address, HOSTILE, true)?);
        let wait = |counted: &Counted| counted.streams * length + counted.held >= number * length;
        // The system takes some of it before the server has to hold the rest.
        for round in 0.. {
            promise(round < 100, || "the readers take all there is".to_owned())?;
            let began = Instant::now();
            let (status, text) = ask(&mut publisher, &format!("/publish?{length}"), b"")?;
            promise(status == 200, || format!("a publish was answered {status}: {text}"))?;
            reader.has_next(length)?;
            slowest = slowest.max(began.elapsed());
            sleep(Duration::from_millis(2));
            if wait(&attacked.counted()?) {
                break;
            }
            sleep(Duration::from_millis(20));
            if wait(&attacked.counted()?) {
                break;
            }
        }
    }
    let counted = attacked.counted()?;
    let times = healthy.times()?;
    report.figure(
        &format!("{name}: readers, and bytes of each event"),
        format_args!("{count}, {length}"),
    );
    memory(report, name, before, watch, limit, is_limited)?;
    report.figure(
        &format!("{name}: bytes held, at most, and in the log"),
        format_args!("{}, {}, {}", counted.held, counted.most, counted.retained),
    );
    report.figure(&format!("{name}: gave way"), counted.streams);
    let text = format!("{}, {slowest:.1?}", reader.events);
    report.figure(&format!("{name}: a healthy reader: events, slowest"), text);
    latency(report, name, &times)?;
    if is_limited {
        promise(counted.most <= limit, || format!("{} bytes were held", counted.most))?;
        let stay = limit / length + 1;
        promise(counted.streams + stay >= count, || format!("{} gave way", counted.streams))?;
        let mut all = Vec::new();
        let ended = connections[0].read_to_end(&mut all);
        promise(ended.is_err() || !all.ends_with(b"0\r\n\r\n"), || {
            "a stream that gave way ended in good order".to_owned()
        })?;
    }
    let began = Instant::now();
    drop(connections);
    Counted::until(&mut attacked.healthy, |counted| counted.held == 0)?;
    report.figure(&format!("{name}: time to recover"), format_args!("{:.1?}", began.elapsed()));
    Ok(())
}

/// A healthy reader of a stream.
struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    events: u64,
}

impl Reader {
    fn start(server: SocketAddr) -> Result<Self, Broken> {
        let stream = subscribe(server, HEALTHY, false)?;
        Ok(Self { stream, buffer: vec![0; 1 << 20], events: 0 })
    }

    /// Reads until it has the next event, of so many bytes.
    fn has_next(&mut self, length: u64) -> Result<(), Broken> {
        let mut letters = 0;
        while letters < length {
            let read = self.stream.read(&mut self.buffer)?;
            promise(read > 0, || "the stream of a healthy reader ended".to_owned())?;
            // Only the data has this letter.
            letters += self.buffer[..read].iter().map(|byte| u64::from(*byte == b'x')).sum::<u64>();
        }
        self.events += 1;
        Ok(())
    }
}

/// Opens a stream, and reads the head of the answer.
fn subscribe(
    server: SocketAddr,
    from: std::net::Ipv4Addr,
    narrow: bool,
) -> Result<TcpStream, Broken> {
    let mut stream = connect(from, server, narrow)?;
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    promise(head.starts_with(b"HTTP/1.1 200 "), || String::from_utf8_lossy(&head).into_owned())?;
    Ok(stream)
}

fn memory(
    report: &mut Report,
    name: &str,
    before: u64,
    watch: Watch,
    limit: u64,
    is_limited: bool,
) -> Result<(), Broken> {
    let most = watch.most();
    let figure = format_args!("{} MiB, {} MiB", before / MIB, most / MIB).to_string();
    report.figure(&format!("{name}: resident memory before, and at most"), figure);
    // What allocators keep of what grew, and what the connections themselves take.
    let bound = before + limit + limit / 2 + 64 * MIB;
    promise(!is_limited || most <= bound, || format!("{most} bytes were resident, of {bound}"))
}

fn latency(report: &mut Report, name: &str, times: &[Duration]) -> Result<(), Broken> {
    let (Some(last), middle) = (times.last(), times.get(times.len() / 2)) else {
        return promise(false, || "a healthy peer got no answer".to_owned());
    };
    let middle = middle.copied().unwrap_or_default();
    let text = format!("{}, {middle:.1?}, {last:.1?}", times.len());
    report.figure(&format!("{name}: a healthy peer: answers, median, slowest"), text);
    Ok(())
}

/// A feed with a subscription that is never read.
fn forgotten(size: Size, report: &mut Report) -> Result<(), Broken> {
    let count = size.pick(200, 4_000_u64);
    let length = 64 << 10;
    let mut attacked = Attacked::start(0, 0, 0)?;
    let url = format!("http://{}/events", attacked.address);
    let mut reader = Process::start(&["reader", &url, &count.to_string()])?;
    promise(reader.line()? == "open", || "the reader is not open".to_owned())?;
    let (before, watch) = (reader.resident(), reader.watch());
    for number in 0..count {
        ask(&mut attacked.healthy, &format!("/publish?{length}"), b"")?;
        // No faster than is read, so that none is lost on the way.
        if number % 16 == 0 {
            sleep(Duration::from_millis(size.pick(20, 5)));
        }
    }
    promise(reader.line()? == "read", || "the reader has not read".to_owned())?;
    let most = watch.most();
    reader.end_input();
    let kept = reader.line()?;
    let numbers: Vec<u64> = kept.split(' ').filter_map(|number| number.parse().ok()).collect();
    let [messages, bytes, lost] = numbers[..] else {
        return promise(false, || format!("the reader says: {kept}"));
    };
    report.figure("a feed: bytes published", count * length);
    report.figure(
        "a feed: resident memory before, and at most",
        format_args!("{} MiB, {} MiB", before / MIB, most / MIB),
    );
    report.figure(
        "a feed: messages kept for who did not read, and bytes",
        format_args!("{messages}, {bytes}"),
    );
    report.figure("a feed: messages that it was told are lost", lost);
    promise(bytes <= 4 * MIB && messages + lost == count, || kept)?;
    promise(most <= before + 48 * MIB, || format!("{most} bytes were resident"))
}

/// More connections than there are files.
fn open_files(size: Size, report: &mut Report) -> Result<(), Broken> {
    let files = size.pick(100, 1_000_u64);
    for (name, connections) in [("files", 10_000), ("files, as it is set by default", 0)] {
        let mut attacked = Attacked::start(0, files, connections)?;
        let mut idle = Vec::new();
        for _ in 0..files + 50 {
            idle.push(connect(HOSTILE, attacked.address, false)?);
        }
        let counted = Counted::until(&mut attacked.healthy, |counted| {
            counted.accept_errors + counted.refused >= 2
        })?;
        let healthy = Healthy::start_on(attacked.healthy.try_clone()?, 1_000);
        sleep(Duration::from_millis(300));
        latency(report, name, &healthy.times()?)?;
        report.figure(
            &format!("{name}: the process may have, and connections"),
            format_args!("{files}, {}", counted.max_connections),
        );
        let counted = attacked.counted()?;
        report.figure(
            &format!("{name}: errors of accept, and refusals"),
            format_args!("{}, {}", counted.accept_errors, counted.refused),
        );
        promise(connections > 0 || counted.accept_errors == 0, || {
            "the default let the files run out".to_owned()
        })?;
        promise(counted.accept_errors < 200, || format!("it spins: {}", counted.accept_errors))?;
        let began = Instant::now();
        drop(idle);
        let (status, _) = ask(&mut connect(HEALTHY, attacked.address, false)?, "/", b"")?;
        report.figure(
            &format!("{name}: time until a newcomer is answered"),
            format_args!("{:.1?}", began.elapsed()),
        );
        promise(status == 200, || format!("a newcomer was answered {status}"))?;
    }
    Ok(())
}
