//! The page of the `live` example in a real browser: what it shows, and that a connection that is
//! lost costs nothing.

use fantoccini::Locator;
use fantoccini::wd::WindowHandle;
use serde_json::Value;

use crate::browser::{AGAIN, Browser, Kind, SOON, in_both_browsers};
use crate::live::{Live, Stream};
use crate::proxy::{Proxy, field};

in_both_browsers! {
    the_page_shows_what_is_published_as_text_and_in_order,
    a_cut_connection_costs_no_line_and_leaves_a_mark,
    after_a_restart_the_page_is_told_of_the_gap_and_goes_on,
    two_tabs_of_one_person_are_one_stream_and_another_program_is_one_more,
    a_page_begins_with_what_is_kept_also_after_a_reload_and_in_a_further_tab,
    losses_with_nothing_between_them_are_one_mark,
    a_mark_says_of_each_loss_what_is_true_of_it,
    eight_tabs_of_the_page_have_one_stream_and_can_still_speak,
    on_a_phone_the_chat_is_at_hand,
    what_one_tab_says_the_other_shows,
    a_reload_is_not_a_leave,
    an_answer_survives_reloads_and_cuts_and_after_its_end_nobody_asks,
    a_server_that_stops_says_so_and_finishes_its_answers,
}

/// The texts of all lines that the page shows, in its order.
pub(crate) const LINES: &str =
    "[...document.querySelectorAll('#log .line code')].map(n => n.textContent)";
/// The line events that it received, which says more than what it shows: it would also say that
/// one had come twice and had been shown once.
pub(crate) const LINE_EVENTS: &str =
    "live.received.filter(e => e.type === 'line').map(e => e.data)";

async fn the_page_shows_what_is_published_as_text_and_in_order(kind: Kind) {
    let mut live = Live::start();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;

    let lines = [
        "first",
        "<img src=x onerror=\"document.title='forged'\">",
        "  led by two spaces",
        "Grüße, 世界 🌍",
        "data: not a field",
        "&amp; <b>not bold</b>",
        "last",
    ];
    live.publish(lines);
    browser.wait_for(&shows_line("last"), SOON).await;
    assert_eq!(strings(&browser.value(LINES).await), lines);
    assert_eq!(strings(&browser.value(LINE_EVENTS).await), lines);
    assert_eq!(browser.value("document.querySelectorAll('#log img, #log b').length").await, 0);

    // The counters come by themselves, and each line of a chart has its value in words.
    browser.wait_for("live.received.filter(e => e.type === 'counters').length >= 2", SOON).await;
    let values = "[...document.querySelectorAll('#charts dl > div:not([hidden]) dd')]\
                  .every(dd => /\\d/.test(dd.textContent))";
    browser.wait_for(values, SOON).await;

    // One connection, nothing lost, nothing malformed, and nothing from another place.
    let first = browser.value("live.received[0].type").await;
    assert_eq!(first, "sansse-notice", "the first event says how the stream begins");
    assert_eq!(browser.value("live.resumes.map(r => r.stream).join()").await, "kept");
    assert_eq!(
        browser.value("[live.connections, live.losses, live.malformed].join()").await,
        "1,0,0"
    );
    let elsewhere = "performance.getEntriesByType('resource')\
                     .filter(r => new URL(r.name).origin !== location.origin).map(r => r.name)";
    assert_eq!(strings(&browser.value(elsewhere).await), Vec::<String>::new());
}

