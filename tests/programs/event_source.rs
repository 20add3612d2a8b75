//! A browser's own `EventSource` on a bare page: what is lost is told, nothing is lost silently, and
//! nothing comes twice.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sansse::broker::{BrokerConfig, OnUnknownId, SessionConfig, SessionId, StartAt, TopicName};
use sansse::hub::Answer;
use sansse::{Event, Hub};
use serde_json::{Value, json};

use crate::browser::{AGAIN, Browser, Kind, SOON, in_both_browsers};
use crate::proxy::{Proxy, field};
use crate::site::Site;

in_both_browsers! {
    a_cut_before_the_first_event_loses_nothing,
    a_cut_after_a_late_subscription_brings_nothing_twice,
    a_cut_in_the_replay_of_a_late_subscription_loses_nothing_of_what_was_subscribed,
    events_that_are_kept_no_more_are_told_with_their_number,
    a_session_that_was_too_far_behind_is_told_where_it_goes_on,
    another_life_of_the_server_is_told,
    a_finite_topic_ends_and_is_asked_for_no_more,
    a_stream_without_events_is_open_at_once_and_heartbeats_are_no_events,
}

/// Records what an `EventSource` says. The types of the messages are those of the tests.
const PAGE: &str = r"<!doctype html><meta charset=utf-8><title>bare</title>
<script>
const seen = window.seen = [], notices = window.notices = [], happened = window.happened = [];
const source = window.source = new EventSource('events');
source.onopen = () => happened.push('open');
source.onerror = () => happened.push(source.readyState === EventSource.CLOSED ? 'closed' : 'error');
source.onmessage = event => seen.push(event.data);
source.addEventListener('sansse-notice', event => {
  const { stream, replayed, lost, reason } = JSON.parse(event.data);
  notices.push([stream, replayed, lost, reason]);
});
</script>";

async fn a_cut_before_the_first_event_loses_nothing(kind: Kind) {
    let site = Site::start(PAGE);
    let proxy = Proxy::start(site.address());
    let browser = open(kind, &proxy).await;
    // The page has got nothing but the notice when this happens.
    cut(&browser, &proxy).await;
    site.publish((0..4).map(line));
    restore(&browser, &proxy).await;
    browser.wait_for("seen.length >= 4", SOON).await;
    site.publish([line(4)]);
    browser.wait_for("seen.length >= 5", SOON).await;
    assert_eq!(browser.value("seen").await, lines(0..5), "all, once and in order");
    let told = json!([["live", 0, 0, null], ["complete", 4, 0, null]]);
    assert_eq!(browser.value("notices").await, told);
    let heads = proxy.heads("/events");
    assert!(field(&heads[1], "last-event-id").is_some(), "it knew its place: {heads:#?}");
}

async fn a_cut_after_a_late_subscription_brings_nothing_twice(kind: Kind) {
    let late = Late::start();
    let proxy = Proxy::start(late.site.address());
    // What is there before the page, for the late subscription.
    late.publish("b", 0..3);
    let browser = open(kind, &proxy).await;
    late.publish("a", 0..5);
    browser.wait_for("seen.length >= 5", SOON).await;
    late.subscribe();
    browser.wait_for("seen.length >= 8", SOON).await;
    // The page's place was told again, after the old ids of the replay.
    browser.wait_for("notices.some(notice => notice[0] === 'place')", SOON).await;

    cut(&browser, &proxy).await;
    late.publish("a", 5..8);
    late.publish("b", 3..5);
    restore(&browser, &proxy).await;
    browser.wait_for("seen.length >= 13", SOON).await;
    late.publish("a", 8..9);
    browser.wait_for("seen[seen.length - 1] === 'a 8'", SOON).await;
    let seen =
        [texts("a", 0..5), texts("b", 0..3), texts("a", 5..8), texts("b", 3..5), texts("a", 8..9)];
    assert_eq!(browser.value("seen").await, json!(seen.concat()), "once and in order");
    assert_eq!(browser.value("notices[notices.length - 1]").await, json!(["complete", 5, 0, null]));
}

