//! The log of a realm in Redis: [`RedisLog`].

use crate::config::{RedisLogConfig, RedisLogConfigError};
use crate::entry::{LIMIT, entries, two_positions, xread};
use crate::line::{Line, Opening};
use crate::lines::{Lines, taken};
use crate::link::{Handshake, MAX_ANSWER, Refusal, unreachable};
use crate::page::PageSize;
use crate::script::{self, Call, Keys};
use crate::wire::after;
use crate::{sentinel, url};
use sansse::Timer;
use sansse::cluster::{Append, Appended, Head, Hello, Log, LogError, LogErrorKind, Page, Read};
use sansse::net::{Connector, Target};
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The largest batch that is appended, in bytes. It is well below the longest answer that is read.
const MAX_BATCH: usize = 32 * 1024 * 1024;

/// The longest time that one read waits.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);

/// How long a head asks Sentinels, all together. It is well below the time in which a node wants its
/// answer, since Sentinels that hang say nothing against a master that answers.
const MAX_CHECK: Duration = Duration::from_secs(1);

/// How many times one hello goes where a cluster sends it.
const MAX_REDIRECTIONS: usize = 5;

/// The log of one realm, in Redis or Valkey, over any runtime's connector and timer.
///
/// It has two connections, which hello opens: one for hello, appends and heads, and one for reads
/// that wait. A read that does not wait, beside one that does, goes over a third one: so entries are
/// read for sessions that are older than a node's memory. It is opened when it is needed, and closed
/// when the node next asks for the head. An error, and a future that is dropped before its end,
/// closes the connection that it used, since what the engine still says there belongs to nobody.
/// Then the next hello opens it anew.
///
/// A read waits no longer than an hour, whatever [it is asked for](sansse::cluster::Read::wait), and
/// a batch has no more than 32 MiB.
///
/// ```no_run
/// use sansse::broker::Epoch;
/// use sansse::cluster::{Hello, Log, NodeId};
/// use sansse_redis::{RedisLog, RedisLogConfig};
/// use sansse_tokio::{TokioConnector, TokioRuntime};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = RedisLogConfig::from_url("redis://127.0.0.1:6379")?;
/// let log = RedisLog::new("try-the-log", config, TokioConnector, TokioRuntime)?;
/// let hello = Hello { node: NodeId(0x1234), epoch: Epoch(1), seen: 0 };
/// println!("{:?}", log.hello(hello).await?);
/// # Ok(()) }
/// ```
pub struct RedisLog<C: Connector, T> {
    connector: C,
    timer: T,
    config: RedisLogConfig,
    keys: Keys,
    page_size: PageSize,
    lines: Mutex<Arc<Lines<C::Socket>>>,
    next: Mutex<Next>,
}

/// Where the next hello goes first.
#[derive(Default)]
struct Next {
    /// The address of the configuration, by its number.
    address: usize,
    /// The server of a cluster that had the keys.
    known: Option<Target>,
}

impl<C: Connector, T: Timer> RedisLog<C, T> {
    /// Makes the log of a realm: the keys `{realm}:m` and `{realm}:l`. It does nothing before the
    /// first [`hello`](Log::hello).
    ///
    /// # Errors
    ///
    /// [`RedisLogConfigError::Realm`].
    pub fn new(
        realm: &str,
        config: RedisLogConfig,
        connector: C,
        timer: T,
    ) -> Result<Self, RedisLogConfigError> {
        let possible = |char: char| !char.is_control() && char != '{' && char != '}';
        if realm.is_empty() || realm.len() > 256 || !realm.chars().all(possible) {
            return Err(RedisLogConfigError::Realm);
        }
        Ok(Self {
            connector,
            timer,
            config,
            keys: Keys::new(realm),
            page_size: PageSize::new(),
            lines: Mutex::new(Arc::new(Lines::none())),
            next: Mutex::default(),
        })
    }

    fn lines(&self) -> Arc<Lines<C::Socket>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes these connections for all that comes, and ends what goes on over the ones before.
    fn set_lines(&self, lines: Lines<C::Socket>) {
        let before = mem::replace(
            &mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner),
            Arc::new(lines),
        );
        before.give_up();
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the address to go to, and passes over it for the next time. So a call that is given
    /// up while a server is silent begins the next time with another one.
    fn next_address(&self) -> usize {
        let mut next = self.next();
        let address = next.address % self.config.targets.len().max(1);
        next.address = address + 1;
        address
    }