async fn a_cut_connection_costs_no_line_and_leaves_a_mark(kind: Kind) {
    let mut live = Live::start();
    let proxy = Proxy::start(live.address());
    let browser = Browser::start(kind).await;
    open(&browser, &proxy.url()).await;
    let url = format!("/events?client=witness-{}&name=witness", std::process::id());
    let mut witness = Stream::open(live.address(), &url, SOON);

    live.publish((0..50).map(line));
    browser.wait_for(&shows_line(&line(49)), SOON).await;

    // Some of these are on their way when the connection is cut.
    live.publish((50..150).map(line));
    proxy.cut();
    browser.wait_for("live.state === 'lost'", SOON).await;
    let last_seen = browser.value("live.received[live.received.length - 1].id").await;

    // The witness tells that these have been published while the browser was away.
    live.publish((150..200).map(line));
    witness.wait_for(&format!("data: {}\n", line(199)), SOON);
    browser.wait_for("document.querySelector('#log .mark')", SOON).await;
    assert!(proxy.has_refused(AGAIN), "the browser did not try again");
    proxy.restore();
    browser.wait_for("live.resumes.length === 2", AGAIN).await;
    live.publish((200..250).map(line));
    browser.wait_for(&shows_line(&line(249)), SOON).await;

    let all: Vec<String> = (0..250).map(line).collect();
    assert_eq!(strings(&browser.value(LINES).await), all, "shown once and in order");
    assert_eq!(strings(&browser.value(LINE_EVENTS).await), all, "received once and in order");

    // It asked for what came after the last event that it had.
    let heads = proxy.heads("/events");
    assert_eq!(heads.len(), 2, "{heads:#?}");
    assert_eq!(field(&heads[0], "last-event-id"), None);
    assert_eq!(field(&heads[1], "last-event-id"), last_seen.as_str());

    // The page says how it went, in numbers that are true.
    assert_eq!(browser.value("live.resumes[1].stream").await, "complete");
    let replayed = browser.value("live.resumes[1].replayed").await.as_u64().expect("a count");
    assert!(replayed >= 50, "at least those that were published meanwhile, not {replayed}");
    let again = "live.received.filter(e => e.replayed && e.type === 'line').map(e => e.data)";
    let again = strings(&browser.value(again).await);
    assert!(again.len() >= 50 && again.len() as u64 <= replayed, "{again:?}");
    assert_eq!(again, all[200 - again.len()..200], "those before it was back, and no others");
    let mark = browser
        .value("document.querySelector('#log .mark[data-outcome=complete]').innerText")
        .await;
    let mark = mark.as_str().expect("a text");
    assert!(mark.contains("Connection was lost for"), "{mark}");
    assert!(mark.contains(&format!("{replayed} events were replayed")), "{mark}");
    assert!(mark.contains("nothing is missing"), "{mark}");
    assert_eq!(browser.value("document.querySelectorAll('#log .mark').length").await, 1);
}

async fn after_a_restart_the_page_is_told_of_the_gap_and_goes_on(kind: Kind) {
    let mut live = Live::start();
    let address = live.address();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    live.publish((0..5).map(line));
    browser.wait_for(&shows_line(&line(4)), SOON).await;

    live.interrupt();
    browser.wait_for("live.state === 'lost'", SOON).await;
    let mut live = Live::start_at(address);
    browser.wait_for("live.resumes.length === 2", AGAIN).await;
    assert_eq!(browser.value("live.resumes[1].reason").await, "restart");
    live.publish((5..10).map(line));
    browser.wait_for(&shows_line(&line(9)), SOON).await;

    let all: Vec<String> = (0..10).map(line).collect();
    assert_eq!(strings(&browser.value(LINES).await), all);
    let mark = browser.value("document.querySelector('#log .mark.missing').innerText").await;
    let mark = mark.as_str().expect("a text");
    assert!(mark.contains("events may be missing"), "{mark}");
    assert!(mark.contains("The server was started anew"), "{mark}");

    // The gap is behind it: a further connection resumes from the new server's events.
    submit(&browser, "name", "Renamed").await;
    browser.wait_for("live.resumes.length === 3", SOON).await;
    assert_eq!(browser.value("live.resumes[2].stream").await, "complete");
    assert_eq!(browser.value("live.losses").await, 1, "a new name is no loss");
}

