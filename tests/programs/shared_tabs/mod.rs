//! `shared-event-source.js`, which pages may take from the `live` example: many tabs have one
//! connection, and a change of the tab that has it loses nothing and doubles nothing.

use std::time::{Duration, Instant};

use fantoccini::wd::WindowHandle;
use serde_json::{Value, json};

use crate::browser::{AGAIN, Browser, Kind, SOON, in_both_browsers, run};
use crate::site::Site;

in_both_browsers! {
    eight_tabs_have_one_connection_and_all_get_all,
    tabs_that_lead_go_one_after_the_other_and_nothing_is_lost_or_doubled,
    a_tab_that_joins_late_gets_what_is_kept_and_what_the_page_knows,
    a_leading_tab_that_hangs_loses_the_connection_to_another_and_joins_again,
    a_tab_that_comes_back_from_the_history_has_all,
    a_restart_of_the_server_is_told_to_all_tabs,
    what_the_server_has_ended_is_over_for_all_tabs_until_one_opens_it_again,
    without_locks_each_tab_has_a_connection_of_its_own,
}

/// Records what arrives. The query `alone` takes away what sharing needs.
const PAGE: &str = r"<!doctype html><meta charset=utf-8><title>tabs</title>
<script>if (location.search === '?alone') Object.defineProperty(navigator, 'locks', { value: undefined });</script>
<script src=shared-event-source.js></script>
<script>
const seen = window.seen = [], notices = window.notices = [], happened = window.happened = [];
const source = window.source = new SharedEventSource('events', {
  keep: { message: 5 }, patience: 1000,
  snapshot: () => [{ type: 'sum', data: String(seen.length) }],
});
source.onopen = () => happened.push('open');
source.onerror = () => happened.push(source.readyState === SharedEventSource.CLOSED ? 'closed' : 'error');
source.onmessage = event => seen.push(event.data);
source.addEventListener('sum', event => { window.sum = event.data; });
source.addEventListener('sansse-notice', event => notices.push(JSON.parse(event.data)));
</script>";

const OPEN: &str = "source.readyState === source.OPEN && happened.includes('open')";

async fn eight_tabs_have_one_connection_and_all_get_all(kind: Kind) {
    let site = Site::start(PAGE);
    let browser = Browser::start(kind).await;
    let tabs = open_tabs(&browser, &site.url(), 8).await;
    assert_eq!(site.streams(), 1, "eight tabs, one connection");

    site.publish((0..500).map(line));
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.wait_for(&has(500), SOON).await;
        assert_eq!(browser.value("seen").await, lines(0..500), "all, once and in order");
    }
    assert_eq!(leading(&browser, &tabs).await.len(), 1);
    assert_eq!((site.streams(), site.asked().len()), (1, 1));
    assert_eq!(browser.value("happened.join()").await, "open");
    assert_eq!(browser.value("source.url").await, format!("{}events", site.url()));
}

