//! The page of the `live` example on a Redis that goes away and comes back, in a real browser: it says
//! what is so, and takes no silence of the engine for a connection that is lost.

use crate::browser::{AGAIN, Browser, Kind, SOON, in_both_browsers};
use crate::live_page::{open, shows_line, submit};
use crate::nodes::Engine;

in_both_browsers! {
    a_page_waits_for_an_engine_that_is_away_and_goes_on_when_it_is_back,
    a_page_waits_for_an_engine_that_is_full_and_loses_nothing_by_it,
    an_answer_that_an_engine_cuts_short_is_shown_as_broken_off,
}

const TAKES_NOTHING: &str = "The store behind the server takes nothing now. Try again in a moment.";
const WAITS: &str = "live.state === 'waiting'";

async fn a_page_waits_for_an_engine_that_is_away_and_goes_on_when_it_is_back(kind: Kind) {
    let mut engine = Engine::start();
    let mut live = engine.node();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    engine.kill();
    browser.wait_for(WAITS, SOON).await;
    let shown = browser.value("document.getElementById('state').innerText").await;
    assert!(
        shown.as_str().is_some_and(|text| text.contains("Waiting for the server’s store")),
        "{shown}"
    );

    // What is said and asked meanwhile is refused, with the reason.
    submit(&browser, "text", "said too early").await;
    let refused = "document.getElementById('refused')";
    browser.wait_for(&format!("{refused}.textContent === 'Not sent: {TAKES_NOTHING}'"), SOON).await;
    browser.click("ask").await;
    let unasked = "document.getElementById('unasked')";
    browser
        .wait_for(&format!("{unasked}.textContent === 'No answer: {TAKES_NOTHING}'"), SOON)
        .await;

    // Longer than a connection may be silent that is taken for dead.
    let long = "/for 2[2-9] s/.test(document.getElementById('state-detail').textContent)";
    browser.wait_for(long, AGAIN).await;
    assert_eq!(browser.value("live.state").await, "waiting");
    assert_eq!(browser.value("[live.connections, live.losses, live.gaps].join()").await, "1,0,0");
    assert_eq!(browser.value("document.querySelectorAll('#log .mark').length").await, 0);

    // A page that comes now is told as well.
    browser.client().refresh().await.expect("it loads again");
    browser.wait_for(&format!("window.live && live.resumes.length === 1 && {WAITS}"), SOON).await;
    submit(&browser, "text", "said too early").await;
    browser.wait_for(&format!("!{refused}.hidden"), SOON).await;

    engine.start_again();
    browser.wait_for("live.state === 'live'", AGAIN).await;
    browser.wait_for(&format!("{refused}.hidden"), SOON).await;
    live.publish(["published again"]);
    browser.wait_for(&shows_line("published again"), AGAIN).await;
    assert_eq!(browser.value("[live.connections, live.losses].join()").await, "1,0");
}

async fn a_page_waits_for_an_engine_that_is_full_and_loses_nothing_by_it(kind: Kind) {
    let engine = Engine::start();
    let mut live = engine.node();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    live.publish(["published before"]);
    browser.wait_for(&shows_line("published before"), SOON).await;
    engine.set("maxmemory", "1");
    let full = "live.state === 'waiting' && \
        document.getElementById('state-detail').textContent.startsWith('it is full')";
    browser.wait_for(full, SOON).await;

    // What there is can be read.
    browser.client().refresh().await.expect("it loads again");
    browser.wait_for(&shows_line("published before"), SOON).await;
    browser.wait_for(full, SOON).await;
    engine.set("maxmemory", "0");
    browser.wait_for("live.state === 'live'", AGAIN).await;
    assert_eq!(browser.value("[live.connections, live.losses, live.gaps].join()").await, "1,0,0");
}

async fn an_answer_that_an_engine_cuts_short_is_shown_as_broken_off(kind: Kind) {
    let mut engine = Engine::start();
    let live = engine.node();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    browser.click("ask").await;
    browser.wait_for("live.answer.words >= 3", SOON).await;
    engine.kill();
    browser.wait_for("live.answer.state === 'stalled'", SOON).await;
    engine.start_again();
    browser.wait_for("live.answer.state === 'broken'", AGAIN).await;
    let shown = browser.value("document.getElementById('answer').innerText").await;
    assert!(shown.as_str().is_some_and(|text| text.contains("broke off")), "{shown}");
}