async fn two_tabs_of_one_person_are_one_stream_and_another_program_is_one_more(kind: Kind) {
    let live = Live::start();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    browser.wait_for(&present(1, 1), SOON).await;
    let first = browser.tab().await;
    let second = second_tab(&browser, &live.url()).await;
    browser.wait_for(&present(1, 1), SOON).await;
    assert_eq!(browser.value("live.leads").await, false, "the first tab has the connection");

    // The same person, elsewhere.
    let client = browser.value("live.client").await;
    let url = format!("/events?client={}&name=Elsewhere", client.as_str().expect("a name"));
    let elsewhere = Stream::open(live.address(), &url, SOON);
    browser.wait_for(&present(1, 2), SOON).await;
    browser.switch_to(&first).await;
    browser.wait_for(&present(1, 2), SOON).await;
    drop(elsewhere);
    browser.wait_for(&present(1, 1), SOON).await;

    // Somebody else comes and goes.
    let url = "/events?client=somebody-else&name=Somebody%20else";
    let other = Stream::open(live.address(), url, SOON);
    browser.wait_for(&present(2, 1), SOON).await;
    let shown = browser.value("document.getElementById('people').innerText").await;
    assert!(shown.as_str().is_some_and(|text| text.contains("Somebody else")), "{shown}");
    drop(other);
    browser.wait_for(&present(1, 1), SOON).await;

    // The tab that had the connection goes, and the other goes on with it.
    browser.client().close_window().await.expect("it closes");
    browser.switch_to(&second).await;
    browser.wait_for("live.leads && live.state === 'live'", SOON).await;
    browser.wait_for(&present(1, 1), SOON).await;
    assert_eq!(browser.value("live.losses").await, 0);
    let left =
        "live.changes.filter(change => !change.here && change.client === live.client).length";
    assert_eq!(browser.value(left).await, 0, "the person never left");
}

async fn a_page_begins_with_what_is_kept_also_after_a_reload_and_in_a_further_tab(kind: Kind) {
    let mut live = Live::start();
    let mut witness = Stream::open(live.address(), "/events?client=witness&name=Witness", SOON);
    live.publish((0..500).map(line));
    witness.wait_for(&format!("data: {}\n", line(499)), SOON);
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    submit(&browser, "text", "said before").await;

    let shown: Vec<String> = (100..500).map(line).collect();
    let chart = "live.received.filter(e => e.type === 'counters' && e.replayed).length >= 3";
    let said = "[...document.querySelectorAll('#log .chat .text')].map(n => n.textContent).join()";
    let begins = async |what: &str| {
        browser.wait_for(&shows_line(&line(499)), SOON).await;
        assert_eq!(strings(&browser.value(LINES).await), shown, "{what}: the last 400, in order");
        browser.wait_for(&format!("{said} === 'said before'"), SOON).await;
        browser.wait_for(chart, SOON).await;
        assert_eq!(browser.value("live.resumes.map(r => r.stream).join()").await, "kept", "{what}");
        assert_eq!(browser.value("document.querySelectorAll('#log .mark').length").await, 0);
        browser.wait_for(&present(2, 1), SOON).await;
        let ages = "[...document.querySelectorAll('#log .line time')].every(n => n.textContent === 'earlier')";
        assert_eq!(browser.value(ages).await, true, "nobody knows how old they are");
    };
    // So that three readings are from before.
    browser.wait_for(&counters_more_than(&browser, 3).await, SOON).await;
    browser.client().refresh().await.expect("it loads again");
    began(&browser).await;
    begins("after a reload").await;

    second_tab(&browser, &live.url()).await;
    assert_eq!(browser.value("live.leads").await, false);
    begins("in a further tab").await;
    live.publish(["and on it goes"]);
    browser.wait_for(&shows_line("and on it goes"), SOON).await;
    witness.wait_for("data: and on it goes\n", SOON);
}

async fn losses_with_nothing_between_them_are_one_mark(kind: Kind) {
    let mut live = Live::start();
    let proxy = Proxy::start(live.address());
    let browser = Browser::start(kind).await;
    open(&browser, &proxy.url()).await;
    let marks = "[...document.querySelectorAll('#log .mark')].map(mark => mark.innerText)";
    let lose = async |losses: u32| {
        proxy.cut();
        browser.wait_for("live.state === 'lost'", SOON).await;
        proxy.restore();
        browser.wait_for(&format!("live.resumes.length === {}", losses + 1), AGAIN).await;
    };
    live.publish(["before them"]);
    browser.wait_for(&shows_line("before them"), AGAIN).await;
    for losses in 1..=3 {
        lose(losses).await;
    }
    let three = strings(&browser.value(marks).await);
    assert_eq!(three.len(), 1, "{three:#?}");
    assert!(three[0].contains("Connection was lost 3 times, for "), "{three:#?}");
    assert!(three[0].contains("nothing is missing"), "{three:#?}");

    // It stays where it was when something comes after it, and a further loss has its own.
    live.publish(["after them"]);
    browser.wait_for(&shows_line("after them"), SOON).await;
    lose(4).await;
    browser.wait_for(&format!("{marks}.length === 2"), SOON).await;
    let both = strings(&browser.value(marks).await);
    assert!(both[0].contains("Connection was lost 3 times, for "), "{both:#?}");
    assert!(both[1].contains("Connection was lost for "), "{both:#?}");
    let order = "[...document.querySelectorAll('#log li[class]')].map(item => item.className.split(' ')[0]).join()";
    assert_eq!(browser.value(order).await, "line,mark,line,mark");
}