    /// Says hello to the first server that takes it.
    async fn hello_to_any(&self, hello: Hello) -> Result<Head, LogError> {
        let known = self.next().known.take();
        if let Some(known) = known
            && let Ok(head) = self.hello_to(known, None, hello).await
        {
            return Ok(head);
        }
        let mut error = unreachable("there is no address");
        for _ in &self.config.targets {
            let address = self.next_address();
            match self.hello_by(address, hello).await {
                Ok(head) => {
                    self.next().address = address;
                    return Ok(head);
                }
                Err(other) => error = other,
            }
            // Another answer to the rest is not to be had elsewhere.
            if !matches!(error.kind(), LogErrorKind::Unreachable | LogErrorKind::NotReady) {
                break;
            }
        }
        Err(error)
    }

    async fn hello_by(&self, address: usize, hello: Hello) -> Result<Head, LogError> {
        let address = &self.config.targets[address];
        let Some(sentinel) = &self.config.sentinel else {
            return self.hello_to(address.clone(), None, hello).await;
        };
        let deadline = after(&self.timer, self.config.connect_time);
        let asking = sentinel::master(&self.connector, &self.timer, sentinel, address, deadline);
        let master = asking.await?;
        self.hello_to(master.clone(), Some(master), hello).await
    }

    async fn hello_to(
        &self,
        mut target: Target,
        named: Option<Target>,
        hello: Hello,
    ) -> Result<Head, LogError> {
        let mut asking = false;
        for _ in 0..=MAX_REDIRECTIONS {
            let mut append = self.open(&target, asking, Some(script::TEXT)).await?;
            let call = Call::hello(&self.keys, self.config.kept, hello);
            let reply = match append.call(&self.timer, &call).await {
                Ok(reply) => reply,
                Err(Refusal::Elsewhere(elsewhere)) => {
                    if !elsewhere.host.is_empty() {
                        let to = url::to(&elsewhere.host, elsewhere.port, target.secure);
                        target = to.ok_or_else(|| {
                            LogError::new(LogErrorKind::NotReady)
                                .with_detail("the cluster does not know where the realm is")
                        })?;
                    }
                    target.port = elsewhere.port;
                    asking = elsewhere.asking;
                    continue;
                }
                Err(refusal) => return Err(refusal.into_error()),
            };
            let (start, position) = two_positions(reply)?;
            let read = self.open(&target, asking, None).await?;
            if read.run_id() != append.run_id() {
                return Err(elsewhere());
            }
            if !self.config.targets.contains(&target) && named.is_none() {
                self.next().known = Some(target.clone());
            }
            self.set_lines(Lines::new(hello.epoch, append, read, (target, asking), named));
            return Ok(Head { start, position });
        }
        Err(LogError::new(LogErrorKind::NotReady)
            .with_detail("the cluster sends from one server to another"))
    }

    /// Opens a third connection, to where the others lead.
    async fn open_beside(&self, lines: &Lines<C::Socket>) -> Result<Line<C::Socket>, LogError> {
        let Some((target, asking)) = &lines.target else { return taken(&mut None) };
        let line = self.open(target, *asking, None).await?;
        if line.run_id() != &*lines.run_id {
            return Err(elsewhere());
        }
        Ok(line)
    }

    async fn open(
        &self,
        target: &Target,
        asking: bool,
        script: Option<&'static str>,
    ) -> Result<Line<C::Socket>, LogError> {
        let opening = Opening {
            handshake: Handshake {
                credentials: self.config.credentials.as_ref(),
                database: self.config.database,
                name: &self.config.connection_name,
                script,
            },
            asking,
            connect_time: self.config.connect_time,
            answer_time: self.config.answer_time,
        };
        Line::open(&self.connector, &self.timer, target, opening).await
    }

    /// Sees to it that the first Sentinel that answers names the same master as before. It begins
    /// with the one that answered last, and asks for [`MAX_CHECK`] in all. Where none answers, the
    /// master goes on: a master without Sentinels is better than none.
    async fn check_named(&self, named: &Target) -> Result<(), LogError> {
        let Some(sentinel) = &self.config.sentinel else { return Ok(()) };
        let end = after(&self.timer, MAX_CHECK.min(self.config.connect_time));
        for left in (0..self.config.targets.len()).rev() {
            let now = self.timer.now();
            let rest = end.saturating_duration_since(now);
            if rest.is_zero() {
                break;
            }
            // One that hangs leaves time for the next.
            let deadline = if left == 0 { end } else { now + rest / 2 };
            let address = self.next_address();
            let at = &self.config.targets[address];
            let asking = sentinel::master(&self.connector, &self.timer, sentinel, at, deadline);
            let Ok(master) = asking.await else { continue };
            self.next().address = address;
            if master == *named {
                return Ok(());
            }
            self.set_lines(Lines::none());
            return Err(LogError::new(LogErrorKind::NotReady)
                .with_detail("the Sentinels name another master"));
        }
        Ok(())
    }
}

