//! The log of a [`sansse`] stream in one file, by [`redb`], for one node: a restart that loses
//! nothing, also where the process was killed.
//!
//! [`RedbLog`] is a [`Log`], which a hub follows as a [realm](sansse::cluster::Realm) of one node. Its
//! file decides the epoch of the stream, so that a page that comes back after a restart names a place
//! of the same stream:
//!
//! ```
//! use sansse::broker::{Audience, BrokerConfig};
//! use sansse::cluster::{NodeConfig, Realm};
//! use sansse::{Event, hub::HubBuilder};
//! use sansse_redb::{RedbLog, RedbLogConfig};
//! use sansse_smol::{SmolRuntime, random_seed};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("stream.redb");
//! # smol::block_on(async {
//! let log = RedbLog::open(RedbLogConfig::new(&path))?;
//! let runtime = SmolRuntime::new(|task| smol::spawn(task).detach());
//! let builder = HubBuilder::new(BrokerConfig::new(log.epoch()));
//! let hub = sansse_smol::spawn_hub(&runtime, builder)?;
//! let node = NodeConfig::new(log.node(), random_seed());
//! let realm = Realm::join(hub.clone(), log.clone(), node, &runtime)?;
//! // What was published in earlier lives can be resumed from now on.
//! assert!(realm.ready().await);
//! let position = realm.publish(Audience::Everyone, &Event::new("hello")).await?;
//! assert_eq!(position, 1); // It is on the disk.
//! // At the end:
//! realm.shut_down().await;
//! log.close().await;
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What is safe, and when
//!
//! redb writes a transaction to the disk and waits until the disk has it (`fsync`), or leaves it in
//! the memory of the process. What is left in memory is gone when the process is killed. So this
//! store leaves nothing there: **what was answered, and what can be read, is on the disk**. What was
//! appended and is not on the disk yet has no position that anybody knows. When the process is
//! killed or the power goes, each batch is there as a whole or not at all, all that were answered
//! are there, and the positions go on behind the newest. No opening is a cut, since nothing can be
//! missing:
//!
//! | | answered publishes that are lost | a page that comes back is told |
//! | --- | --- | --- |
//! | the program ends in good order | none | complete |
//! | the process is killed | none | complete |
//! | the power goes, the disk keeps what it said | none | complete |
//! | the disk or the file system lies | some | see below |
//! | an older copy of the file is put in place | those after it | a gap, by [`RedbLogConfig::with_older_copy`] |
//!
//! [`Durability`] decides how often the disk is asked, and with that how long a publish waits and how
//! much is written, and not what is safe.
//!
//! A [cut](sansse::cluster::Content::Cut) is written where positions may have been given that this
//! file does not have: an older copy; a node that has seen a position after the newest one; a store
//! that is made for an [epoch that is given](RedbLogConfig::with_epoch), which another store may have
//! had. A cut is further ahead than positions can be, by the clock, so that no position names two
//! events.
//!
//! The opening compares all check sums, and refuses a file that is not what it was. Damage that comes
//! later is found out by each read, and the entry is read as a cut in its place. So readers are told
//! of a gap, and never get anything that was not published. One thing cannot be told apart: the last
//! commit of a process that was killed, which came to its end and was damaged since, looks like one
//! that did not come to its end.
//!
//! A disk that said it had kept what it did not keep cannot be found out: with it, use
//! [`RedbLogConfig::with_older_copy`] after a power loss.
//!
//! # What fails, and how
//!
//! | what is wrong | kind | and then |
//! | --- | --- | --- |
//! | another process has the file | [`Locked`](sansse::cluster::LogErrorKind::Locked) | it opens when that one has ended |
//! | it is not a file, or no store, or torn | [`Malformed`](sansse::cluster::LogErrorKind::Malformed) | it is left as it is; put a copy in its place, or take it away |
//! | a newer version of this crate, or of redb, wrote it | [`Newer`](sansse::cluster::LogErrorKind::Newer) | use that version |
//! | it has another epoch than the one that is given | [`OtherEpoch`](sansse::cluster::LogErrorKind::OtherEpoch) | another stream's file |
//! | no right to the file, or the disk is read-only | [`Denied`](sansse::cluster::LogErrorKind::Denied) | |
//! | the folder is not there | [`Unreachable`](sansse::cluster::LogErrorKind::Unreachable) | no folder is made |
//! | the disk is full | [`Full`](sansse::cluster::LogErrorKind::Full) | what is there can be read; appends work when there is room |
//! | the disk cannot be written or read | [`NotReady`](sansse::cluster::LogErrorKind::NotReady), or [`Unreachable`](sansse::cluster::LogErrorKind::Unreachable) where a batch may have been appended | the next hello opens the file again |
//! | the disk did not keep what was written (`fsync` failed) | [`Unreachable`](sansse::cluster::LogErrorKind::Unreachable) | until the process is started again, since the system shows what the disk does not have |
//! | too much waits: 1,024 requests, 64 MiB, 1,024 reads | [`NotReady`](sansse::cluster::LogErrorKind::NotReady) | a node asks for far less: only several users of one handle come so far |
//!
//! redb panics where a file contradicts itself. These panics are caught, and are `Malformed`; the
//! hook for panics prints them. A program that aborts at panics ends there.
//!
//! # What it takes
//!
//! One thread, [16 MiB](RedbLogConfig::DEFAULT_CACHE) of memory, and a file of up to a few times the
//! [bytes that are kept](RedbLogConfig::DEFAULT_MAX_BYTES). Each opening compares the check sums of
//! the whole file. It blocks meanwhile, and so does dropping the last handle: do both outside of an
//! executor, or [close](RedbLog::close) first.
//!
//! When not to use it: several nodes cannot share a file. One stream on many nodes needs an engine
//! that they share.