async fn a_mark_says_of_each_loss_what_is_true_of_it(kind: Kind) {
    let live = Live::start();
    let address = live.address();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    // By SIGKILL, of which the server says nothing.
    drop(live);
    browser.wait_for("live.state === 'lost'", SOON).await;
    let live = Live::start_at(address);
    browser.wait_for("live.resumes.length === 2", AGAIN).await;

    live.interrupt();
    let mark = "document.querySelector('#log .mark')?.innerText ?? ''";
    browser.wait_for(&format!("({mark}).includes('The server has stopped')"), SOON).await;
    let mark = browser.value(mark).await;
    let mark = mark.as_str().expect("a text");
    assert!(!mark.contains("2nd time"), "it stopped once: {mark}");
    assert!(mark.contains("The connection was away once before"), "{mark}");
    assert_eq!(browser.value("document.querySelectorAll('#log .mark').length").await, 1);
}

async fn eight_tabs_of_the_page_have_one_stream_and_can_still_speak(kind: Kind) {
    let mut live = Live::start();
    let proxy = Proxy::start(live.address());
    let browser = Browser::start(kind).await;
    open(&browser, &proxy.url()).await;
    let mut tabs = vec![browser.tab().await];
    while tabs.len() < 8 {
        tabs.push(second_tab(&browser, &proxy.url()).await);
    }
    assert_eq!(proxy.heads("/events").len(), 1, "one connection");
    live.publish((0..50).map(line));
    let all: Vec<String> = (0..50).map(line).collect();
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.wait_for(&shows_line(&line(49)), SOON).await;
        assert_eq!(strings(&browser.value(LINES).await), all);
    }
    // With a stream each, no connection would be left to say something.
    submit(&browser, "text", "from the eighth tab").await;
    browser.wait_for("document.querySelector('#log .chat')", SOON).await;
    let note = browser.value("document.getElementById('tabs-note').innerText").await;
    assert!(note.as_str().is_some_and(|note| note.contains("share one stream")), "{note}");

    // The tab with the connection goes.
    browser.switch_to(&tabs[0]).await;
    assert_eq!(browser.value("live.leads").await, true);
    browser.client().close_window().await.expect("it closes");
    live.publish((50..100).map(line));
    let all: Vec<String> = (0..100).map(line).collect();
    for tab in &tabs[1..] {
        browser.switch_to(tab).await;
        browser.wait_for(&shows_line(&line(99)), SOON).await;
        assert_eq!(strings(&browser.value(LINES).await), all, "nothing lost, nothing twice");
        assert_eq!(strings(&browser.value(LINE_EVENTS).await), all);
        assert_eq!(browser.value("[live.losses, live.gaps, live.malformed].join()").await, "0,0,0");
    }
    assert_eq!(proxy.heads("/events").len(), 2, "another tab asked once");
}

async fn on_a_phone_the_chat_is_at_hand(kind: Kind) {
    let live = Live::start();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    browser.narrow(390, 844).await;
    let seen = "(box => box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth)\
                (document.getElementById('text').getBoundingClientRect())";
    browser.wait_for(seen, SOON).await;
    let wide = browser.value("document.documentElement.scrollWidth <= innerWidth").await;
    assert_eq!(wide, true, "nothing is wider than the screen");
    submit(&browser, "text", "from a phone").await;
    let said = "(box => box && box.getBoundingClientRect().bottom <= innerHeight)(document.querySelector('#log .chat'))";
    browser.wait_for(said, SOON).await;
}

