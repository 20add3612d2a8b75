//! A process that may open no more files goes on with those it has.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![cfg(unix)]

mod common;

use common::{Running, child, config, start, start_with, until};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Connections until there is no file left, of which the server has accepted none yet.
fn exhaust(server: &Running) -> Vec<TcpStream> {
    let connections: Vec<TcpStream> =
        std::iter::from_fn(|| TcpStream::connect(server.address).ok()).take(200).collect();
    assert!(connections.len() < 200, "the limit does not hold");
    connections
}

/// Connections of another process, so that only the server's ends of them are files of this one.
struct Peers(Child);

impl Peers {
    fn connect(address: SocketAddr, count: usize) -> Self {
        let (host, port) = (address.ip(), address.port());
        let script = format!(
            "ulimit -S -n 1000; for _ in $(seq {count}); do exec {{f}}<>/dev/tcp/{host}/{port}; done; read"
        );
        Self(Command::new("bash").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap())
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_server_without_files_rests_and_goes_on_when_there_are_some() {
    if child::is_parent("a_server_without_files_rests_and_goes_on_when_there_are_some", 50) {
        return;
    }
    // More than there are files for, as an application may set it.
    let mut server = start_with(config(), |server| server.with_max_connections(10_000)).await;
    let mut first = server.subscribe().await;
    let mut connections = exhaust(&server);
    server.counted(|counted| counted.accept_errors >= 2).await;
    let errors = server.counters.snapshot().accept_errors;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let more = server.counters.snapshot().accept_errors - errors;
    assert!((1..20).contains(&more), "it tries again, but does not spin: {more}");

    // Those who were waiting are served when others leave.
    let waiting = connections.len() as u64;
    connections.truncate(connections.len() / 3);
    server.counted(|counted| counted.accepted == 1 + waiting).await;
    let published =
        server.hub.publish(sansse::broker::Audience::Everyone, &sansse::Event::new("a"));
    first.expect(published.unwrap().frame().chunk()).await;

    // The shutdown finds it at rest.
    let errors = server.counters.snapshot().accept_errors;
    connections.extend(exhaust(&server));
    let counters = server.counters.clone();
    until(|| counters.snapshot().accept_errors > errors, || "no error of accept".into()).await;
    server.shut_down();
    drop((connections, first));
    server.over().await;
}

#[tokio::test]
async fn by_default_the_connections_leave_files_to_the_application() {
    if child::is_parent("by_default_the_connections_leave_files_to_the_application", 200) {
        return;
    }
    let server = start().await;
    server.counted(|counted| counted.max_connections == 150).await;
    let mut first = server.subscribe().await;
    let peers = Peers::connect(server.address, 300);
    server.counted(|counted| counted.accepted == 301).await;
    let counted = server.counters.snapshot();
    assert_eq!((counted.open, counted.refused, counted.accept_errors), (150, 151, 0));
    let files: Vec<_> = (0..20).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
    let published =
        server.hub.publish(sansse::broker::Audience::Everyone, &sansse::Event::new("a"));
    first.expect(published.unwrap().frame().chunk()).await;
    drop((files, peers));
    server.counted(|counted| counted.open == 1).await;
}
