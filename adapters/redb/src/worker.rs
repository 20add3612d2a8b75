//! The thread of a store: which request comes when, and when a group of batches is written.
//!
//! ```text
//!  requests ─▶ append ─▶ group ─ it is full, or its time has come ─▶ one commit ─▶ answers
//!           └▶ read ──▶ answer, or wait ─ a commit, or its time is over ─▶ answer
//! ```

use super::config::RedbLogConfig;
use super::counters::RedbLogCounters;
use super::fault;
use super::file::Disk;
use super::store::{Committed, Failed, MAX_POSITION, State, Store};
use futures_channel::oneshot::Sender;
use sansse::cluster::{Append, Appended, Head, Hello, LogError, LogErrorKind, Page, Read};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many requests may wait for the thread.
pub(crate) const MAX_REQUESTS: usize = 1024;

/// How many bytes of batches may wait for the thread and for the disk; one batch may in any case.
const MAX_WAITING_BYTES: usize = 64 << 20;

/// The largest batch: several times the largest record.
const MAX_PAYLOAD: usize = 64 << 20;

/// How many reads may wait for something to read.
const MAX_READS: usize = 1024;

/// For how long requests are taken before it is looked at what is due: those that have come while the
/// disk was busy make one group, and many reads do not hold it up.
const TURN: Duration = Duration::from_millis(5);

/// What a position can be at most that somebody has seen, so that there are others after it.
const MAX_SEEN: u64 = MAX_POSITION - (1 << 32);

/// How often it is looked whether something is too old, where nothing is appended.
const TRIM_EVERY: Duration = Duration::from_secs(60);

type Answer<T> = Sender<Result<T, LogError>>;

pub(crate) enum Request {
    Hello(Hello, Answer<Head>),
    Append(Append, Room, Answer<Appended>),
    Read(Read, Answer<Page>),
    Head(Answer<Head>),
}

/// The room that a batch takes among those that wait, for as long as it waits.
pub(crate) struct Room {
    shared: Arc<Shared>,
    size: usize,
}

impl Room {
    /// Takes so much room, if there is.
    pub(crate) fn take(shared: &Arc<Shared>, size: usize) -> Result<Self, LogError> {
        let before = shared.waiting_bytes.fetch_add(size, Ordering::AcqRel);
        let room = Self { shared: shared.clone(), size };
        if before > 0 && before.saturating_add(size) > MAX_WAITING_BYTES {
            return Err(fault::not_ready("too many bytes wait"));
        }
        Ok(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shared.waiting_bytes.fetch_sub(self.size, Ordering::AcqRel);
    }
}

/// What the thread shares with the handles.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) counters: Mutex<RedbLogCounters>,
    waiting_bytes: AtomicUsize,
    /// Who waits for the end of the thread; `None` after it.
    closing: Mutex<Closing>,
}

#[derive(Debug)]
struct Closing(Option<Vec<Sender<()>>>);

impl Default for Closing {
    fn default() -> Self {
        Self(Some(Vec::new()))
    }
}

impl Shared {
    /// Tells this one when the thread has ended.
    pub(crate) fn when_closed(&self, sender: Sender<()>) {
        let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = &mut closing.0 {
            waiting.push(sender);
        } else {
            let _ = sender.send(());
        }
    }

    fn closed(&self) {
        let waiting = self.closing.lock().unwrap_or_else(PoisonError::into_inner).0.take();
        for sender in waiting.into_iter().flatten() {
            let _ = sender.send(());
        }
    }

