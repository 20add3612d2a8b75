//! A reader that goes away.

use std::time::Duration;

use crate::combinations::with_each_proxy;
use crate::proxy::{Kind, Proxy};
use crate::reader::Reader;
use crate::upstream::{Stack, Upstream};
use crate::{MACHINE, milliseconds, until};

with_each_proxy! { a_reader_that_goes_away_is_seen_within_a_second }

async fn a_reader_that_goes_away_is_seen_within_a_second(kind: Kind, stack: Stack) {
    let _shared = MACHINE.read().await;
    let upstream = Upstream::start(stack).await;
    let proxy = Proxy::start(kind, upstream.address());
    let mut reader = Reader::start(&proxy.url());
    reader.open().await;
    assert_eq!(upstream.sessions(), 1);
    drop(reader);
    let seen = until("the session ends", || upstream.sessions() == 0).await;
    println!("| {} | {} | {} |", kind.title(), stack.title(), milliseconds(seen));
    assert!(seen < Duration::from_secs(1), "{seen:?}");
}
