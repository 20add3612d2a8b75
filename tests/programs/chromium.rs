//! Headless Chromium behind chromedriver, gone with all its processes when it is dropped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::error::NewSessionError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

const STARTS_WITHIN: Duration = Duration::from_secs(30);
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// For names that no other test of this process uses.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// One browser with a fresh profile, hence one person.
pub(crate) struct Browser {
    client: Client,
    // Dropped in this order: the processes, then their files.
    _driver: Driver,
    _profile: Profile,
}

impl Browser {
    /// A browser that does not start on a busy machine says nothing about the page, so that it
    /// gets a further chance.
    pub(crate) async fn start() -> Self {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match tokio::time::timeout(STARTS_WITHIN, Self::try_start()).await {
                Ok(Ok(browser)) => return browser,
                Ok(Err(error)) if attempts == ATTEMPTS => panic!("chromedriver: {error}"),
                Err(late) if attempts == ATTEMPTS => panic!("the browser did not start: {late}"),
                Ok(Err(error)) => eprintln!("chromedriver: {error}; once more"),
                Err(late) => eprintln!("the browser did not start: {late}; once more"),
            }
        }
    }

    async fn try_start() -> Result<Self, NewSessionError> {
        let profile = Profile::new();
        let driver = Driver::start();
        let mut options = json!({
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-dev-shm-usage", "--window-size=1280,900",
                format!("--user-data-dir={}", profile.0.display()),
            ],
        });
        // Chromedriver looks for Google's names; Debian's and others' are told.
        if let Some(binary) = found(&["chromium", "chromium-browser", "google-chrome"]) {
            options["binary"] = json!(binary);
        }
        let capabilities = json!({ "browserName": "chrome", "goog:chromeOptions": options });
        let Value::Object(capabilities) = capabilities else { unreachable!("written above") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.url)
            .await?;
        Ok(Self { client, _driver: driver, _profile: profile })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The value of a JavaScript expression in the current tab.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        self.client
            .execute(&format!("return ({expression});"), Vec::new())
            .await
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Clicks what has this id.
    pub(crate) async fn click(&self, id: &str) {
        let button = self.client.find(Locator::Id(id)).await.expect("it is on the page");
        button.click().await.expect("it can be clicked");
    }

    /// Waits until the expression is truthy, and returns it then. At the deadline it fails, and
    /// says what the page looked like.
    pub(crate) async fn wait_for(&self, expression: &str, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        loop {
            let value = self.value(expression).await;
            if truthy(&value) {
                return value;
            }
            if Instant::now() >= deadline {
                let picture = self.picture().await;
                let state = self.value(STATE).await;
                panic!(
                    "after {within:?} still {value} for {expression}\nthe page: {state:#}\na picture: {}",
                    picture.display()
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn picture(&self) -> PathBuf {
        let name = format!("browser-{}.png", NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        if let Ok(picture) = self.client.screenshot().await {
            let _ = fs::write(&path, picture);
        }
        path
    }
}

/// What a person would want to know about a page that does not do as it should.
const STATE: &str = "{
    live: window.live && Object.assign({}, live, { received: live.received.slice(-10) }),
    address: location.href,
    shown: document.body.innerText.slice(-2000)
}";

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Chromedriver in a process group of its own, which the browser inherits, so that one signal
/// ends all of them, whatever state the session is in.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver (Debian: chromium-driver): {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut driver = Self { child, url: String::new() };
        let (sender, ports) = mpsc::channel();
        // Reads to the end, so that chromedriver never waits for room in the pipe.
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    let _ = sender.send(port.trim_end_matches('.').to_owned());
                }
            }
        });
        let port = ports.recv_timeout(STARTS_WITHIN);
        driver.url =
            format!("http://127.0.0.1:{}", port.expect("chromedriver says which port it took"));
        driver
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// A directory for the browser's files.
struct Profile(PathBuf);

impl Profile {
    fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("sansse-browser-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the temporary directory takes directories");
        Self(path)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        // A process that is just dying may still add a file.
        for _ in 0..50 {
            if fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |directory| directory.join(name)))
        .find(|file| file.is_file())
}