    fn count(&self, count: impl FnOnce(&mut RedbLogCounters)) {
        count(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Tells of the end of the thread, however it came.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.closed();
    }
}

struct Waiting {
    read: Read,
    until: Option<Instant>,
    answer: Answer<Page>,
}

/// A batch of the group that is to be written next, and who wants to know: several where the same
/// one was asked for again.
struct Pending {
    append: Append,
    room: Room,
    answers: Vec<Answer<Appended>>,
}

pub(crate) struct Worker {
    disk: Box<dyn Disk>,
    config: RedbLogConfig,
    shared: Arc<Shared>,
    sync_failed: Arc<AtomicBool>,
    /// The store, or why there is none now.
    store: Result<Store, LogError>,
    /// The newest position that anybody may know of.
    position: u64,
    group: Vec<Pending>,
    group_positions: u64,
    group_bytes: usize,
    last_commit: Option<Instant>,
    reads: Vec<Waiting>,
    trim_at: Instant,
}

impl Worker {
    pub(crate) fn new(
        store: Store,
        disk: Box<dyn Disk>,
        config: RedbLogConfig,
        shared: Arc<Shared>,
        sync_failed: Arc<AtomicBool>,
    ) -> Self {
        let mut this = Self {
            disk,
            config,
            shared,
            sync_failed,
            store: Ok(store),
            position: 0,
            group: Vec::new(),
            group_positions: 0,
            group_bytes: 0,
            last_commit: None,
            reads: Vec::new(),
            trim_at: Instant::now(),
        };
        // What is opened again has to be the same stream.
        this.config.epoch = this.store.as_ref().ok().map(Store::epoch);
        this.note();
        this
    }

    /// Serves until nobody can ask any more, then writes what waits and closes the file.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        let _ending = Ending(self.shared.clone());
        loop {
            let now = Instant::now();
            let first = match self.next_due(now) {
                due if due <= now => requests.try_recv().ok(),
                due => match requests.recv_timeout(due - now) {
                    Ok(request) => Some(request),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                },
            };
            if let Some(first) = first {
                self.take(first);
                for request in requests.try_iter().take(MAX_REQUESTS) {
                    self.take(request);
                    if now.elapsed() > TURN {
                        break;
                    }
                }
            }
            self.handle_due(Instant::now());
        }
        self.commit();
        // Before the end is told of: a caller that waits for it may open the file again.
        self.store = Err(fault::not_ready("the store is closed"));
    }

    fn next_due(&self, now: Instant) -> Instant {
        let reads = self.reads.iter().filter_map(|waiting| waiting.until).min();
        let group = self.group_due(now);
        [reads, group].into_iter().flatten().fold(self.trim_at, Instant::min)
    }

    /// Returns when the group is to be written; `None` if there is none.
    fn group_due(&self, now: Instant) -> Option<Instant> {
        let is_full = self.group_positions >= RedbLogConfig::FULL_GROUP
            || self.group_bytes >= RedbLogConfig::FULL_GROUP_BYTES;
        (!self.group.is_empty()).then(|| match self.last_commit.zip(self.config.interval()) {
            Some((last, interval)) if !is_full => last + interval,
            _ => now,
        })
    }

