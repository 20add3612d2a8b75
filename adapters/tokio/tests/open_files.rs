//! A process that may open no more files goes on with those it has.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![cfg(unix)]

mod common;

use common::{Running, child, start, until};
use std::net::TcpStream;
use std::time::Duration;

/// Connections until there is no file left, of which the server has accepted none yet.
fn exhaust(server: &Running) -> Vec<TcpStream> {
    let connections: Vec<TcpStream> =
        std::iter::from_fn(|| TcpStream::connect(server.address).ok()).take(200).collect();
    assert!(connections.len() < 200, "the limit does not hold");
    connections
}

#[tokio::test]
async fn a_server_without_files_rests_and_goes_on_when_there_are_some() {
    if child::is_parent("a_server_without_files_rests_and_goes_on_when_there_are_some", 50) {
        return;
    }
    let mut server = start().await;
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