async fn tabs_that_lead_go_one_after_the_other_and_nothing_is_lost_or_doubled(kind: Kind) {
    let site = Site::start(PAGE);
    let browser = Browser::start(kind).await;
    let mut tabs = open_tabs(&browser, &site.url(), 8).await;
    // While events come all the time, so that some are under way whenever a tab goes.
    let hub = site.hub().clone();
    let publisher = tokio::spawn(async move {
        for number in 0.. {
            let event = sansse::Event::new(line(number));
            let sent = hub.publish(sansse::broker::Audience::Everyone, &event);
            if sent.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    for gone in 1..=5 {
        let leads = leading(&browser, &tabs).await;
        assert_eq!(leads.len(), 1, "one tab leads");
        let before = browser.value("seen.length").await.as_u64().expect("a number");
        browser.switch_to(&tabs[leads[0]]).await;
        browser.client().close_window().await.expect("it closes");
        tabs.remove(leads[0]);
        for tab in &tabs {
            browser.switch_to(tab).await;
            browser.wait_for(&format!("seen.length > {}", before + 100), SOON).await;
        }
        let asked = site.asked();
        assert_eq!(asked.len(), 1 + gone, "the next one asks: {asked:?}");
        assert!(asked[gone].is_some(), "for what comes after the last event: {asked:?}");
    }
    publisher.abort();
    site.publish(["the last one"]);
    let mut lengths = Vec::new();
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.wait_for("seen[seen.length - 1] === 'the last one'", SOON).await;
        let first = browser.value("Number(seen[0]?.match(/[0-9]+/)?.[0])").await;
        assert_eq!(first, 0.0, "all tabs were there at the beginning");
        let wrong = "seen.slice(0, -1).findIndex((text, at) => text !== `line ${at}`)";
        let around = "((at) => seen.slice(Math.max(0, at - 5), at + 5))(seen.slice(0, -1).findIndex((text, at) => text !== `line ${at}`))";
        assert_eq!(browser.value(wrong).await, -1, "{}", browser.value(around).await);
        lengths.push(browser.value("seen.length").await);
        assert_eq!(
            browser.value("happened.includes('error')").await,
            false,
            "a change is no error"
        );
        let lost = "notices.filter(notice => notice.lost !== 0 && notice.lost !== undefined)";
        assert_eq!(browser.value(lost).await, json!([]));
    }
    assert!(lengths.iter().all(|length| length == &lengths[0]), "{lengths:?}");
    assert_eq!(site.streams(), 1);
}

async fn a_tab_that_joins_late_gets_what_is_kept_and_what_the_page_knows(kind: Kind) {
    let site = Site::start(PAGE);
    let browser = Browser::start(kind).await;
    open_tabs(&browser, &site.url(), 1).await;
    site.publish((0..20).map(line));
    browser.wait_for(&has(20), SOON).await;

    browser.new_tab().await;
    browser.goto(&site.url()).await;
    browser.wait_for("window.sum", SOON).await;
    assert_eq!(browser.value("seen").await, lines(15..20), "the last five, as the page says");
    assert_eq!(browser.value("sum").await, "20", "what only an earlier tab can know");
    assert_eq!(browser.value("[notices[0].stream, notices[0].replayed]").await, json!(["kept", 5]));
    assert_eq!(browser.value("happened.join()").await, "open");
    site.publish((20..25).map(line));
    browser.wait_for(&has(10), SOON).await;
    assert_eq!(browser.value("seen").await, lines(15..25));
    assert_eq!(site.asked().len(), 1, "it asked another tab, not the server");
}

async fn a_leading_tab_that_hangs_loses_the_connection_to_another_and_joins_again(kind: Kind) {
    let site = Site::start(PAGE);
    let browser = Browser::start(kind).await;
    // Two hosts' names for two processes would be two origins; browsers give each tab one anyway.
    let tabs = open_tabs(&browser, &site.url(), 3).await;
    site.publish((0..10).map(line));
    browser.wait_for(&has(10), SOON).await;
    let leads = leading(&browser, &tabs).await[0];
    let others: Vec<_> = tabs.iter().enumerate().filter(|(at, _)| *at != leads).collect();

    browser.switch_to(&tabs[leads]).await;
    let hang =
        "setTimeout(() => { const end = Date.now() + 8000; while (Date.now() < end); }, 50);";
    browser.client().execute(hang, Vec::new()).await.expect("it hangs from now on");
    let began = Instant::now();
    tokio::time::sleep(Duration::from_millis(300)).await;
    site.publish((10..20).map(line));
    for (_, tab) in &others {
        browser.switch_to(tab).await;
        browser.wait_for(&has(20), SOON).await;
    }
    assert!(began.elapsed() < Duration::from_secs(8), "while the other tab still hangs");
    site.publish((20..30).map(line));

    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.wait_for(&has(30), SOON).await;
        assert_eq!(browser.value("seen").await, lines(0..30), "all, once and in order");
    }
    let now = leading(&browser, &tabs).await;
    assert!(now.len() == 1 && now[0] != leads, "{now:?}, {leads} before");
    until(|| site.streams() == 1, "one connection again").await;
}

async fn a_tab_that_comes_back_from_the_history_has_all(kind: Kind) {
    let site = Site::start(PAGE);
    let browser = Browser::start(kind).await;
    let tabs = open_tabs(&browser, &site.url(), 2).await;
    site.publish((0..10).map(line));
    browser.wait_for(&has(10), SOON).await;
    let leads = leading(&browser, &tabs).await[0];
    // The leading tab leaves, and is shown again. Its page was kept, or is loaded anew.
    browser.switch_to(&tabs[leads]).await;
    browser.client().execute("window.kept = true", Vec::new()).await.expect("it runs");
    browser.goto("about:blank").await;
    browser.switch_to(&tabs[1 - leads]).await;
    browser.wait_for("source.leads", SOON).await;
    site.publish((10..13).map(line));
    browser.wait_for(&has(13), SOON).await;
    browser.switch_to(&tabs[leads]).await;
    browser.client().back().await.expect("there is a page before");
    browser.wait_for(&format!("seen[seen.length - 1] === '{}'", line(12)), SOON).await;
    let was_kept = browser.value("window.kept === true").await == true;
    let expected = if was_kept { lines(0..13) } else { lines(8..13) };
    assert_eq!(browser.value("seen").await, expected, "kept: {was_kept}");
    assert_eq!(browser.value("source.leads").await, false);
    assert_eq!(site.streams(), 1);
}

async fn a_restart_of_the_server_is_told_to_all_tabs(kind: Kind) {
    let site = Site::start(PAGE);
    let address = site.address();
    let browser = Browser::start(kind).await;
    let tabs = open_tabs(&browser, &site.url(), 3).await;
    site.publish((0..3).map(line));
    browser.wait_for(&has(3), SOON).await;
    site.stop().await;
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.wait_for("happened.includes('error')", SOON).await;
    }
    let site = Site::start_at(
        address,
        PAGE,
        |_| {},
        |hub, request| hub.accept(request, sansse::broker::SessionConfig::new()),
    );
    let gap = "notices.some(notice => notice.stream === 'gap' && notice.reason === 'restart')";
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.wait_for(gap, AGAIN).await;
    }
    site.publish((3..6).map(line));
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.wait_for(&has(6), SOON).await;
        assert_eq!(browser.value("seen").await, lines(0..6));
    }
    assert_eq!(site.streams(), 1);
}