impl<C: Connector, T: Timer> Log for RedisLog<C, T> {
    async fn hello(&self, hello: Hello) -> Result<Head, LogError> {
        self.set_lines(Lines::none());
        check_seen(hello.seen)?;
        self.hello_to_any(hello).await
    }

    async fn append(&self, append: Append) -> Result<Appended, LogError> {
        check_seen(append.seen)?;
        if append.count == 0 {
            let detail = "a batch takes one position at least";
            return Err(LogError::new(LogErrorKind::Unsupported).with_detail(detail));
        }
        if append.payload.len() > MAX_BATCH {
            let detail = format!("a batch of {} bytes is too large", append.payload.len());
            return Err(LogError::new(LogErrorKind::Full).with_detail(detail));
        }
        let count = append.count;
        let lines = self.lines();
        let call = Call::append(&self.keys, lines.epoch, self.config.kept, append);
        let appending = async {
            let mut slot = lines.append.lock().await;
            let mut line = taken(&mut slot)?;
            let reply = match line.call(&self.timer, &call).await.map_err(Refusal::into_error) {
                // Said in a whole reply. The node goes on with the connection.
                Err(error) if error.kind() == LogErrorKind::Full => {
                    *slot = Some(line);
                    return Err(error);
                }
                reply => reply?,
            };
            let (last, took) = two_positions(reply)?;
            *slot = Some(line);
            Ok((last, took))
        };
        let (last, took) = lines.until_given_up(appending).await?;
        if took != u64::from(count) {
            let detail = format!("a batch of this number took {took} positions, and not {count}");
            return Err(crate::link::malformed(detail));
        }
        Ok(Appended { last, count })
    }

    async fn read(&self, read: Read) -> Result<Page, LogError> {
        check_seen(read.after)?;
        let lines = self.lines();
        let wait = read.wait.min(MAX_WAIT);
        let words = xread(&self.keys.log, read.after, self.page_size.entries(), wait);
        let reading = async {
            let (mut slot, is_beside) = match lines.read.try_lock() {
                Some(slot) => (slot, false),
                None if wait.is_zero() => (lines.beside.lock().await, true),
                None => (lines.read.lock().await, false),
            };
            let mut line = match slot.take() {
                Some(line) => line,
                None if is_beside => self.open_beside(&lines).await?,
                None => taken(&mut slot)?,
            };
            let (found, time) = line.read(&self.timer, words, MAX_ANSWER, wait).await?;
            let found = entries(found, time)?;
            *slot = Some(line);
            Ok(found)
        };
        let found = lines.until_given_up(reading).await;
        let found = found.inspect_err(|error| {
            if error.kind() == LogErrorKind::Malformed {
                // It may have been too much at once.
                self.page_size.begin_again();
            }
        })?;
        Ok(Page { entries: self.page_size.cut(found, read.max_bytes) })
    }

    async fn head(&self) -> Result<Head, LogError> {
        let lines = self.lines();
        let call = Call::head(&self.keys, lines.epoch);
        let asking = async {
            let mut slot = lines.append.lock().await;
            let mut line = taken(&mut slot)?;
            line.check_master(&self.timer).await?;
            let reply = line.call(&self.timer, &call).await.map_err(Refusal::into_error)?;
            let (start, position) = two_positions(reply)?;
            *slot = Some(line);
            Ok(Head { start, position })
        };
        let head = lines.until_given_up(asking).await?;
        // A node asks for its head when it has had nothing else to do for a while.
        if let Some(mut beside) = lines.beside.try_lock() {
            *beside = None;
        }
        if let Some(named) = &lines.named {
            self.check_named(named).await?;
        }
        Ok(head)
    }
}

fn elsewhere() -> LogError {
    LogError::new(LogErrorKind::NotReady).with_detail("its connections lead to different servers")
}

/// Positions beyond the limit come from no engine.
fn check_seen(position: u64) -> Result<(), LogError> {
    if position < LIMIT {
        return Ok(());
    }
    let detail = format!("the position {position} is beyond all that there can be");
    Err(LogError::new(LogErrorKind::Unsupported).with_detail(detail))
}

impl<C: Connector, T> fmt::Debug for RedisLog<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLog")
            .field("keys", &self.keys)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
