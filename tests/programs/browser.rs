//! Headless browsers behind their drivers, gone with all their processes when they are dropped.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use fantoccini::wd::{WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};

/// For what happens at once.
pub(crate) const SOON: Duration = Duration::from_secs(15);
/// For what waits for a browser to try again.
pub(crate) const AGAIN: Duration = Duration::from_secs(40);
/// For a whole test, so that a driver that hangs fails it too.
const ALL: Duration = Duration::from_secs(180);
const STARTS_WITHIN: Duration = Duration::from_secs(40);
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// For names that no other test of this process uses.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// A browser costs more than a core while it starts: one at a time keeps deadlines honest.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Makes of each function a test in both browsers: `in_chromium::<name>` and `in_firefox::<name>`.
/// A function takes the kind of browser, and is written once.
macro_rules! in_both_browsers {
    ($($test:ident,)*) => {
        mod in_chromium {
            $(
                #[test]
                #[ignore = "needs chromium and chromium-driver"]
                fn $test() {
                    $crate::browser::run(super::$test($crate::browser::Kind::Chromium));
                }
            )*
        }
        mod in_firefox {
            $(
                #[test]
                #[ignore = "needs firefox-esr and geckodriver"]
                fn $test() {
                    $crate::browser::run(super::$test($crate::browser::Kind::Firefox));
                }
            )*
        }
    };
}
pub(crate) use in_both_browsers;

/// Runs a test to its end, while no other has a browser.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        let done = tokio::time::timeout(ALL, test).await;
        assert!(done.is_ok(), "the test did not end within {ALL:?}");
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Chromium,
    Firefox,
}

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
    pub(crate) async fn start(kind: Kind) -> Self {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match tokio::time::timeout(STARTS_WITHIN, Self::try_start(kind)).await {
                Ok(Ok(browser)) => return browser,
                Ok(Err(error)) if attempts == ATTEMPTS => panic!("{kind:?}: {error}"),
                Err(late) if attempts == ATTEMPTS => panic!("{kind:?} did not start: {late}"),
                Ok(Err(error)) => eprintln!("{kind:?}: {error}; once more"),
                Err(late) => eprintln!("{kind:?} did not start: {late}; once more"),
            }
        }
    }

    async fn try_start(kind: Kind) -> Result<Self, Box<dyn Error>> {
        let profile = Profile::new();
        let driver = Driver::start(kind, &profile)?;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(kind.capabilities(&profile))
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

    /// Opens a page in the current tab.
    pub(crate) async fn goto(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    pub(crate) async fn tab(&self) -> WindowHandle {
        self.client.window().await.expect("there is a tab")
    }

    /// Makes a further tab, which is the current one then.
    pub(crate) async fn new_tab(&self) -> WindowHandle {
        let tab = self.client.new_window(true).await.expect("a further tab").handle;
        self.switch_to(&tab).await;
        tab
    }

    pub(crate) async fn switch_to(&self, tab: &WindowHandle) {
        self.client.switch_to_window(tab.clone()).await.expect("the tab is there");
    }

    /// Makes the page as wide and as high as a small screen.
    pub(crate) async fn narrow(&self, width: u32, height: u32) {
        self.client.set_window_size(width, height).await.expect("it has a window");
        // The window is larger than its page. How much, the page can tell.
        let inside = self.value("[innerWidth, innerHeight]").await;
        let missing = |at: usize, wanted: u32| {
            let inside = inside[at].as_u64().and_then(|pixels| u32::try_from(pixels).ok());
            wanted + wanted.saturating_sub(inside.expect("a number of pixels"))
        };
        let (width, height) = (missing(0, width), missing(1, height));
        self.client.set_window_size(width, height).await.expect("it has a window");
    }

    /// Freezes or thaws the current tab, as a browser does with one that nobody has looked at for
    /// long. The drivers' protocol has no word for it, and of the drivers only Chromium's has.
    pub(crate) async fn freeze(&self, is_frozen: bool) {
        let state = if is_frozen { "frozen" } else { "active" };
        let parameters =
            json!({ "cmd": "Page.setWebLifecycleState", "params": { "state": state } });
        self.client.issue_cmd(DevTools(parameters)).await.expect("chromedriver knows it");
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

/// A command to Chromium that is beyond the drivers' protocol.
#[derive(Debug)]
struct DevTools(Value);

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.expect("it began")))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.to_string()))
    }
}

/// What a person would want to know about a page that does not do as it should.
const STATE: &str = "{
    seen: window.seen?.slice(-20), notices: window.notices, happened: window.happened,
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

impl Kind {
    fn capabilities(self, profile: &Profile) -> Map<String, Value> {
        let (name, options, mut settings, binaries) = match self {
            Self::Chromium => (
                "chrome",
                "goog:chromeOptions",
                json!({ "args": [
                    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                    "--disable-background-networking", "--disable-component-update",
                    "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,900",
                    format!("--user-data-dir={}", profile.0.display()),
                ] }),
                // Chromedriver looks for Google's names; Debian's and others' are told.
                &["chromium", "chromium-browser", "google-chrome"][..],
            ),
            Self::Firefox => (
                "firefox",
                "moz:firefoxOptions",
                json!({ "args": ["-headless", "--width=1280", "--height=900"] }),
                &["firefox-esr", "firefox"][..],
            ),
        };
        if let Some(binary) = found(binaries) {
            settings["binary"] = json!(binary);
        }
        let capabilities = json!({ "browserName": name, options: settings });
        let Value::Object(capabilities) = capabilities else { unreachable!("written above") };
        capabilities
    }

    /// The driver's command, and what stands before the port in the line that says it.
    fn driver(self, profile: &Profile) -> (Command, &'static str) {
        match self {
            Self::Chromium => {
                let mut command = Command::new("chromedriver");
                command.arg("--port=0");
                (command, "started successfully on port ")
            }
            Self::Firefox => {
                let mut command = Command::new(geckodriver());
                command.args(["--port=0", "--websocket-port=0", "--profile-root"]).arg(&profile.0);
                (command, "Listening on 127.0.0.1:")
            }
        }
    }
}

/// A driver in a process group of its own, which the browser inherits, so that one signal ends all
/// of them, whatever state the session is in.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    /// Fails where the driver has no luck with its port, as chromedriver has that wants the same one
    /// of IPv4 and of IPv6: another attempt may have some.
    fn start(kind: Kind, profile: &Profile) -> Result<Self, Box<dyn Error>> {
        let (mut command, announcement) = kind.driver(profile);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}\n.ci/run installs the drivers: Debian's chromium-driver, and \
                     geckodriver by `cargo install`",
                    command.get_program().display()
                )
            });
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut driver = Self { child, url: String::new() };
        let (sender, ports) = mpsc::channel();
        // Reads to the end, so that the driver never waits for room in the pipe.
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some((_, port)) = line.split_once(announcement) {
                    let _ = sender.send(port.trim_end_matches('.').to_owned());
                }
            }
        });
        let port = ports.recv_timeout(STARTS_WITHIN);
        let port = port.map_err(|error| format!("the driver did not say its port: {error}"))?;
        driver.url = format!("http://127.0.0.1:{port}");
        Ok(driver)
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

/// Where `.ci/run` puts it: in `target/tools/bin`, seen from `target/<profile>/deps/<this test>`;
/// or else where the path says.
fn geckodriver() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let target = test.ancestors().nth(3).expect("it is in a profile's deps");
    let built = target.join("tools/bin/geckodriver");
    if built.is_file() { built } else { PathBuf::from("geckodriver") }
}
