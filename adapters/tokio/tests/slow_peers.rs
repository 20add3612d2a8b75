//! Peers that read slowly, or not at all: what they get, and that nobody else notices.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

mod common;

use common::{Client, LAST_CHUNK, OPENING, PATIENCE, Running, child, config, dechunk, request};
use common::{Server, start_accepting, start_on, until};
use sansse::broker::{Audience, BrokerConfig, BrokerEvent, EndReason, LagPolicy};
use sansse::{Event, EventId, Frame};
use sansse_tokio::TokioAcceptor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{sleep, timeout};

/// A listener whose connections hold little in the system, so that a peer which does not read is
/// felt soon.
fn narrow_listener() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(1024).unwrap()
}

fn start_narrow(config: BrokerConfig, set: impl FnOnce(Server) -> Server) -> Running {
    start_on(narrow_listener(), config, set)
}

/// A client that has asked for the stream and will not read it for now.
async fn stalled(server: &Running) -> Client {
    let streams = server.counters.snapshot().streams;
    let mut client = server.connect_narrow().await;
    client.send(request("/events")).await;
    server.counted(|counted| counted.streams == streams + 1).await;
    client
}

fn publish(server: &Running, size: usize) -> Frame {
    let event = Event::new("x".repeat(size));
    server.hub.publish(Audience::Everyone, &event).unwrap().frame().clone()
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_closed_as_stalled_and_others_notice_nothing() {
    let mut config = config();
    config.session.stall_timeout = Some(Duration::from_millis(300));
    let server = start_narrow(config, |server| server);
    let mut well = server.subscribe().await;
    let mut silent = stalled(&server).await;
    while server.ends().is_empty() {
        let frame = publish(&server, 10_000);
        well.expect(frame.chunk()).await;
    }
    assert_eq!(server.ends(), [EndReason::Stalled]);
    server.counted(|counted| counted.open == 1).await;
    let body = silent.read_to_end().await;
    assert!(!body.ends_with(LAST_CHUNK), "it is cut off");
    well.expect(publish(&server, 10).chunk()).await;
}

/// A stalled client that is then more than the log behind, and reads on.
async fn left_behind(policy: LagPolicy) -> (Running, Client) {
    let mut config = config();
    config.retention.events = 10.try_into().unwrap();
    config.session.lag = policy.into();
    let server = start_narrow(config, |server| server);
    let mut well = server.subscribe().await;
    let mut client = stalled(&server).await;
    for _ in 0..100 {
        well.expect(publish(&server, 10_000).chunk()).await;
    }
    drop(well);
    server.counted(|counted| counted.open == 1).await;
    client.read_stream_head().await;
    client.expect(OPENING).await;
    (server, client)
}

/// The positions of the events of a stream.
fn positions(stream: &str) -> Vec<u64> {
    let ids = stream.lines().filter_map(|line| line.strip_prefix("id: beef-"));
    ids.map(|position| position.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_peer_that_is_left_behind_is_cut_off_if_that_is_the_policy() {
    let (server, mut client) = left_behind(LagPolicy::Close).await;
    let (stream, is_whole) = dechunk(&client.read_to_end().await);
    assert!(!is_whole, "it is to come back with the last id that it has");
    let received = positions(&stream);
    let last = received.len() as u64;
    assert!(received.iter().copied().eq(1..=last) && last < 90, "{received:?}");
    // What is kept begins at 91.
    server.ended(&[EndReason::Disconnected, EndReason::Lagged { lost: 90 - last }]).await;
}

#[tokio::test]
async fn a_peer_that_is_left_behind_skips_if_that_is_the_policy() {
    for (policy, next) in [(LagPolicy::SkipToOldest, 91), (LagPolicy::SkipToNewest, 101)] {
        let (server, mut client) = left_behind(policy).await;
        let skipped = |event: &BrokerEvent| match event {
            BrokerEvent::SessionSkipped { lost, .. } => Some(*lost),
            _ => None,
        };
        let mut stream = String::new();
        // It reads what its socket held, and then is asked to wait for more.
        while positions(&stream).last().is_none_or(|last| *last < 101) {
            stream += &client.read_through("\n\n\r\n").await;
            let skips = server.events().iter().any(|event| skipped(event).is_some());
            if skips && server.hub.counters().sessions == 1 && !stream.contains("data: end") {
                let published = server.hub.publish(Audience::Everyone, &Event::new("end"));
                if published.unwrap().position() > 101 {
                    break;
                }
            }
        }
        let received = positions(&stream);
        let before = received.iter().copied().take_while(|position| *position < next).count();
        let expected = (1..=before as u64).chain(next..).take(received.len());
        assert!(received.iter().copied().eq(expected), "{received:?}");
        let lost: Vec<u64> = server.events().iter().filter_map(skipped).collect();
        assert_eq!(lost, [next - 1 - before as u64], "{policy:?}");
    }
}

/// A peer that takes something, however slowly, has not stalled: many events, or some bytes of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_reads_slowly_but_steadily_is_not_closed() {
    for size in [10_000, 1_000_000] {
        let mut config = config();
        config.session.stall_timeout = Some(Duration::from_millis(500));
        let server = start_narrow(config, |server| server);
        let mut client = stalled(&server).await;
        let mut expected = Vec::new();
        for _ in 0..1_000_000 / size {
            expected.extend_from_slice(publish(&server, size).chunk());
        }
        client.read_stream_head().await;
        client.expect(OPENING).await;
        for part in expected.chunks(expected.len() / 30 + 1) {
            sleep(Duration::from_millis(50)).await;
            client.expect(part).await;
        }
        assert_eq!(server.ends(), [], "with events of {size} bytes");
    }
}

/// The last write of a stream often leaves hardly any room for its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_the_last_chunk_too() {
    for round in 0..60 {
        let server = start_narrow(config(), |server| server);
        let mut client = stalled(&server).await;
        for _ in 0..10 {
            publish(&server, 8_000 + round * 137);
        }
        assert!(server.hub.close_session(server.sessions()[0]));
        client.read_stream_head().await;
        client.expect(OPENING).await;
        for _ in 0..10 {
            client.read_through("\n\n\r\n").await;
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(client.read_to_end().await, LAST_CHUNK, "round {round}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_peer_whose_window_stays_shut_is_given_up_after_the_unacknowledged_time() {
    let mut config = config();
    config.session.stall_timeout = None;
    let listener = narrow_listener();
    let address = listener.local_addr().unwrap();
    let acceptor =
        TokioAcceptor::new(listener).with_unacknowledged_time(Some(Duration::from_millis(500)));
    let server = start_accepting(acceptor, address, config, |server| server);
    let _silent = stalled(&server).await;
    for _ in 0..20 {
        publish(&server, 100_000);
    }
    server.ended(&[EndReason::Disconnected]).await;
}

/// How much memory this process has, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

const SESSIONS: u64 = 1_000;
const SILENT: u64 = 10;
const READING: u64 = SESSIONS - SILENT;
const EVENTS: u64 = 10_000;
/// How many are published before the readers are waited for.
const BURST: u64 = 500;
const KEPT: usize = 1_000;

/// Reads a stream and compares it with what it must be, in memory that does not grow.
async fn read_all(mut client: Client, expected: Arc<Vec<u8>>, received: Arc<AtomicU64>) {
    client.read_stream_head().await;
    client.expect(OPENING).await;
    assert!(client.is_read());
    let mut buffer = vec![0; 8 << 10];
    let mut taken = 0;
    while taken < expected.len() {
        let read = tokio::io::AsyncReadExt::read(&mut client.socket, &mut buffer);
        let length = timeout(PATIENCE * 3, read).await.expect("events come").unwrap();
        assert!(length > 0 && expected[taken..].starts_with(&buffer[..length]), "at {taken}");
        taken += length;
        received.fetch_add(length as u64, Ordering::Relaxed);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn among_1000_sessions_10_that_never_read_cost_the_others_nothing_and_no_memory() {
    const NAME: &str =
        "among_1000_sessions_10_that_never_read_cost_the_others_nothing_and_no_memory";
    if child::is_parent(NAME, 4096) {
        return;
    }
    let began = std::time::Instant::now();
    let mut config = config();
    config.retention.events = KEPT.try_into().unwrap();
    config.session.heartbeat = None;
    let server = start_narrow(config, |server| server);
    let event = |number: u64| Event::new(format!("{number} {}", "x".repeat(100)));
    let mut expected = Vec::new();
    let mut ends = Vec::new();
    for number in 1..=EVENTS {
        let id = EventId::new(format!("beef-{number}")).unwrap();
        expected.extend_from_slice(Frame::with_id(&event(number), Some(&id)).chunk());
        ends.push(expected.len() as u64);
    }
    let (expected, received) = (Arc::new(expected), Arc::new(AtomicU64::new(0)));
    let mut silent = Vec::new();
    let mut readers = Vec::new();
    for _ in 0..SILENT {
        silent.push(stalled(&server).await);
    }
    for _ in 0..READING {
        let client = server.get("/events").await;
        readers.push(tokio::spawn(read_all(client, expected.clone(), received.clone())));
    }
    let sessions = || server.hub.counters().sessions;
    until(|| sessions() == SESSIONS, || format!("{} sessions", sessions())).await;

    let mut halfway = 0;
    for number in 1..=EVENTS {
        server.hub.publish(Audience::Everyone, &event(number)).unwrap();
        if number % BURST == 0 {
            let wanted = READING * ends[usize::try_from(number).unwrap() - 1];
            let so_far = || received.load(Ordering::Relaxed);
            until(|| so_far() == wanted, || format!("{} of {wanted} bytes", so_far())).await;
        }
        if number == EVENTS / 2 {
            halfway = resident();
        }
    }
    let at_the_end = resident();
    for reader in readers {
        reader.await.unwrap();
    }
    println!(
        "{READING} sessions had {EVENTS} events in {:.1} s; memory {} KiB after half of them, {} KiB after all",
        began.elapsed().as_secs_f64(),
        halfway >> 10,
        at_the_end >> 10,
    );
    let growth = at_the_end.saturating_sub(halfway);
    // What the silent ones alone did not take would be ten times this.
    assert!(growth < 512 << 10, "{} KiB more", growth >> 10);

    // Those that never read were there all the time, and too far behind to go on.
    let ends = || server.ends().len() as u64;
    until(|| ends() == READING, || format!("{} ends", ends())).await;
    for client in &mut silent {
        client.read_stream_head().await;
        client.expect(OPENING).await;
        let (stream, is_whole) = dechunk(&client.read_to_end().await);
        let taken = positions(&stream);
        assert!(!is_whole && taken.iter().copied().eq(1..=taken.len() as u64));
        assert!(taken.len() as u64 + (KEPT as u64) < EVENTS);
    }
    let lagged = |reason: &&EndReason| matches!(reason, EndReason::Lagged { .. });
    let ends = || server.ends().iter().filter(lagged).count() as u64;
    until(|| ends() == SILENT, || format!("{} lagged", ends())).await;
}
