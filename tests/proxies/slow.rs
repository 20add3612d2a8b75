//! A reader that reads nothing.

use sansse::Event;
use sansse::broker::{Audience, EndReason, SessionConfig};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::combinations::with_each_proxy;
use crate::proxy::{Change, Kind, Proxy};
use crate::upstream::{Stack, Upstream, config};
use crate::{ALL, MACHINE, until};

with_each_proxy! { a_reader_that_takes_nothing_is_given_up }

/// How long a session may take nothing of what waits for it.
const STALL: Duration = Duration::from_secs(1);

const SIZE: usize = 64 << 10;

async fn a_reader_that_takes_nothing_is_given_up(kind: Kind, stack: Stack) {
    let _shared = MACHINE.read().await;
    let given_up = Stalled::run(kind, stack, &[], usize::MAX).await;
    println!(
        "| {} | {} | {:?}, {:.1} s after the last byte that was taken | {} MiB |",
        kind.title(),
        stack.title(),
        given_up.reason.expect("it ends"),
        given_up.after.as_secs_f64(),
        given_up.taken >> 20,
    );
    assert_eq!(given_up.reason, Some(EndReason::Stalled));
}

#[tokio::test]
#[ignore = "needs nginx; .ci/run runs it"]
async fn nginx_that_buffers_hides_a_reader_that_takes_nothing() {
    let _shared = MACHINE.read().await;
    let changes = [("http {\n", "http {\n    proxy_ignore_headers X-Accel-Buffering;\n")];
    let enough = 64 << 20;
    let hidden = Stalled::run(Kind::PlainNginx, Stack::Serve, &changes, enough).await;
    assert_eq!(hidden.reason, None, "after {} bytes", hidden.taken);
    println!("| nginx that buffers | the hub sees nothing of it | {} MiB and more |", enough >> 20);
}

struct Stalled {
    /// Why the session ended, if it did.
    reason: Option<EndReason>,
    /// How many bytes were on their way to the reader.
    taken: usize,
    /// How long it took to end after that.
    after: Duration,
}

impl Stalled {
    /// Publishes as fast as events are taken, until the session ends or so much is taken.
    async fn run(kind: Kind, stack: Stack, changes: &[Change<'_>], enough: usize) -> Self {
        let mut config = config();
        config.session.stall_timeout = Some(STALL);
        // So that what is published is almost what is taken, and no more than is kept.
        config.pace = config.pace.with_bytes((4 * SIZE).try_into().expect("it is not 0"));
        config.pace.patience = 2 * ALL;
        let upstream = Upstream::start_with(stack, config, SessionConfig::new()).await;
        let proxy = Proxy::start_changed(kind, upstream.address(), changes);
        let mut reader = TcpStream::connect(proxy.address()).await.expect("it listens");
        let host = proxy.address();
        let request = format!("GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n");
        reader.write_all(request.as_bytes()).await.expect("it reads");
        until("the stream begins", || upstream.sessions() == 1).await;

        let event = Event::new("x".repeat(SIZE));
        let mut taken = 0;
        let mut last = Instant::now();
        let publishing = async {
            while upstream.end_reason().is_none() && taken < enough {
                let published = upstream.hub().publish_when_room(Audience::Everyone, &event);
                published.await.expect("the hub is open");
                if upstream.end_reason().is_none() {
                    taken += SIZE;
                    last = Instant::now();
                }
            }
        };
        timeout(ALL, publishing).await.expect("it is given up in time");
        Self { reason: upstream.end_reason(), taken, after: last.elapsed() }
    }
}