async fn a_cut_in_the_replay_of_a_late_subscription_loses_nothing_of_what_was_subscribed(
    kind: Kind,
) {
    let late = Late::start();
    let proxy = Proxy::start(late.site.address());
    late.publish("b", 0..2_000);
    let browser = open(kind, &proxy).await;
    late.publish("a", 0..5);
    browser.wait_for("seen.length >= 5", SOON).await;
    late.subscribe();
    proxy.cut();
    browser.wait_for("happened.includes('error')", SOON).await;
    late.publish("a", 5..8);
    restore(&browser, &proxy).await;
    late.publish("a", 8..9);
    browser.wait_for("seen[seen.length - 1] === 'a 8'", SOON).await;
    let a = "[...new Set(seen.filter(text => text.startsWith('a ')))]";
    assert_eq!(browser.value(a).await, json!(texts("a", 0..9)), "none is missing");
    // Where the cut fell decides what comes again of `a`, but no event of `b` comes twice.
    let twice = "seen.filter((text, at) => text.startsWith('b ') && seen.indexOf(text) !== at)";
    assert_eq!(browser.value(twice).await, json!([]));
}

async fn events_that_are_kept_no_more_are_told_with_their_number(kind: Kind) {
    let five = NonZeroUsize::new(5).expect("not zero");
    let site = Site::start_with(
        PAGE,
        |config| config.retention.events = five,
        |hub, request| hub.accept(request, SessionConfig::new()),
    );
    let proxy = Proxy::start(site.address());
    let browser = open(kind, &proxy).await;
    site.publish((0..3).map(line));
    browser.wait_for("seen.length >= 3", SOON).await;
    cut(&browser, &proxy).await;
    site.publish((3..20).map(line));
    restore(&browser, &proxy).await;
    browser.wait_for("seen.length >= 8", SOON).await;
    assert_eq!(browser.value("seen.slice(3)").await, lines(15..20), "what is kept");
    let told = json!([["live", 0, 0, null], ["gap", 5, 12, "retention"]]);
    assert_eq!(browser.value("notices").await, told, "3 to 14 are missing");

    // The gap is behind it.
    cut(&browser, &proxy).await;
    site.publish([line(20)]);
    restore(&browser, &proxy).await;
    browser.wait_for("seen.length >= 9", SOON).await;
    assert_eq!(browser.value("notices[2]").await, json!(["complete", 1, 0, null]));
}

async fn a_session_that_was_too_far_behind_is_told_where_it_goes_on(kind: Kind) {
    let site = Site::start_with(
        PAGE,
        |config| {
            config.retention.events = NonZeroUsize::new(100).expect("not zero");
            config.session.lag = sansse::broker::LagPolicy::SkipToOldest.into();
        },
        |hub, request| hub.accept(request, SessionConfig::new()),
    );
    let proxy = Proxy::start(site.address());
    let browser = open(kind, &proxy).await;
    // In one go, so that the connection can take none in between.
    site.publish((0..1_000).map(line));
    browser.wait_for(&format!("seen[seen.length - 1] === '{}'", line(999)), SOON).await;
    let seen = browser.value("seen.length").await.as_u64().expect("a number");
    let lost = browser.value("notices.reduce((sum, notice) => sum + notice[2], 0)").await;
    assert_eq!(lost.as_u64(), Some(1_000 - seen), "what it did not get, it was told");
    let reasons = "[...new Set(notices.slice(1).map(notice => [notice[0], notice[3]].join()))]";
    assert_eq!(browser.value(reasons).await, json!(["gap,lag"]));
    assert_eq!(browser.value("happened.join()").await, "open");
}

async fn another_life_of_the_server_is_told(kind: Kind) {
    let site = Site::start(PAGE);
    let address = site.address();
    let browser = Browser::start(kind).await;
    browser.goto(&site.url()).await;
    browser.wait_for("happened.includes('open') && notices.length", SOON).await;
    site.publish((0..3).map(line));
    browser.wait_for("seen.length >= 3", SOON).await;
    site.stop().await;
    browser.wait_for("happened.includes('error')", SOON).await;

    let accept = |hub: &Hub, request: &http::Request<bytes::Bytes>| {
        hub.accept(request, SessionConfig::new())
    };
    let generous = |config: &mut BrokerConfig| {
        config.session.on_unknown_id = OnUnknownId::ReplayKept;
    };
    let site = Site::start_at(address, PAGE, generous, accept);
    site.publish((3..5).map(line));
    browser.wait_for("notices.length >= 2", AGAIN).await;
    site.publish([line(5)]);
    browser.wait_for(&format!("seen[seen.length - 1] === '{}'", line(5)), SOON).await;
    assert_eq!(browser.value("seen").await, lines(0..6), "this life's events, once");
    let told = browser.value("notices[1]").await;
    assert_eq!((&told[0], &told[2], &told[3]), (&json!("gap"), &Value::Null, &json!("restart")));
}

