//! The table of the guide `guide::clients`: each of its cells is compared with what a client did.
//!
//! A client is a page in `pages/` or a program in `programs/` that uses a library as its
//! documentation shows, or with the one option that its row names. It reads one site for each
//! situation, all at once. When a cell differs, the test prints the row as it is to be.

mod heard;
mod site;
mod situations;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::sleep;

use self::heard::Heard;
use self::site::{Form, Site};
use self::situations::{AsksAfter, SEEN, Scene, Situation};
use crate::browser::{self, Browser, Kind};
use crate::program::{Program, installed};

const GUIDE: &str = include_str!("../../../src/guide/clients.rs");

const AROUND: &str = include_str!("pages/around.html");
const EVENT_SOURCE: &str = include_str!("pages/event-source.html");
const FETCH_EVENT_SOURCE: &str = include_str!("pages/fetch-event-source.html");
const SSE: &str = include_str!("pages/sse.html");
const DATASTAR: &str = include_str!("pages/datastar.html");
const HTMX_2: &str = include_str!("pages/htmx-2.html");
const HTMX_4: &str = include_str!("pages/htmx-4.html");

/// How often a browser is asked what its pages have said.
const LISTEN_EVERY: Duration = Duration::from_millis(50);

#[test]
#[ignore = "needs chromium and chromium-driver"]
fn event_source_in_chromium() {
    let rows = [Row::page("`EventSource` in Chromium", EVENT_SOURCE)];
    browser::run(in_browser(Kind::Chromium, &rows));
}

#[test]
#[ignore = "needs firefox-esr and geckodriver"]
fn event_source_in_firefox() {
    let rows = [Row::page("`EventSource` in Firefox", EVENT_SOURCE)];
    browser::run(in_browser(Kind::Firefox, &rows));
}

#[test]
#[ignore = "needs chromium and what tests/foreign/install installs"]
fn fetch_event_source() {
    let name = format!("fetch-event-source {}", version("@microsoft/fetch-event-source"));
    let throws = FETCH_EVENT_SOURCE.replace("// MORE", "onclose() { throw new Error('over'); }");
    let rows = [
        Row::page(&name, FETCH_EVENT_SOURCE),
        Row::page(&format!("{name}, `onclose` throws"), &throws),
    ];
    browser::run(in_browser(Kind::Chromium, &rows));
}

#[test]
#[ignore = "needs chromium and what tests/foreign/install installs"]
fn sse_js() {
    let name = format!("sse.js {}", version("sse.js"));
    let returns = SSE.replace("/* MORE */", ", autoReconnect: true");
    let rows = [
        Row::page(&name, SSE).asking_after(AsksAfter::Nothing),
        Row::page(&format!("{name}, `autoReconnect`"), &returns),
    ];
    browser::run(in_browser(Kind::Chromium, &rows));
}

#[test]
#[ignore = "needs chromium and what tests/foreign/install installs"]
fn datastar() {
    let name = format!("Datastar {}", datastar_version());
    let always = DATASTAR.replace("/* MORE */", "retry: 'always'");
    let rows = [
        Row::page(&name, DATASTAR).of_signals(),
        Row::page(&format!("{name}, `retry: 'always'`"), &always).of_signals(),
    ];
    browser::run(in_browser(Kind::Chromium, &rows));
}

#[test]
#[ignore = "needs chromium and what tests/foreign/install installs"]
fn htmx() {
    let two = format!("htmx {}, ext-sse {}", version("htmx2"), version("htmx-ext-sse"));
    let four = format!("htmx {}, hx-sse", version("htmx.org"));
    let rows = [Row::page(&two, HTMX_2), Row::page(&four, HTMX_4)];
    browser::run(in_browser(Kind::Chromium, &rows));
}

/// What the guide `guide::datastar_and_htmx` says of an event in place of a 204.
#[test]
#[ignore = "needs chromium and what tests/foreign/install installs"]
fn an_event_in_place_of_a_204_stops_htmx() {
    let pages = [
        HTMX_2.replace("sse-connect=/events", "sse-connect=/events sse-close=done"),
        HTMX_4.replace("hx-sse:connect=/events", "hx-sse:connect=/events hx-sse:close=done"),
    ];
    let rows = pages.map(|page| Row::page("", &page));
    browser::run(async {
        let heard = Heard::default();
        let mut scenes = rows.each_ref().map(|row| row.scene(&heard, Situation::Done));
        let around = around(scenes.iter());
        let browser = Browser::start(Kind::Chromium).await;
        browser.goto(&around.url("/")).await;
        let does = while_listening(&browser, &heard, play(&mut scenes)).await;
        assert_eq!(does, ["away, silent", "away, silent"]);
    });
}

