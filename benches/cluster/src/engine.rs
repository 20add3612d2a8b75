//! The engine: a server of its own on a free port, without a disk, that ends with this program.

use sansse::Hub;
use sansse::broker::{BrokerConfig, Epoch};
use sansse::cluster::{
    Append, Appended, Head, Hello, Log, LogError, NodeConfig, NodeId, Page, Read, Realm,
};
use sansse::hub::HubBuilder;
use sansse_redis::{RedisLog, RedisLogConfig};
use sansse_tokio::{TokioConnector, TokioRuntime, random_seed};
use std::error::Error;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) struct Engine {
    child: Child,
    server: String,
    port: u16,
    directory: TempDir,
}

impl Engine {
    pub(crate) fn start(server: &str) -> Result<Self, Box<dyn Error>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let directory = tempfile::tempdir()?;
        let child = run(server, port, &directory)?;
        Ok(Self { child, server: server.to_owned(), port, directory })
    }

    /// Kills it, and starts it again without what it had.
    pub(crate) fn restart(&mut self) -> Result<(), Box<dyn Error>> {
        self.child.kill()?;
        self.child.wait()?;
        self.child = run(&self.server, self.port, &self.directory)?;
        Ok(())
    }

    /// Lets a new hub join a realm, and waits until it is ready.
    pub(crate) async fn node(&self, realm: &str) -> Result<Node, Box<dyn Error>> {
        let config = RedisLogConfig::from_url(&format!("redis://127.0.0.1:{}", self.port))?;
        let log = RedisLog::new(realm, config, TokioConnector, TokioRuntime)?;
        let reads = Arc::new(AtomicU64::new(0));
        let log = Counted { log, reads: reads.clone() };
        let mut config = BrokerConfig::new(Epoch::of_name(realm));
        config.limits.sessions.most = u32::MAX.try_into()?;
        config.retention.events = 200_000.try_into()?;
        config.retention.bytes = (64 << 20).try_into()?;
        let (hub, drive) = HubBuilder::new(config).build(TokioRuntime)?;
        tokio::spawn(drive);
        let node = NodeConfig::new(NodeId(random_seed().into()), random_seed());
        let realm = Realm::join(hub, log, node, &TokioRuntime)?;
        realm.ready().await;
        Ok(Node { realm, reads })
    }
}

fn run(server: &str, port: u16, directory: &TempDir) -> Result<Child, Box<dyn Error>> {
    let mut child = Command::new(server)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "no", "--dir"])
        .arg(directory.path())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start {server}: {error}"))?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(format!("{server} has ended: {status}").into());
        }
        if Instant::now() > deadline {
            return Err(format!("{server} does not listen").into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(child)
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node, and how often it has read from the engine and got something.
pub(crate) struct Node {
    pub(crate) realm: Realm,
    reads: Arc<AtomicU64>,
}

impl Node {
    pub(crate) fn hub(&self) -> &Hub {
        self.realm.hub()
    }

    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

/// A log whose reads that bring something are counted.
struct Counted<L> {
    log: L,
    reads: Arc<AtomicU64>,
}

impl<L: Log> Log for Counted<L> {
    async fn hello(&self, hello: Hello) -> Result<Head, LogError> {
        self.log.hello(hello).await
    }

    async fn append(&self, append: Append) -> Result<Appended, LogError> {
        self.log.append(append).await
    }

    async fn read(&self, read: Read) -> Result<Page, LogError> {
        let page = self.log.read(read).await?;
        self.reads.fetch_add(u64::from(!page.entries.is_empty()), Ordering::Relaxed);
        Ok(page)
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.log.head().await
    }
}
