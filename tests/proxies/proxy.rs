//! A proxy as a child process, with its configuration.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::ALL;

/// Which proxy, with which configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// With `examples/proxies/nginx.conf`.
    Nginx,
    /// With nothing but a `proxy_pass`: it asks by HTTP/1.0.
    PlainNginx,
    /// With `examples/proxies/haproxy.cfg`.
    HaProxy,
    /// With `examples/proxies/Caddyfile`.
    Caddy,
}

const PLAIN_NGINX: &str = "events {}
http {
    server {
        listen 8000;
        location / {
            proxy_pass http://127.0.0.1:8080;
        }
    }
}
";

/// A line of a configuration, and what stands in its place.
pub(crate) type Change<'a> = (&'a str, &'a str);

impl Kind {
    fn configuration(self) -> &'static str {
        match self {
            Self::Nginx => include_str!("../../examples/proxies/nginx.conf"),
            Self::PlainNginx => PLAIN_NGINX,
            Self::HaProxy => include_str!("../../examples/proxies/haproxy.cfg"),
            Self::Caddy => include_str!("../../examples/proxies/Caddyfile"),
        }
    }

    /// Whether a reader that asks while the server is away is told to come back.
    pub(crate) fn calls_back(self) -> bool {
        self != Self::PlainNginx
    }

    /// What the tables call it: the version that is installed, and the file.
    pub(crate) fn title(self) -> String {
        let (program, option, file) = match self {
            Self::Nginx => ("nginx", "-v", "`nginx.conf`"),
            Self::PlainNginx => ("nginx", "-v", "`proxy_pass` alone"),
            Self::HaProxy => ("haproxy", "-v", "`haproxy.cfg`"),
            Self::Caddy => ("caddy", "version", "`Caddyfile`"),
        };
        let output = Command::new(program).arg(option).output();
        let output = output.unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let digits = |word: &&str| word.contains('.') && word.starts_with(char::is_numeric);
        let mut words = text.split(|letter: char| letter.is_whitespace() || "/-v".contains(letter));
        let version = words.find(digits).unwrap_or_else(|| panic!("no version in {text:?}"));
        let name = match self {
            Self::HaProxy => "HAProxy",
            Self::Caddy => "Caddy",
            Self::Nginx | Self::PlainNginx => "nginx",
        };
        format!("{name} {version}, {file}")
    }

    /// What a test needs to be otherwise than a user: addresses and times.
    fn adapt(self, port: u16, upstream: SocketAddr, directory: &Path) -> String {
        let directory = directory.display();
        let mut changes = vec![("127.0.0.1:8080", upstream.to_string())];
        if self.calls_back() {
            changes.push(("retry: 5000", "retry: 100".to_owned()));
        }
        match self {
            Self::Nginx | Self::PlainNginx => {
                changes.push(("listen 8000;", format!("listen 127.0.0.1:{port};")));
                // Elsewhere it may write only as root.
                let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(|path| format!("    {path}_temp_path {directory}/{path};\n"));
                let own = format!("http {{\n    access_log off;\n{}", paths.concat());
                changes.push(("http {\n", own));
            }
            Self::HaProxy => changes.push(("bind :8000\n", format!("bind 127.0.0.1:{port}\n"))),
            Self::Caddy => {
                let own = format!("\nhttp://127.0.0.1:{port} {{\n\tbind 127.0.0.1\n");
                changes.push(("\n:8000 {\n", own));
                // The port by which it is told to reload is one for all.
                let own = "\tadmin off\n\tgrace_period 100ms\n".to_owned();
                changes.push(("\tgrace_period 30s\n", own));
            }
        }
        let changes: Vec<Change> =
            changes.iter().map(|(line, place)| (*line, place.as_str())).collect();
        changed(self.configuration(), &changes)
    }

    fn command(self, directory: &Path, file: &Path) -> Command {
        let mut command = Command::new("sh");
        // The proxy ends with the standard input, so that it does not outlive a test that was
        // killed. SIGTERM lets nginx end its workers.
        command.args(["-c", WATCHED, "sh"]);
        match self {
            Self::Nginx | Self::PlainNginx => {
                let pid = directory.join("nginx.pid");
                command.args(["nginx", "-e", "stderr", "-c"]).arg(file).arg("-g");
                command.arg(format!("daemon off; pid {};", pid.display()));
            }
            Self::HaProxy => {
                command.args(["haproxy", "-db", "-f"]).arg(file);
            }
            Self::Caddy => {
                command.args(["caddy", "run", "--adapter", "caddyfile", "--config"]).arg(file);
                command.env("XDG_DATA_HOME", directory).env("XDG_CONFIG_HOME", directory);
            }
        }
        command
    }
}

const WATCHED: &str = r#"exec 3<&0
"$@" 3<&- & proxy=$!
{ read -r _ <&3; kill -TERM $proxy; } &
wait $proxy"#;

/// Makes the changes, all of which must be possible.
fn changed(configuration: &str, changes: &[Change]) -> String {
    changes.iter().fold(configuration.to_owned(), |text, (line, place)| {
        assert!(text.contains(line), "{line:?} is not in this configuration:\n{text}");
        text.replace(line, place)
    })
}

/// The running proxy. Dropping it ends it.
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

impl Proxy {
    pub(crate) fn start(kind: Kind, upstream: SocketAddr) -> Self {
        Self::start_changed(kind, upstream, &[])
    }

    /// Starts it with more changes to its configuration.
    pub(crate) fn start_changed(kind: Kind, upstream: SocketAddr, changes: &[Change]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("proxies-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).expect("the target directory can be written");
        let address = free_address();
        let configuration = kind.adapt(address.port(), upstream, &directory);
        let file = directory.join("configuration");
        fs::write(&file, changed(&configuration, changes)).expect("the directory is there");
        let log = File::create(directory.join("log")).expect("the directory is there");
        let child = kind
            .command(&directory, &file)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("descriptors are left"))
            .stderr(log)
            .spawn()
            .expect("there is a shell");
        let mut proxy = Self { child, address, directory };
        let deadline = Instant::now() + ALL;
        while std::net::TcpStream::connect(address).is_err() {
            let ended = proxy.child.try_wait().expect("it is a child");
            assert!(ended.is_none(), "{kind:?} has ended: {ended:?}");
            assert!(Instant::now() < deadline, "{kind:?} does not listen in {ALL:?}");
            thread::sleep(Duration::from_millis(10));
        }
        proxy
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nginx read its configuration again, by new workers.
    pub(crate) fn reload_nginx(&self) {
        let pid = fs::read_to_string(self.directory.join("nginx.pid")).expect("it is nginx");
        let told = Command::new("kill").args(["-HUP", pid.trim()]).status();
        assert!(told.expect("there is a kill").success());
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(5));
        }
        if thread::panicking() {
            let log = fs::read(self.directory.join("log")).unwrap_or_default();
            eprintln!("what the proxy said:\n{}", String::from_utf8_lossy(&log));
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// An address at which nobody listens now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}