async fn what_one_tab_says_the_other_shows(kind: Kind) {
    let live = Live::start();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    let first = browser.tab().await;
    second_tab(&browser, &live.url()).await;

    let text = "Hello <i>there</i> & good day: äöü 🌍";
    submit(&browser, "text", text).await;
    browser.wait_for("document.getElementById('text').value === ''", SOON).await;
    assert_eq!(browser.value("document.getElementById('refused').hidden").await, true);

    browser.switch_to(&first).await;
    let said = "[...document.querySelectorAll('#log .chat .text')].map(n => n.textContent)";
    browser.wait_for(&format!("{said}.length"), SOON).await;
    assert_eq!(strings(&browser.value(said).await), [text]);
    let who = browser
        .value("document.querySelector('#log .chat .who').textContent === `${live.name} (you)`");
    assert_eq!(who.await, true, "both tabs are one person");

    // In order, and once each, when both have been at it.
    submit(&browser, "text", "second").await;
    submit(&browser, "text", "third").await;
    browser.wait_for(&format!("{said}.length === 3"), SOON).await;
    assert_eq!(strings(&browser.value(said).await), [text, "second", "third"]);
}

async fn a_reload_is_not_a_leave(kind: Kind) {
    let live = Live::start();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    let client = browser.value("live.client").await;
    let other = Browser::start(kind).await;
    open(&other, &live.url()).await;
    other.wait_for(&present(2, 1), SOON).await;
    let watch = "const who = arguments[0]; window.removals = 0;\
                 new MutationObserver(all => all.forEach(one => one.removedNodes.forEach(node => {\
                     if (node.dataset && node.dataset.client === who) window.removals += 1;\
                 }))).observe(document.getElementById('people'), { childList: true });";
    other.client().execute(watch, vec![client.clone()]).await.expect("it watches");

    browser.client().refresh().await.expect("it loads again");
    began(&browser).await;
    let sessions = format!("live.changes.filter(c => c.client === {client}).map(c => c.sessions)");
    other.wait_for(&format!("{sessions}.join() === '0,1'"), SOON).await;
    // A person who goes only now leaves later than the one who came back would have.
    let url = "/events?client=barrier&name=Barrier";
    let barrier = Stream::open(live.address(), url, SOON);
    other.wait_for(&present(3, 1), SOON).await;
    drop(barrier);
    let left = "live.changes.filter(c => !c.here).map(c => c.client)";
    other.wait_for(&format!("{left}.length"), SOON).await;
    assert_eq!(strings(&other.value(left).await), ["barrier"]);
    other.wait_for(&present(2, 1), SOON).await;
    assert_eq!(other.value("removals").await, 0, "the list did not flicker");

    // Without a new load it is a leave, and those who stay are not told of anything else.
    drop(browser);
    other.wait_for(&present(1, 1), SOON).await;
    let lists = "live.received.filter(e => e.type === 'people').length";
    assert!(other.value(lists).await.as_u64() <= Some(2), "changes are told, not the list");
}

async fn an_answer_survives_reloads_and_cuts_and_after_its_end_nobody_asks(kind: Kind) {
    let live = Live::start();
    let proxy = Proxy::start(live.address());
    let browser = Browser::start(kind).await;
    open(&browser, &proxy.url()).await;
    browser.click("ask").await;
    browser.wait_for("live.answer.words >= 5", SOON).await;
    let url = browser.value("live.answer.url").await;

    browser.client().refresh().await.expect("it loads again");
    began(&browser).await;
    browser.wait_for("live.answer.words > live.answer.again", SOON).await;
    assert_eq!(browser.value("live.answer.url").await, url);
    let again = browser.value("live.answer.again").await;
    assert!(again.as_u64() >= Some(5), "what was said is said again, not {again}");

    proxy.cut();
    browser.wait_for("live.state === 'lost'", SOON).await;
    proxy.restore();
    browser.wait_for("live.answer.connections === 2", AGAIN).await;
    assert_eq!(browser.value("live.answer.whole").await, false, "it is in the middle");

    browser.wait_for("live.answer.state === 'complete'", AGAIN).await;
    assert_eq!(browser.value("live.answer.whole").await, true);
    let heads = proxy.heads("/answers/");
    assert_eq!(heads.len(), 4, "asked, loaded again, cut, and after the end: {heads:#?}");
    assert!(
        heads[1..]
            .iter()
            .map(|head| field(head, "last-event-id").is_some())
            .eq([false, true, true])
    );
    browser.wait_for(&counters_more_than(&browser, 3).await, SOON).await;
    assert_eq!(proxy.heads("/answers/").len(), 4, "it asks no more");

    // The same words as for one who comes only now, once each and in order.
    let shown = browser.value("document.getElementById('answer-text').textContent").await;
    let shown = shown.as_str().expect("a text");
    assert_eq!(shown, words(&browser, &url).await);
    assert!(shown.split(' ').count() > 50 && shown.ends_with("leaves it at that."), "{shown}");
    let state = browser.value("document.getElementById('answer-state').textContent").await;
    assert!(state.as_str().is_some_and(|state| state.contains("204")), "{state}");

    // What is over is said again too, and is over again.
    browser.client().refresh().await.expect("it loads again");
    began(&browser).await;
    browser.wait_for("live.answer.state === 'complete'", SOON).await;
    let text = browser.value("document.getElementById('answer-text').textContent").await;
    assert_eq!(text, shown);
}