async fn what_the_server_has_ended_is_over_for_all_tabs_until_one_opens_it_again(kind: Kind) {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let site = Site::start_with(
        PAGE,
        |_| {},
        move |hub, request| {
            if over.load(Ordering::Relaxed) {
                let mut response = http::Response::new(bytes::Bytes::new());
                *response.status_mut() = http::StatusCode::NO_CONTENT;
                return response.into();
            }
            hub.accept(request, sansse::broker::SessionConfig::new())
        },
    );
    let browser = Browser::start(kind).await;
    let tabs = open_tabs(&browser, &site.url(), 3).await;
    is_over.store(true, Ordering::Relaxed);
    let leads = leading(&browser, &tabs).await[0];
    // The leading tab asks again, and hears that it is over.
    browser.switch_to(&tabs[(leads + 1) % 3]).await;
    browser.client().execute("source.reconnect()", Vec::new()).await.expect("it runs");
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.wait_for("source.readyState === source.CLOSED", SOON).await;
        assert_eq!(browser.value("happened.join()").await, "open,closed");
    }
    assert_eq!(site.streams(), 0);
    is_over.store(false, Ordering::Relaxed);
    browser.client().execute("source.reconnect()", Vec::new()).await.expect("it runs");
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.wait_for("happened.join() === 'open,closed,open'", SOON).await;
    }
    site.publish([line(0)]);
    browser.wait_for(&has(1), SOON).await;

    // A tab that closes its source leaves the others theirs.
    browser.client().execute("source.close()", Vec::new()).await.expect("it runs");
    browser.switch_to(&tabs[leads]).await;
    site.publish([line(1)]);
    browser.wait_for(&has(2), SOON).await;
    browser.switch_to(&tabs[2]).await;
    assert_eq!(site.streams(), 1);
}