#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod counters;
#[cfg(test)]
mod disk_tests;
mod entry;
mod fault;
mod file;
mod store;
mod worker;

pub use config::{Durability, RedbLogConfig};
pub use counters::RedbLogCounters;

use file::{Disk, FileDisk};
use futures_channel::oneshot;
use sansse::broker::Epoch;
use sansse::cluster::{Append, Appended, Head, Hello, Log, LogError, NodeId, Page, Read};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use store::Store;
use worker::{MAX_REQUESTS, Request, Room, Shared, Worker, clock};

/// The log of one stream in one file; a handle, of which there may be several.
///
/// The file is closed when the last handle is dropped, or by [`close`](Self::close).
#[derive(Clone)]
pub struct RedbLog {
    inner: Arc<Inner>,
}

struct Inner {
    requests: Mutex<Option<SyncSender<Request>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    epoch: Epoch,
    node: NodeId,
}

impl RedbLog {
    /// Opens the file, or makes it, and starts the thread that serves it.
    ///
    /// It blocks: the file is read as a whole, to compare all check sums.
    ///
    /// # Errors
    ///
    /// [`LogError`]; the table [above](crate#what-fails-and-how) has them.
    ///
    /// ```
    /// use sansse::cluster::LogErrorKind;
    /// use sansse_redb::{RedbLog, RedbLogConfig};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("stream.redb");
    /// let log = RedbLog::open(RedbLogConfig::new(&path))?;
    /// let error = RedbLog::open(RedbLogConfig::new(&path)).unwrap_err();
    /// assert_eq!(error.kind(), LogErrorKind::Locked);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(config: RedbLogConfig) -> Result<Self, LogError> {
        let disk = FileDisk::new(&config.path);
        Self::open_on(Box::new(disk), config)
    }

    fn open_on(disk: Box<dyn Disk>, config: RedbLogConfig) -> Result<Self, LogError> {
        let sync_failed = Arc::new(AtomicBool::new(false));
        let drawn = sansse_common::random_epoch();
        let mut store = Store::open(&*disk, &config, Some(drawn), &sync_failed)?;
        let head = store.head();
        // A store that was made just now, for an epoch that others may have had.
        let is_made_again = head.position == 0 && config.epoch.is_some();
        if config.is_older_copy || is_made_again {
            store.cut(head.position, clock()).map_err(|failed| failed.error)?;
        }
        let epoch = store.epoch();
        let shared = Arc::new(Shared::default());
        let worker = Worker::new(store, disk, config, shared.clone(), sync_failed);
        let (sender, receiver) = sync_channel(MAX_REQUESTS);
        let thread = thread::Builder::new().name("sansse-redb".to_owned());
        let thread = thread.spawn(move || worker.run(&receiver));
        let thread = thread.map_err(|error| fault::of_io(&error))?;
        Ok(Self {
            inner: Arc::new(Inner {
                requests: Mutex::new(Some(sender)),
                thread: Mutex::new(Some(thread)),
                shared,
                epoch,
                node: sansse_common::random_node(),
            }),
        })
    }

    /// Returns the life of the stream, which is that of its file: what a hub has to be configured
    /// with.
    ///
    /// ```
    /// use sansse::broker::BrokerConfig;
    /// use sansse_redb::{RedbLog, RedbLogConfig};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("stream.redb");
    /// let log = RedbLog::open(RedbLogConfig::new(&path))?;
    /// let config = BrokerConfig::new(log.epoch());
    /// assert_eq!(config.epoch, log.epoch());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// Returns an id for this life of the process, drawn at random at the opening: the one with which
    /// a hub joins, by [`NodeConfig::new`](sansse::cluster::NodeConfig::new).
    ///
    /// ```
    /// use sansse::cluster::NodeConfig;
    /// use sansse_redb::{RedbLog, RedbLogConfig};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("stream.redb");
    /// let log = RedbLog::open(RedbLogConfig::new(&path))?;
    /// let node = NodeConfig::new(log.node(), sansse_smol::random_seed());
    /// assert_eq!(node.node, log.node());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    /// Returns what the store holds and has done, in numbers.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("stream.redb");
    /// let log = sansse_redb::RedbLog::open(sansse_redb::RedbLogConfig::new(&path))?;
    /// assert_eq!(log.counters().entries, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn counters(&self) -> RedbLogCounters {
        *self.inner.shared.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits, answers it, closes the file, and returns when it may be opened again. What
    /// is asked later, through any handle, is refused.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("stream.redb");
    /// use sansse_redb::{RedbLog, RedbLogConfig};
    ///
    /// # smol::block_on(async {
    /// let log = RedbLog::open(RedbLogConfig::new(&path))?;
    /// log.close().await;
    /// RedbLog::open(RedbLogConfig::new(&path))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub async fn close(&self) {
        drop(self.inner.sender().take());
        let (sender, receiver) = oneshot::channel();
        self.inner.shared.when_closed(sender);
        // Where nobody answers, there is no thread any more.
        let _ = receiver.await;
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Request,
    ) -> Result<T, LogError> {
        let (sender, receiver) = oneshot::channel();
        let sent = match &*self.inner.sender() {
            Some(requests) => requests.try_send(request(sender)),
            None => return Err(fault::not_ready("the store is closed")),
        };
        match sent {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(fault::not_ready("too many requests wait")),
            Err(TrySendError::Disconnected(_)) => {
                return Err(fault::not_ready("the store has stopped"));
            }
        }
        receiver.await.unwrap_or_else(|_| Err(fault::unreachable("the store has stopped")))
    }
}

impl Inner {
    fn sender(&self) -> std::sync::MutexGuard<'_, Option<SyncSender<Request>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.sender().take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It has nobody to tell why it panicked, if it did.
            let _ = thread.join();
        }
    }
}

impl Log for RedbLog {
    async fn hello(&self, hello: Hello) -> Result<Head, LogError> {
        self.ask(|answer| Request::Hello(hello, answer)).await
    }

    async fn append(&self, append: Append) -> Result<Appended, LogError> {
        let room = Room::take(&self.inner.shared, append.payload.len())?;
        self.ask(|answer| Request::Append(append, room, answer)).await
    }

    async fn read(&self, read: Read) -> Result<Page, LogError> {
        self.ask(|answer| Request::Read(read, answer)).await
    }

    async fn head(&self) -> Result<Head, LogError> {
        self.ask(Request::Head).await
    }
}

impl fmt::Debug for RedbLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RedbLog");
        let debug = debug.field("epoch", &self.inner.epoch).field("node", &self.inner.node);
        debug.field("counters", &self.counters()).finish()
    }
}

/// The README's examples, compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