/// What the guides say of pages that are to read on.
#[test]
#[ignore = "needs chromium and what tests/foreign/install installs"]
fn pages_that_are_told_to_read_on_while_they_are_hidden_do_so() {
    let reads_on = r#"hx-sse:connect=/events hx-config='{"sse": {"pauseOnBackground": false}}'"#;
    let rows = [
        Row::page("", &FETCH_EVENT_SOURCE.replace("// MORE", "openWhenHidden: true")),
        Row::page("", &DATASTAR.replace("/* MORE */", "openWhenHidden: true")).of_signals(),
        Row::page("", &HTMX_4.replace("hx-sse:connect=/events", reads_on)),
    ];
    browser::run(async {
        let heard = Heard::default();
        let hidden = rows.each_ref().map(|row| row.scene(&heard, Situation::Hidden));
        let around = around(hidden.iter());
        let browser = Browser::start(Kind::Chromium).await;
        browser.goto(&around.url("/")).await;
        assert_eq!(hide(&browser, &heard, &hidden).await, ["reads on"; 3]);
    });
}

#[tokio::test]
#[ignore = "needs what tests/foreign/install installs"]
async fn event_source_of_npm() {
    let row = Row::named(&format!("npm eventsource {}", version("eventsource")));
    as_program(&row, "table/programs/event-source.cjs", &["eventsource"]).await;
}

#[tokio::test]
#[ignore = "needs what tests/foreign/install installs"]
async fn event_source_of_undici() {
    let row = Row::named(&format!("`EventSource` of undici {}", version("undici")));
    as_program(&row, "table/programs/event-source.cjs", &["undici"]).await;
}

#[tokio::test]
#[ignore = "needs what tests/foreign/install installs"]
async fn httpx_sse() {
    let row = Row::named(&format!("httpx-sse {}", python_version("httpx-sse")));
    let row = row.asking_after(AsksAfter::Nothing);
    as_program(&row, "table/programs/httpx-sse.py", &[]).await;
}

#[tokio::test]
#[ignore = "needs what tests/foreign/install installs"]
async fn aiohttp_sse_client() {
    let row = Row::named(&format!("aiohttp-sse-client2 {}", python_version("aiohttp-sse-client2")));
    let row = row.asking_after(AsksAfter::CleanEnd);
    as_program(&row, "table/programs/aiohttp-sse-client2.py", &[]).await;
}

/// A client, as a row of the table.
struct Row {
    name: String,
    page: String,
    form: Form,
    asks_after: AsksAfter,
}

impl Row {
    fn named(name: &str) -> Self {
        Self::page(name, "")
    }

    fn page(name: &str, page: &str) -> Self {
        let (name, page) = (name.to_owned(), page.to_owned());
        Self { name, page, form: Form::Message, asks_after: AsksAfter::Cut }
    }

    fn of_signals(self) -> Self {
        Self { form: Form::Signal, ..self }
    }

    fn asking_after(self, asks_after: AsksAfter) -> Self {
        Self { asks_after, ..self }
    }

    /// What the guide has in this column; empty if it has no such row.
    fn told(&self, column: usize) -> String {
        let cells = GUIDE.lines().filter_map(|line| line.strip_prefix("//! | "));
        let cells = cells.map(|row| row.trim_end_matches('|').split('|').map(str::trim));
        let mut of_it = cells.filter(|cells| cells.clone().next() == Some(&self.name));
        let told = of_it.next().and_then(|mut cells| cells.nth(1 + column));
        told.unwrap_or_default().to_owned()
    }

    fn scene<'a>(&self, heard: &'a Heard, situation: Situation) -> Scene<'a> {
        let told = self.told(situation as usize);
        Scene::new(heard, (&self.page, self.form), self.asks_after, situation, told)
    }

    fn scenes<'a>(&self, heard: &'a Heard) -> Vec<Scene<'a>> {
        SEEN.map(|situation| self.scene(heard, situation)).into()
    }

    /// The row as it is to be, unless the guide has it so.
    fn correction(&self, seen: &[String]) -> Option<String> {
        let is_told = (0..seen.len()).all(|column| self.told(column) == seen[column]);
        (!is_told).then(|| format!("//! | {} | {} |", self.name, seen.join(" | ")))
    }
}

/// Fails unless the guide says what was seen.
fn compare(rows: &[Row], seen: &[Vec<String>]) {
    let wrong = rows.iter().zip(seen).filter_map(|(row, seen)| row.correction(seen));
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "the guide does not say what was seen:\n{}\n", wrong.join("\n"));
}

