//! The network in memory: what it promises to those who are tested on it.

use crate::kit::client::{millis, seconds};
use crate::kit::random::Random;
use crate::network::{Conditions, Listener, Network, Socket};
use crate::shared::Shared;
use sansse::Timer;
use sansse::net::Socket as _;
use sansse::net::{Connector, Failure, FailureKind, Target};
use sansse::net::{Listener as _, Runtime};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;

fn network(seed: u64) -> Network {
    Network::new(seed, Conditions::default())
}

async fn connect(network: &Network, address: SocketAddr) -> Result<Socket, Failure> {
    let mut target = Target::of(&"http://localhost/".parse().unwrap()).unwrap();
    target.port = address.port();
    network.connect(target).await
}

async fn accept(listener: &mut Listener) -> Socket {
    poll_fn(|context| listener.poll_accept(context)).await.unwrap().0
}

/// A connection's two ends: the client's, and the server's.
async fn pair(network: &Network) -> (Socket, Socket) {
    let (mut listener, address) = network.listen(None);
    let client = connect(network, address).await.unwrap();
    (client, accept(&mut listener).await)
}

async fn read(socket: &mut Socket) -> Result<Vec<u8>, FailureKind> {
    let mut buffer = vec![0; 1000];
    let read = poll_fn(|context| socket.poll_read(context, &mut buffer)).await;
    let length = read.map_err(|failure| failure.kind())?;
    buffer.truncate(length);
    Ok(buffer)
}

/// All that comes, and how it ends.
async fn read_to_end(socket: &mut Socket) -> (Vec<u8>, Result<(), FailureKind>) {
    let mut all = Vec::new();
    loop {
        match read(socket).await {
            Ok(bytes) if bytes.is_empty() => return (all, Ok(())),
            Ok(bytes) => all.extend(bytes),
            Err(kind) => return (all, Err(kind)),
        }
    }
}

async fn write(socket: &mut Socket, mut bytes: &[u8]) -> Result<(), FailureKind> {
    while !bytes.is_empty() {
        let written = poll_fn(|context| socket.poll_write(context, bytes)).await;
        bytes = &bytes[written.map_err(|failure| failure.kind())?..];
    }
    Ok(())
}

async fn sleep(network: &Network, time: Duration) {
    network.sleep_until(network.now() + time).await;
}

#[test]
fn time_jumps_to_the_next_deadline_and_no_further() {
    let network = network(1);
    let running = network.clone();
    running.block_on(async {
        let woken = Shared::new(Vec::new());
        for minutes in [50, 10, 30] {
            let (network, woken) = (network.clone(), woken.clone());
            running.spawn(async move {
                sleep(&network, seconds(60 * minutes)).await;
                woken.update(|woken| woken.push((minutes, network.elapsed())));
            });
        }
        let woken = woken.until(|woken| (woken.len() == 3).then(|| woken.clone())).await;
        assert_eq!(woken, [10, 30, 50].map(|minutes| (minutes, seconds(60 * minutes))));
    });
}