    fn handle_due(&mut self, now: Instant) {
        if self.group_due(now).is_some_and(|due| due <= now) {
            self.commit();
        }
        self.answer_reads(now);
        if self.trim_at <= now {
            self.trim(now);
        }
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Hello(hello, answer) => {
                let head = self.hello(hello);
                let _ = answer.send(head);
            }
            Request::Head(answer) => {
                let head = self.store().map(|store| store.head());
                let _ = answer.send(head);
            }
            Request::Append(append, room, answer) => self.take_append(append, room, answer),
            Request::Read(read, answer) => self.take_read(read, answer),
        }
    }

    fn store(&mut self) -> Result<&mut Store, LogError> {
        self.store.as_mut().map_err(|error| error.clone())
    }

    fn hello(&mut self, hello: Hello) -> Result<Head, LogError> {
        if self.store.is_err() {
            self.reopen()?;
        }
        let store = self.store()?;
        if hello.epoch != store.epoch() {
            return Err(LogErrorKind::OtherEpoch { epoch: store.epoch() }.into());
        }
        check_seen(hello.seen)?;
        if hello.seen > store.head().position {
            // What was answered and what is read is on the disk. So this node has seen what another
            // file had, or the disk has lost what it said it kept.
            let (began, result) = (Instant::now(), store.cut(hello.seen, clock()));
            self.settle(began, result)?;
        }
        Ok(self.store()?.head())
    }

    fn take_append(&mut self, append: Append, room: Room, answer: Answer<Appended>) {
        match self.place_of(&append) {
            Place::New => {
                self.group_positions += u64::from(append.count);
                self.group_bytes += append.payload.len();
                self.group.push(Pending { append, room, answers: vec![answer] });
            }
            Place::Waits(at) => self.group[at].answers.push(answer),
            Place::Answered(result) => drop(answer.send(result)),
        }
    }

    /// Returns whether this batch is to be appended, or is the same as one before it.
    fn place_of(&mut self, append: &Append) -> Place {
        let checked = check(append).and_then(|()| {
            let last = self.store()?.last_of(append.node);
            Ok(last)
        });
        let last = match checked {
            Ok(last) => last,
            Err(error) => return Place::Answered(Err(error)),
        };
        let mut newest = last.map(|last| last.number);
        for (at, pending) in self.group.iter().enumerate() {
            if pending.append.node == append.node {
                if pending.append.number == append.number {
                    return Place::Waits(at);
                }
                newest = Some(pending.append.number);
            }
        }
        match (last, newest) {
            (Some(last), _) if last.number == append.number => Place::Answered(Ok(last.appended)),
            (_, Some(newest)) if append.number < newest => {
                let detail = format!("the batch {} came after {newest}", append.number);
                Place::Answered(Err(LogError::new(LogErrorKind::Unsupported).with_detail(detail)))
            }
            _ => Place::New,
        }
    }

    fn take_read(&mut self, read: Read, answer: Answer<Page>) {
        match self.read(&read) {
            Ok(page) if page.entries.is_empty() && !read.wait.is_zero() => {
                self.reads.retain(|waiting| !waiting.answer.is_canceled());
                if self.reads.len() < MAX_READS {
                    let until = Instant::now().checked_add(read.wait);
                    self.reads.push(Waiting { read, until, answer });
                } else {
                    let _ = answer.send(Err(fault::not_ready("too many reads wait")));
                }
            }
            result => drop(answer.send(result)),
        }
    }

    fn read(&mut self, read: &Read) -> Result<Page, LogError> {
        let result = self.store()?.read(read, clock());
        match result {
            Ok((page, damaged)) => {
                if damaged > 0 {
                    self.shared.count(|counters| counters.damaged += damaged);
                }
                Ok(page)
            }
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Answers the reads for which there is something now, or whose time is over.
    fn answer_reads(&mut self, now: Instant) {
        let position = self.store.as_ref().ok().map(|store| store.head().position);
        let mut at = 0;
        while let Some(waiting) = self.reads.get(at) {
            let is_over = waiting.until.is_some_and(|until| until <= now);
            // Where there is no store, it is not waited for.
            let has_some = position.is_none_or(|position| position > waiting.read.after);
            if !is_over && !has_some {
                at += 1;
                continue;
            }
            let waiting = self.reads.swap_remove(at);
            if !waiting.answer.is_canceled() {
                let page = self.read(&waiting.read);
                let _ = waiting.answer.send(page);
            }
        }
    }

    /// Writes the group, and answers who waits for it.
    fn commit(&mut self) {
        if self.group.is_empty() {
            return;
        }
        let group = std::mem::take(&mut self.group);
        (self.group_positions, self.group_bytes) = (0, 0);
        let (appends, waiting): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|pending| (pending.append, (pending.room, pending.answers)))
            .unzip();

        let began = Instant::now();
        let result = match self.store() {
            Ok(store) => store.append(&appends, clock()),
            Err(error) => Err(error.into()),
        };
        let result = self.settle(began, result);
        for (at, (room, answers)) in waiting.into_iter().enumerate() {
            // Who is answered may send the next one.
            drop(room);
            let result = result.as_ref().map(|committed| committed.appended[at]);
            for answer in answers {
                let _ = answer.send(result.map_err(Clone::clone));
            }
        }
    }

    /// Counts what a change did. After one that failed the file is opened again, since redb does
    /// nothing more with it, and then it is seen whether the disk has the change all the same: all
    /// of it, or nothing.
    fn settle(
        &mut self,
        began: Instant,
        result: Result<Committed, Failed>,
    ) -> Result<Committed, LogError> {
        let committed = match result {
            Ok(committed) => committed,
            Err(Failed { error, attempt }) => {
                self.fail(&error);
                let is_back = self.reopen().is_ok();
                let Some((state, committed)) = attempt else { return Err(refusal(&error)) };
                if !is_back {
                    let uncertain = LogError::new(LogErrorKind::Unreachable);
                    return Err(uncertain.with_detail(error.detail().to_owned()));
                }
                // What is there now is what the disk has.
                if self.state() != Some(state) {
                    return Err(refusal(&error));
                }
                committed
            }
        };
        let now = Instant::now();
        self.last_commit = Some(now);
        let took = now - began;
        self.shared.count(|counters| {
            counters.commits += 1;
            counters.appended += committed.appended.len() as u64;
            counters.cuts += committed.cuts;
            counters.trimmed += committed.trimmed;
            counters.last_commit = took;
            counters.longest_commit = counters.longest_commit.max(took);
        });
        self.note();
        Ok(committed)
    }

    /// Gives up the store until somebody says hello.
    fn fail(&mut self, error: &LogError) {
        self.shared.count(|counters| counters.failures += 1);
        self.store = Err(refusal(error));
    }

    fn reopen(&mut self) -> Result<(), LogError> {
        // The lock of the old one has to be gone.
        self.store = Err(LogErrorKind::NotReady.into());
        match self.open_again() {
            Ok(store) => {
                self.store = Ok(store);
                self.note();
                Ok(())
            }
            Err(error) => {
                self.store = Err(refusal(&error));
                Err(error)
            }
        }
    }

    fn open_again(&self) -> Result<Store, LogError> {
        let mut store = Store::open(&*self.disk, &self.config, None, &self.sync_failed)?;
        if store.head().position < self.position {
            // Somebody has put another file in its place.
            let committed = store.cut(self.position, clock()).map_err(|failed| failed.error)?;
            self.shared.count(|counters| counters.cuts += committed.cuts);
        }
        Ok(store)
    }

    fn state(&self) -> Option<State> {
        self.store.as_ref().ok().map(Store::state)
    }

    fn trim(&mut self, now: Instant) {
        self.trim_at = now + TRIM_EVERY;
        let Ok(store) = &mut self.store else { return };
        let result = match store.is_over_limits(clock()) {
            Ok(false) => return,
            Ok(true) => store.trim(clock()),
            Err(error) => Err(error.into()),
        };
        if self.settle(now, result).is_ok() {
            // The next step, after those who wait.
            self.trim_at = Instant::now() + Duration::from_millis(10);
        }
    }

    /// Notes what there is now.
    fn note(&mut self) {
        if let Ok(store) = &self.store {
            self.position = store.head().position;
            let (entries, positions, bytes) = store.sizes();
            self.shared.count(|counters| {
                (counters.entries, counters.positions, counters.bytes) =
                    (entries, positions, bytes);
            });
        }
    }
}

/// Says that nothing was done for what was asked, because of this.
fn refusal(error: &LogError) -> LogError {
    match error.kind() {
        LogErrorKind::Unreachable => {
            LogError::new(LogErrorKind::NotReady).with_detail(error.detail().to_owned())
        }
        _ => error.clone(),
    }
}

enum Place {
    New,
    /// It is in the group already.
    Waits(usize),
    Answered(Result<Appended, LogError>),
}

fn check(append: &Append) -> Result<(), LogError> {
    let detail = if append.count == 0 {
        "a batch of nothing"
    } else if append.payload.len() > MAX_PAYLOAD {
        "a batch of more than 64 MiB"
    } else {
        return check_seen(append.seen);
    };
    Err(LogError::new(LogErrorKind::Unsupported).with_detail(detail))
}

fn check_seen(seen: u64) -> Result<(), LogError> {
    if seen < MAX_SEEN {
        return Ok(());
    }
    let error = LogError::new(LogErrorKind::Unsupported);
    Err(error.with_detail("a position that no log has"))
}

/// Returns the milliseconds since 1970. A clock from before that is taken for one of then.
pub(crate) fn clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