/// Has all situations at once, and returns what the cells are to say.
async fn play(scenes: &mut [Scene<'_>]) -> Vec<String> {
    join_all(scenes.iter_mut().map(Scene::play)).await
}

async fn as_program(row: &Row, script: &str, arguments: &[&str]) {
    let heard = Heard::default();
    let mut scenes = row.scenes(&heard);
    let urls: Vec<String> = scenes.iter().map(|scene| scene.site.url("/events")).collect();
    let arguments: Vec<&str> =
        arguments.iter().copied().chain(urls.iter().map(String::as_str)).collect();
    let mut program = Program::start(script, &arguments);
    let listen = async {
        loop {
            heard.note(program.next().await);
        }
    };
    let mut seen = tokio::select! {
        seen = play(&mut scenes) => seen,
        never = listen => never,
    };
    seen.push("–".to_owned());
    compare(std::slice::from_ref(row), &[seen]);
}

async fn in_browser(kind: Kind, rows: &[Row]) {
    let heard = Heard::default();
    let mut scenes: Vec<_> = rows.iter().map(|row| row.scenes(&heard)).collect();
    let hidden: Vec<_> = rows.iter().map(|row| row.scene(&heard, Situation::Hidden)).collect();
    let around = around(scenes.iter().flatten().chain(&hidden));
    let browser = Browser::start(kind).await;
    browser.goto(&around.url("/")).await;
    let playing = join_all(scenes.iter_mut().map(|scenes| play(scenes)));
    let mut seen = while_listening(&browser, &heard, playing).await;
    drop(scenes);

    let cells = hide(&browser, &heard, &hidden).await;
    for (seen, cell) in seen.iter_mut().zip(cells) {
        seen.push(cell);
    }
    compare(rows, &seen);
}

/// Hides the pages of these scenes for a while, and returns what their cells are to say.
async fn hide(browser: &Browser, heard: &Heard, hidden: &[Scene<'_>]) -> Vec<String> {
    while_listening(browser, heard, join_all(hidden.iter().map(Scene::begin_hidden))).await;
    let shown = browser.tab().await;
    browser.new_tab().await;
    // What the pages say now is heard when they are seen again.
    let read = join_all(hidden.iter().map(Scene::reads_hidden)).await;
    browser.client().close_window().await.expect("it was opened");
    browser.switch_to(&shown).await;
    let ends = hidden.iter().zip(read).map(|(scene, read)| scene.end_hidden(read));
    while_listening(browser, heard, join_all(ends)).await
}

/// A page with the pages of all scenes in it.
fn around<'a>(scenes: impl Iterator<Item = &'a Scene<'a>>) -> Site {
    let pages = scenes.map(|scene| scene.site.url("/"));
    let frames = pages.map(|url| format!("<iframe src={url}></iframe>\n"));
    let page = AROUND.to_owned() + &frames.collect::<String>();
    Site::start(&page, Form::Message, Duration::ZERO)
}

/// Hears what the pages of the current tab say until something is done.
async fn while_listening<T>(browser: &Browser, heard: &Heard, doing: impl Future<Output = T>) -> T {
    let listen = async {
        loop {
            // What is asked when this is dropped may never be heard: so the page keeps it all.
            let further = format!("said.slice({})", heard.count());
            if let Value::Array(said) = browser.value(&further).await {
                for said in said {
                    heard.note(said);
                }
            }
            sleep(LISTEN_EVERY).await;
        }
    };
    tokio::select! {
        done = doing => done,
        never = listen => never,
    }
}

/// The version of a package of npm, as it is installed.
fn version(package: &str) -> String {
    let package = text(&format!("node/node_modules/{package}/package.json"));
    let package: Value = serde_json::from_str(&package).expect("it is JSON");
    package["version"].as_str().expect("it has a version").to_owned()
}

/// The version of a package for Python, as it is wanted.
fn python_version(package: &str) -> &'static str {
    let wanted = include_str!("../requirements.txt");
    let mut versions = wanted.lines().filter_map(|line| line.split_once("=="));
    versions.find(|(name, _)| *name == package).expect("it is wanted").1
}

/// What the script says of itself in its first line.
fn datastar_version() -> String {
    let script = text("datastar/datastar.js");
    let version = script.strip_prefix("// Datastar v").and_then(|rest| rest.split(' ').next());
    version.expect("it says its version").to_owned()
}

/// What is in a file of those that are installed.
fn text(path: &str) -> String {
    std::fs::read_to_string(installed().join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}