async fn a_finite_topic_ends_and_is_asked_for_no_more(kind: Kind) {
    let topic = TopicName::new("finite").expect("a name");
    let asked = topic.clone();
    let site = Site::start_with(
        PAGE,
        |_| {},
        move |hub, request| {
            let session = SessionConfig::new().topics_only().with_topic(asked.clone());
            hub.accept(request, session.with_start(StartAt::Oldest))
        },
    );
    for number in 0..3 {
        site.hub().publish(topic.clone(), &Event::new(line(number))).expect("the hub is open");
    }
    let browser = Browser::start(kind).await;
    browser.goto(&site.url()).await;
    browser.wait_for("seen.length >= 3", SOON).await;
    // A comment has a position, and no browser sees its id.
    site.hub().publish(topic.clone(), &Event::comment("the end")).expect("the hub is open");
    site.hub().end_topic(&topic).expect("the hub is open");
    browser.wait_for("happened.includes('closed')", AGAIN).await;
    assert_eq!(browser.value("seen").await, lines(0..3));
    // It came back with the id of the last event, was told that it has all, and then that there is
    // no more.
    assert_eq!(site.asked().len(), 3, "{:?}", site.asked());
    let told = browser.value("notices").await;
    assert_eq!(told[1], json!(["complete", 1, 0, null]), "{told}");
}

async fn a_stream_without_events_is_open_at_once_and_heartbeats_are_no_events(kind: Kind) {
    let site = Site::start_with(
        PAGE,
        |config| config.session.heartbeat = Some(Duration::from_millis(50)),
        |hub, request| hub.accept(request, SessionConfig::new()),
    );
    let browser = Browser::start(kind).await;
    browser.goto(&site.url()).await;
    browser.wait_for("happened.includes('open') && notices.length", SOON).await;
    let heartbeats = || site.hub().counters().heartbeats;
    let before = heartbeats();
    while heartbeats() < before + 20 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    site.publish([line(0)]);
    browser.wait_for("seen.length", SOON).await;
    assert_eq!(browser.value("seen").await, lines(0..1));
    assert_eq!(browser.value("notices.length").await, 1);
}

/// A site whose streams have the topic `a`, and `b` when the test has subscribed to it.
struct Late {
    site: Site,
    sessions: Arc<Mutex<Vec<SessionId>>>,
    has_b: Arc<AtomicBool>,
}

impl Late {
    fn start() -> Self {
        let sessions = Arc::new(Mutex::new(Vec::new()));
        let has_b = Arc::new(AtomicBool::new(false));
        let (opened, wants_b) = (sessions.clone(), has_b.clone());
        let site = Site::start_with(
            PAGE,
            |_| {},
            move |hub, request| {
                let mut session = SessionConfig::new().with_topic(topic("a"));
                if wants_b.load(Ordering::Relaxed) {
                    session = session.with_topic(topic("b"));
                }
                let answer = hub.accept(request, session);
                if let Answer::Stream(_, session) = &answer {
                    opened.lock().unwrap_or_else(PoisonError::into_inner).push(session.id());
                }
                answer
            },
        );
        Self { site, sessions, has_b }
    }

    fn publish(&self, name: &'static str, numbers: std::ops::Range<u32>) {
        for text in texts(name, numbers) {
            self.site.hub().publish(topic(name), &Event::new(text)).expect("the hub is open");
        }
    }

    /// Subscribes the page's session to all that is kept of `b`, and each later one as well.
    fn subscribe(&self) {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = *sessions.last().expect("the page's stream is open");
        self.site.hub().subscribe(session, topic("b"), StartAt::Oldest).expect("it is open");
        self.has_b.store(true, Ordering::Relaxed);
    }
}

fn topic(name: &'static str) -> TopicName {
    TopicName::new(name).expect("a letter is a name")
}

async fn open(kind: Kind, proxy: &Proxy) -> Browser {
    let browser = Browser::start(kind).await;
    browser.goto(&proxy.url()).await;
    browser.wait_for("happened.includes('open') && notices.length", SOON).await;
    browser
}

/// Cuts the page's connection, and waits until the page knows.
async fn cut(browser: &Browser, proxy: &Proxy) {
    let errors = "happened.filter(what => what === 'error').length";
    let before = browser.value(errors).await;
    proxy.cut();
    browser.wait_for(&format!("{errors} > {before}"), SOON).await;
}

/// Lets connections through again, and waits until the page has one.
async fn restore(browser: &Browser, proxy: &Proxy) {
    proxy.restore();
    browser.wait_for("happened[happened.length - 1] === 'open'", AGAIN).await;
}

fn line(number: u32) -> String {
    format!("line {number}")
}

fn lines(numbers: std::ops::Range<u32>) -> Value {
    numbers.map(line).collect()
}

fn texts(name: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("{name} {number}")).collect()
}