async fn without_locks_each_tab_has_a_connection_of_its_own(kind: Kind) {
    let site = Site::start(PAGE);
    let browser = Browser::start(kind).await;
    let tabs = open_tabs(&browser, &format!("{}?alone", site.url()), 3).await;
    assert_eq!(browser.value("source.shared").await, false);
    assert_eq!(site.streams(), 3);
    site.publish((0..10).map(line));
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.wait_for(&has(10), SOON).await;
        assert_eq!(browser.value("source.leads").await, true);
    }
}

#[test]
#[ignore = "needs chromium and chromium-driver"]
fn a_leading_tab_that_is_frozen_hands_over_and_catches_up_when_it_is_thawed() {
    run(async {
        let site = Site::start(PAGE);
        let browser = Browser::start(Kind::Chromium).await;
        let tabs = open_tabs(&browser, &site.url(), 3).await;
        site.publish((0..10).map(line));
        browser.wait_for(&has(10), SOON).await;
        let leads = leading(&browser, &tabs).await[0];
        browser.switch_to(&tabs[leads]).await;
        browser.freeze(true).await;
        // At once: it lets go of the lock before it is frozen.
        until(|| site.asked().len() == 2 && site.streams() == 1, "another tab leads").await;
        site.publish((10..30).map(line));
        let other = (leads + 1) % 3;
        browser.switch_to(&tabs[other]).await;
        browser.wait_for(&has(30), SOON).await;

        browser.switch_to(&tabs[leads]).await;
        browser.freeze(false).await;
        for tab in &tabs {
            browser.switch_to(tab).await;
            browser.wait_for(&has(30), SOON).await;
            assert_eq!(browser.value("seen").await, lines(0..30), "all, once and in order");
            assert_eq!(browser.value("happened.includes('error')").await, false);
        }
        assert_eq!(leading(&browser, &tabs).await.len(), 1);
        assert_eq!(site.asked().len(), 2);
    });
}

/// Opens the page in so many tabs, the last of which is the current one then.
async fn open_tabs(browser: &Browser, url: &str, tabs: usize) -> Vec<WindowHandle> {
    let mut opened = vec![browser.tab().await];
    while opened.len() < tabs {
        opened.push(browser.new_tab().await);
    }
    for tab in &opened {
        browser.switch_to(tab).await;
        browser.goto(url).await;
        browser.wait_for(OPEN, SOON).await;
    }
    opened
}

/// The numbers of the tabs that have a connection.
async fn leading(browser: &Browser, tabs: &[WindowHandle]) -> Vec<usize> {
    let mut leading = Vec::new();
    for (number, tab) in tabs.iter().enumerate() {
        browser.switch_to(tab).await;
        if browser.value("source.leads").await == true {
            leading.push(number);
        }
    }
    leading
}

async fn until(is: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + SOON;
    while !is() {
        assert!(Instant::now() < deadline, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn line(number: u32) -> String {
    format!("line {number}")
}

fn lines(numbers: std::ops::Range<u32>) -> Value {
    numbers.map(line).collect()
}

fn has(count: usize) -> String {
    format!("seen.length >= {count}")
}

#[test]
#[ignore = "needs node"]
fn by_chance_in_virtual_time_every_tab_gets_all_once_and_in_order() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let seed = std::env::var("SANSSE_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let run = std::process::Command::new("node")
        .arg(directory.join("tests/programs/shared_tabs/simulation.mjs"))
        .arg(directory.join("examples/live/src/page/shared-event-source.js"))
        .args([u64::to_string(&seed), "200".into()])
        .output()
        .expect("node runs");
    let said = String::from_utf8_lossy(&run.stdout);
    let complained = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}{complained}");
    assert!(said.contains(" runs: "), "it did what it was asked: {said}{complained}");
}
