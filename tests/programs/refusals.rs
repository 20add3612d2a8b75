//! Refusals for now in browsers: the page comes back by itself, whatever it was refused for.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use sansse::Hub;
use sansse::broker::{BrokerConfig, Drain, SessionConfig};
use sansse::http::{Cors, ResponseHead};
use sansse::hub::Answer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::browser::{AGAIN, Browser, Kind, SOON, in_both_browsers};
use crate::site::Site;

in_both_browsers! {
    a_page_comes_back_to_a_hub_that_was_full,
    a_page_comes_back_to_a_server_that_had_no_room,
    a_page_comes_back_after_a_drain,
    a_page_comes_back_after_a_restart,
    a_status_would_have_ended_the_page,
}

/// Says what happens to its `EventSource`. The stream is at the address that the fragment names.
const PAGE: &str = r"<!doctype html><meta charset=utf-8><title>refusals</title>
<script>
const seen = window.seen = [], notices = window.notices = [], happened = window.happened = [];
const source = window.source = new EventSource(location.hash.slice(1) || 'events');
source.onopen = () => happened.push('open');
source.onerror = () => happened.push(source.readyState === EventSource.CLOSED ? 'closed' : 'lost');
source.onmessage = event => seen.push(event.data);
source.addEventListener('sansse-notice', event => notices.push(JSON.parse(event.data)));
</script>";

const OPEN: &str = "source.readyState === EventSource.OPEN && notices.length > 0 \
                    && notices[notices.length - 1].stream !== 'refused'";

async fn a_page_comes_back_to_a_hub_that_was_full(kind: Kind) {
    let one =
        |config: &mut BrokerConfig| config.limits.sessions.most = 1.try_into().expect("not 0");
    let site = start(one);
    let other = site.hub().open(SessionConfig::new()).expect("there is room");
    let browser = Browser::start(kind).await;
    browser.goto(&site.url()).await;
    refused(&browser, 2, "full").await;
    drop(other);
    served(&browser, &site).await;
}

/// The page itself is from another server, since it needs a connection too.
async fn a_page_comes_back_to_a_server_that_had_no_room(kind: Kind) {
    let pages = start(|_| {});
    let head = ResponseHead::new().with_cors(Cors::any_origin());
    let site = Site::start_serving(
        ([127, 0, 0, 1], 0).into(),
        PAGE,
        configure,
        head,
        |server| server.with_max_connections(1),
        accept,
    );
    let mut other = TcpStream::connect(site.address()).await.expect("it listens");
    let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    other.write_all(request).await.expect("it reads");
    until(|| site.streams() == 1).await;
    let browser = Browser::start(kind).await;
    browser.goto(&format!("{}#{}events", pages.url(), site.url())).await;
    refused(&browser, 2, "connections").await;
    assert!(site.counters().snapshot().refused >= 2);
    drop(other);
    served(&browser, &site).await;
}

/// It is called back into the drain, since one session that takes nothing makes it last.
async fn a_page_comes_back_after_a_drain(kind: Kind) {
    let site = start(|_| {});
    let browser = Browser::start(kind).await;
    browser.goto(&site.url()).await;
    browser.wait_for(OPEN, SOON).await;
    let _stuck = site.hub().open(SessionConfig::new()).expect("there is room");
    site.publish(["taken by one of two"]);
    browser.wait_for("seen.length === 1", SOON).await;
    let drain = Drain::new(Duration::from_millis(1))
        .with_retry(Duration::from_millis(500), Duration::from_millis(500));
    site.hub().drain(drain).expect("for the first time");
    refused(&browser, 2, "draining").await;
    restarted(&browser, site).await;
}

/// It is called back by a hub that was closed, and then for a while nobody listens.
async fn a_page_comes_back_after_a_restart(kind: Kind) {
    let site = start(|_| {});
    let browser = Browser::start(kind).await;
    browser.goto(&site.url()).await;
    browser.wait_for(OPEN, SOON).await;
    site.hub().close();
    refused(&browser, 2, "closed").await;
    restarted(&browser, site).await;
}

/// This is why there is a stream at all.
async fn a_status_would_have_ended_the_page(kind: Kind) {
    let busy = |_: &Hub, _: &Request<Bytes>| -> Answer {
        let response = Response::builder().status(503).header("retry-after", "1");
        response.body(Bytes::new()).expect("it is valid").into()
    };
    let site = Site::start_with(PAGE, configure, busy);
    let browser = Browser::start(kind).await;
    browser.goto(&site.url()).await;
    browser.wait_for("happened.includes('closed')", SOON).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(site.asked().len(), 1, "it never asks again");
}

fn start(also: impl FnOnce(&mut BrokerConfig)) -> Site {
    Site::start_with(PAGE, configured(also), accept)
}

fn accept(hub: &Hub, request: &Request<Bytes>) -> Answer {
    hub.accept(request, SessionConfig::new())
}

fn configure(config: &mut BrokerConfig) {
    config.reconnect.retry_after = Duration::from_secs(1);
}

fn configured(also: impl FnOnce(&mut BrokerConfig)) -> impl FnOnce(&mut BrokerConfig) {
    |config| {
        configure(config);
        also(config);
    }
}

/// Waits until the page was refused so often, for this reason. It goes on asking.
async fn refused(browser: &Browser, times: usize, reason: &str) {
    let refusals =
        format!("notices.filter(n => n.stream === 'refused' && n.reason === '{reason}')");
    browser.wait_for(&format!("{refusals}.length >= {times}"), AGAIN).await;
    assert_eq!(browser.value("happened.includes('closed')").await, false);
}

/// Waits until the page has its stream, and gets what is published then.
async fn served(browser: &Browser, site: &Site) {
    browser.wait_for(OPEN, AGAIN).await;
    site.publish(["served"]);
    browser.wait_for("seen[seen.length - 1] === 'served'", SOON).await;
    assert_eq!(browser.value("happened.includes('closed')").await, false);
}

/// Another life begins at the same address, after a while in which nobody listens.
async fn restarted(browser: &Browser, site: Site) {
    let address = site.address();
    site.stop().await;
    sleep(Duration::from_millis(700)).await;
    let again = Site::start_at(address, PAGE, configure, accept);
    served(browser, &again).await;
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "what was waited for did not come in {SOON:?}");
        sleep(Duration::from_millis(10)).await;
    }
}