#[test]
fn bytes_come_whole_and_in_order_and_the_end_comes_after_them() {
    for seed in 0..50 {
        let network = network(seed);
        let running = network.clone();
        running.block_on(async {
            let (mut client, mut server) = pair(&network).await;
            let mut random = Random(seed);
            let sent: Vec<u8> =
                (0..200_000).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
            let copy = sent.clone();
            running.spawn(async move {
                for piece in copy.chunks(7_777) {
                    write(&mut server, piece).await.unwrap();
                }
                // Nothing is unread, so that this is the proper end.
            });
            let (received, end) = read_to_end(&mut client).await;
            assert!(received == sent, "seed {seed}");
            assert_eq!(end, Ok(()), "seed {seed}");
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let trace = |seed| {
        let network = network(seed);
        let running = network.clone();
        running.block_on(async {
            let (mut client, mut server) = pair(&network).await;
            running.spawn(async move {
                for _ in 0..50 {
                    write(&mut server, &[7; 300]).await.unwrap();
                }
            });
            let mut trace = Vec::new();
            while let Ok(bytes) = read(&mut client).await
                && !bytes.is_empty()
            {
                trace.push((bytes.len(), network.elapsed()));
            }
            trace
        })
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn a_writer_waits_for_its_reader_when_there_is_no_more_room() {
    let network = network(1);
    let running = network.clone();
    running.block_on(async {
        let (mut client, mut server) = pair(&network).await;
        let capacity = Conditions::default().capacity;
        write(&mut server, &vec![7; capacity]).await.unwrap();
        sleep(&network, seconds(60)).await;
        let more = poll_fn(|context| Poll::Ready(server.poll_write(context, b"more"))).await;
        assert!(more.is_pending());
        let length = read(&mut client).await.unwrap().len();
        let more = vec![8; length];
        let written = poll_fn(|context| Poll::Ready(server.poll_write(context, &more))).await;
        assert_eq!(written, Poll::Ready(Ok(length)));
    });
}

#[test]
fn a_connection_can_break_at_any_byte() {
    for bytes in [0, 1, 10, 99] {
        let network = network(bytes);
        let running = network.clone();
        running.block_on(async {
            network.cut_next_after(Some(bytes + 1));
            network.cut_next_after(None);
            let (mut client, mut server) = pair(&network).await;
            let (mut whole, mut other) = pair(&network).await;
            let _ = write(&mut server, &[7; 100]).await;
            let expected = vec![7; usize::try_from(bytes).unwrap() + 1];
            assert_eq!(read_to_end(&mut client).await, (expected, Err(FailureKind::Closed)));
            assert_eq!(read(&mut server).await, Err(FailureKind::Closed));
            assert_eq!(write(&mut client, b"a").await, Err(FailureKind::Closed));
            write(&mut other, &[7; 100]).await.unwrap();
            drop(other);
            assert_eq!(read_to_end(&mut whole).await, (vec![7; 100], Ok(())));
        });
    }
}

#[test]
fn an_end_that_is_dropped_resets_the_connection_only_if_something_is_unread() {
    let network = network(1);
    let running = network.clone();
    running.block_on(async {
        for (is_read, expected) in [(true, Ok(())), (false, Err(FailureKind::Closed))] {
            let (mut client, mut server) = pair(&network).await;
            write(&mut client, b"ask").await.unwrap();
            write(&mut server, b"answer").await.unwrap();
            let mut asked = Vec::new();
            while is_read && asked.len() < 3 {
                asked.extend(read(&mut server).await.unwrap());
            }
            drop(server);
            assert_eq!(read_to_end(&mut client).await, (b"answer".to_vec(), expected));
        }
    });
}

#[test]
fn in_silence_nothing_arrives_and_nobody_is_told() {
    let network = network(1);
    let running = network.clone();
    running.block_on(async {
        let (mut client, mut server) = pair(&network).await;
        network.be_silent(true);
        write(&mut server, b"lost").await.unwrap();
        drop(server);
        let heard = Shared::new(false);
        let told = heard.clone();
        running.spawn(async move {
            let _ = read(&mut client).await;
            told.set();
        });
        sleep(&network, seconds(100_000)).await;
        assert!(!heard.update(|heard| *heard));
    });
}

#[test]
fn a_port_where_nobody_listens_refuses_after_there_and_back() {
    let latency = millis(30);
    let conditions = Conditions { latency: (latency, latency), ..Conditions::default() };
    let network = Network::new(1, conditions);
    let running = network.clone();
    running.block_on(async {
        let (listener, address) = network.listen(None);
        drop(listener);
        let refused = connect(&network, address).await.map(|_| ()).unwrap_err();
        assert_eq!((refused.kind(), network.elapsed()), (FailureKind::Connect, 2 * latency));
        // The address can be taken again, by another.
        let (mut listener, again) = network.listen(Some(address));
        assert_eq!(again, address);
        connect(&network, address).await.unwrap();
        accept(&mut listener).await;
    });
}

#[test]
fn a_run_in_which_nothing_can_happen_any_more_fails() {
    let network = network(1);
    let waits = || network.block_on(std::future::pending::<()>());
    let panic = catch_unwind(AssertUnwindSafe(waits)).unwrap_err();
    let text = panic.downcast_ref::<&str>().unwrap();
    assert!(text.contains("everybody waits"), "{text}");
}

#[test]
fn a_run_in_which_somebody_spins_fails() {
    let network = network(1);
    let spins = || {
        network.block_on(poll_fn(|context| -> Poll<()> {
            context.waker().wake_by_ref();
            Poll::Pending
        }));
    };
    let panic = catch_unwind(AssertUnwindSafe(spins)).unwrap_err();
    let text = panic.downcast_ref::<&str>().unwrap();
    assert!(text.contains("spins"), "{text}");
}
