//! Each event arrives at once.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::combinations::with_each_proxy;
use crate::proxy::{Kind, Proxy};
use crate::reader::Reader;
use crate::upstream::{Stack, Upstream};
use crate::{MACHINE, milliseconds};

with_each_proxy! { each_event_arrives_within_100_ms }

/// The longest time from the publish of an event to its arrival.
const LONGEST: Duration = Duration::from_millis(100);

const EVENTS: usize = 50;
const BURST: u32 = 200;

async fn each_event_arrives_within_100_ms(kind: Kind, stack: Stack) {
    let _alone = MACHINE.write().await;
    let mut upstream = Upstream::start(stack).await;
    let proxy = Proxy::start(kind, upstream.address());
    // What holds an event back does so each time. What the machine does to one is over in another
    // series.
    for left in (0..3).rev() {
        let mut series = Series::run(&mut upstream, &proxy).await;
        series.behind.sort_unstable();
        series.direct.sort_unstable();
        let slowest = series.slowest();
        if slowest >= LONGEST && left > 0 {
            println!("again, since one took {slowest:?}");
            continue;
        }
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            kind.title(),
            stack.title(),
            milliseconds(series.behind[EVENTS / 2]),
            milliseconds(series.behind[EVENTS - 1]),
            milliseconds(series.direct[EVENTS / 2]),
            milliseconds(series.burst),
            milliseconds(series.single),
        );
        assert!(slowest < LONGEST, "{series:?}");
        break;
    }
}

/// This is what `option http-no-delay` is for.
#[tokio::test]
#[ignore = "needs haproxy; .ci/run runs it"]
async fn haproxy_holds_each_event_back_unless_it_is_told_not_to() {
    let _alone = MACHINE.write().await;
    let mut upstream = Upstream::start(Stack::Serve).await;
    let without = [("    option http-no-delay\n", "")];
    let proxy = Proxy::start_changed(Kind::HaProxy, upstream.address(), &without);
    let mut series = Series::run(&mut upstream, &proxy).await;
    series.behind.sort_unstable();
    let median = series.behind[EVENTS / 2];
    println!("| HAProxy without `option http-no-delay` | {} |", milliseconds(median));
    assert!(median > Duration::from_millis(30), "the line is not needed any more: {series:?}");
}

/// From the publish to the arrival.
#[derive(Debug)]
struct Series {
    /// Of events of which each is published when the one before has arrived.
    behind: Vec<Duration>,
    /// The same events at a reader without the proxy.
    direct: Vec<Duration>,
    /// Of the last of many that are published at once.
    burst: Duration,
    /// Of the only one that a stream ever has.
    single: Duration,
}

impl Series {
    async fn run(upstream: &mut Upstream, proxy: &Proxy) -> Self {
        let mut behind = Reader::start(&proxy.url());
        behind.open().await;
        let single = next(upstream, &mut behind).await;

        let mut direct = Reader::start(&upstream.url());
        direct.open().await;
        let (mut of_behind, mut of_direct) = (Vec::new(), Vec::new());
        for _ in 0..EVENTS {
            let began = Instant::now();
            let number = upstream.publish();
            for (reader, times) in [(&mut behind, &mut of_behind), (&mut direct, &mut of_direct)] {
                let (arrived, got) = reader.next_number().await;
                assert_eq!(got, number);
                times.push(arrived - began);
            }
            // As an application's events come: not each in answer to the one before.
            sleep(Duration::from_millis(7)).await;
        }

        let began = Instant::now();
        let first = upstream.publish();
        for _ in 1..BURST {
            upstream.publish();
        }
        let mut arrived = began;
        for expected in first..first + BURST {
            let got;
            (arrived, got) = behind.next_number().await;
            assert_eq!(got, expected);
        }
        Self { behind: of_behind, direct: of_direct, burst: arrived - began, single }
    }

    fn slowest(&self) -> Duration {
        self.behind[EVENTS - 1].max(self.burst).max(self.single)
    }
}

async fn next(upstream: &mut Upstream, reader: &mut Reader) -> Duration {
    let began = Instant::now();
    let number = upstream.publish();
    let (arrived, got) = reader.next_number().await;
    assert_eq!(got, number);
    arrived - began
}
