//! The examples with a page, by the scripts of others, in a browser: what is said appears in each
//! window, and the pages go on by themselves after a restart.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::Locator;
use serde_json::json;

use crate::browser::{AGAIN, Browser, Kind, SOON};
use crate::program::installed;

/// A program and its page.
struct Page {
    program: &'static str,
    path: &'static str,
    /// Where its scripts are among what is installed.
    scripts: &'static str,
}

const DATASTAR: Page = Page { program: "with-datastar", path: "/", scripts: "datastar" };
const HTMX_4: Page = Page { program: "with-htmx", path: "/", scripts: "node/node_modules" };
const HTMX_2: Page = Page { program: "with-htmx", path: "/2", scripts: "node/node_modules" };

macro_rules! tests {
    ($($name:ident = $page:ident)*) => {
        $(
            mod $name {
                #[test]
                #[ignore = "needs chromium and what tests/foreign/install installs"]
                fn what_is_said_is_shown_as_text_and_in_order() {
                    crate::browser::run(super::what_is_said_is_shown(&super::$page));
                }

                #[test]
                #[ignore = "needs chromium and what tests/foreign/install installs"]
                fn what_is_said_while_the_server_is_away_is_not_lost() {
                    crate::browser::run(super::while_the_server_is_away(&super::$page));
                }

                #[test]
                #[ignore = "needs chromium and what tests/foreign/install installs"]
                fn after_a_restart_the_page_goes_on_by_itself() {
                    crate::browser::run(super::after_a_restart(&super::$page));
                }
            }
        )*
    };
}

tests! {
    datastar = DATASTAR
    htmx_4 = HTMX_4
    htmx_2 = HTMX_2
}

/// What is on the wall, oldest first.
const LINES: &str = "[...document.querySelectorAll('#wall li:not(.mark)')].reverse()\
                     .map(line => line.lastChild.textContent)";
const CONNECTED: &str = "document.querySelector('.state').textContent === 'connected'";
const CLAPS: &str = "document.querySelector('.claps').textContent.trim()";

async fn what_is_said_is_shown(page: &Page) {
    let site = Site::start(page, None);
    site.say("before the page came");
    let browser = open(&site).await;
    shows(&browser, &["before the page came"]).await;
    assert_eq!(browser.value("document.querySelector('.people').innerText").await, "you alone");

    let texts = ["<i>no markup</i>", "two\nlines", "Grüße, 世界 🌍", "last"];
    for text in texts {
        site.say(text);
    }
    browser.wait_for(&format!("{LINES}.includes('last')"), SOON).await;
    write(&browser, "from the page").await;
    browser.wait_for("document.querySelector('[name=text]').value === ''", SOON).await;
    let all = ["before the page came", texts[0], texts[1], texts[2], texts[3], "from the page"];
    shows(&browser, &all).await;
    assert_eq!(browser.value("document.querySelectorAll('#wall i').length").await, 0);

    for claps in 1..=2 {
        let clap = browser.client().find(Locator::Css(".claps")).await.expect("it is there");
        clap.click().await.expect("it can be clicked");
        browser.wait_for(&format!("{CLAPS} === 'Clap {claps}'"), SOON).await;
    }
    let elsewhere = "performance.getEntriesByType('resource')\
                     .filter(r => new URL(r.name).origin !== location.origin).map(r => r.name)";
    assert_eq!(browser.value(elsewhere).await, json!([]));

    // Who loads the page again has all of it, once.
    browser.goto(&site.url()).await;
    browser.wait_for(CONNECTED, SOON).await;
    shows(&browser, &all).await;
    assert_eq!(browser.value(CLAPS).await, "Clap 2");
}