async fn a_server_that_stops_says_so_and_finishes_its_answers(kind: Kind) {
    let live = Live::start();
    let address = live.address();
    let browser = Browser::start(kind).await;
    open(&browser, &live.url()).await;
    browser.click("ask").await;
    browser.wait_for("live.answer.words >= 3", SOON).await;

    live.interrupt();
    browser.wait_for("live.state === 'lost' && live.answer.whole", SOON).await;
    // It is drawn with the next frame.
    let mark = "document.querySelector('#log .mark')?.innerText.includes('has stopped')";
    browser.wait_for(mark, SOON).await;

    // Another life knows nothing of that answer, and the browser stops asking.
    let _live = Live::start_at(address);
    browser.wait_for("live.resumes.length === 2", AGAIN).await;
    browser.wait_for("live.answer.state === 'complete'", AGAIN).await;
}

/// Opens the page and waits until its stream has begun.
pub(crate) async fn open(browser: &Browser, url: &str) {
    browser.goto(url).await;
    began(browser).await;
}

async fn began(browser: &Browser) {
    browser
        .wait_for("window.live && live.state === 'live' && live.resumes.length === 1", SOON)
        .await;
}

/// Opens the page in a further tab, which is the current one then.
async fn second_tab(browser: &Browser, url: &str) -> WindowHandle {
    let tab = browser.new_tab().await;
    open(browser, url).await;
    tab
}

/// Types into a box, as a person does, and presses Enter.
pub(crate) async fn submit(browser: &Browser, id: &str, text: &str) {
    let field = browser.client().find(Locator::Id(id)).await.expect("a box");
    // Chromedriver types characters beyond the basic plane only as a script.
    let script = "const [id, text] = arguments;\
                  const box = document.getElementById(id);\
                  box.focus(); box.select(); document.execCommand('insertText', false, text);";
    browser
        .client()
        .execute(script, vec![Value::from(id), Value::from(text)])
        .await
        .expect("it is typed");
    field.send_keys("\u{e007}").await.expect("Enter is pressed");
}

pub(crate) fn line(number: u32) -> String {
    format!("line {number} of the test")
}

pub(crate) fn shows_line(text: &str) -> String {
    let text = Value::from(text);
    format!("[...document.querySelectorAll('#log .line code')].some(n => n.textContent === {text})")
}

/// That the page shows so many people, and so many sessions of its own.
fn present(people: usize, sessions: usize) -> String {
    format!(
        "document.querySelectorAll('#people li[data-client]').length === {people} && \
         document.querySelector('#people li.you')?.dataset.sessions === '{sessions}'"
    )
}

/// That so many counters more have come, hence as many seconds have gone.
async fn counters_more_than(browser: &Browser, more: u64) -> String {
    let counters = "live.received.filter(e => e.type === 'counters').length";
    let before = browser.value(counters).await.as_u64().expect("a count");
    format!("{counters} > {}", before + more)
}

/// The words of an answer, as the server says them to one who asks for all.
async fn words(browser: &Browser, url: &Value) -> String {
    let script = "const [url, done] = arguments; fetch(url).then(r => r.text()).then(done);";
    let stream = browser.client().execute_async(script, vec![url.clone()]).await.expect("a stream");
    let stream = stream.as_str().expect("a text");
    let words = stream.split("\n\n").filter(|event| event.contains("event: word\n"));
    words.map(|event| event.split_once("data: ").expect("data").1).collect()
}

pub(crate) fn strings(value: &Value) -> Vec<String> {
    let texts = value.as_array().expect("an array").iter();
    texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
}