async fn after_a_restart(page: &Page) {
    let site = Site::start(page, None);
    let browser = open(&site).await;
    site.say("before");
    shows(&browser, &["before"]).await;
    let address = site.address;
    site.terminate();
    browser.wait_for("document.querySelector('.state').innerText === 'connecting …'", SOON).await;

    let site = Site::start(page, Some(address));
    // It is kept for the page, whether that is back by now or not.
    site.say("first of the next life");
    browser.wait_for(CONNECTED, AGAIN).await;
    shows(&browser, &["before", "first of the next life"]).await;
    browser.wait_for("document.querySelectorAll('#wall .mark').length === 1", SOON).await;
    write(&browser, "from the page").await;
    shows(&browser, &["before", "first of the next life", "from the page"]).await;

    // And once more, with nothing in between that would tell it.
    site.terminate();
    let site = Site::start(page, Some(address));
    site.say("first of a third life");
    let all = ["before", "first of the next life", "from the page", "first of a third life"];
    browser.wait_for("document.querySelectorAll('#wall .mark').length === 2", AGAIN).await;
    shows(&browser, &all).await;
}

/// Datastar sends it when the server is back. By htmx it stays in its field, and can be sent again.
async fn while_the_server_is_away(page: &Page) {
    let site = Site::start(page, None);
    let browser = open(&site).await;
    let address = site.address;
    site.terminate();
    browser.wait_for(&format!("!({CONNECTED})"), SOON).await;
    write(&browser, "said in vain").await;
    let problem = "document.querySelector('.problem').checkVisibility()";
    browser.wait_for(problem, SOON).await;
    let sends_itself = page.program == DATASTAR.program;
    if sends_itself {
        write(&browser, "and once more").await;
    }
    let _site = Site::start(page, Some(address));
    browser.wait_for(CONNECTED, AGAIN).await;
    if !sends_itself {
        write(&browser, ", but not for ever").await;
    }
    let all = if sends_itself {
        vec!["and once more", "said in vain"]
    } else {
        vec!["said in vain, but not for ever"]
    };
    let sorted = format!("{LINES}.sort()");
    browser.wait_for(&format!("{LINES}.length >= {}", all.len()), AGAIN).await;
    assert_eq!(browser.value(&sorted).await, json!(all));
    browser.wait_for(&format!("!{problem}"), SOON).await;
}

async fn open(site: &Site) -> Browser {
    let browser = Browser::start(Kind::Chromium).await;
    browser.goto(&site.url()).await;
    browser.wait_for(CONNECTED, SOON).await;
    browser
}

/// Waits until the wall shows as many lines; they are these, each once.
async fn shows(browser: &Browser, lines: &[&str]) {
    browser.wait_for(&format!("{LINES}.length >= {}", lines.len()), AGAIN).await;
    assert_eq!(browser.value(LINES).await, json!(lines));
}

/// Types a text on the page and sends it.
async fn write(browser: &Browser, text: &str) {
    let field = browser.client().find(Locator::Css("[name=text]")).await.expect("it is there");
    field.send_keys(&format!("{text}\n")).await.expect("it takes text");
}

/// A running program. Dropping it kills it.
struct Site {
    child: Child,
    address: SocketAddr,
    path: &'static str,
}

impl Site {
    /// Starts it on a free port, or on this one as after a restart.
    fn start(page: &Page, address: Option<SocketAddr>) -> Self {
        let program = program(page.program);
        assert!(
            program.exists(),
            "{} is missing: build it with `cargo build -p {}` (and the profile of this test)",
            program.display(),
            page.program
        );
        let address = address.unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
        let mut child = Command::new(&program)
            .args(["--addr", &address.to_string(), "--scripts"])
            .arg(installed().join(page.scripts))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let stdout = child.stdout.take().expect("stdout is piped");
        // From here on an early return kills the child.
        let mut site = Self { child, address, path: page.path };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().strip_prefix("Listening on http://").expect(&line);
        site.address = address.trim_end_matches('/').parse().expect(&line);
        site
    }

    fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }

    /// Says something as another page does.
    fn say(&self, text: &str) {
        let body: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("name", "another")
            .append_pair("text", text)
            .finish();
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        write!(
            stream,
            "POST /say HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    }

    /// Stops it as a supervisor does.
    fn terminate(mut self) {
        let begun = Instant::now();
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill exists");
        assert!(sent.success(), "the program had ended by itself");
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "{status}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `target/<profile>/<name>`, seen from `target/<profile>/deps/<this test>`.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(Path::parent).expect("it is in deps");
    profile.join(name)
}
