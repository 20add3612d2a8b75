//! The log in redb: its tables, what a commit changes in them, and what is read from them.
//!
//! ```text
//!  sansse           "version"  u32 of this layout     "state"  check, and what `State` has
//!  sansse entries   last position of an entry  ->  the entry
//!  sansse nodes     node  ->  its last batch: number, last position, count
//! ```
//!
//! Each change is one transaction that the disk has when it is over. So the tables agree with each
//! other wherever the process or the power stops.

use super::config::RedbLogConfig;
use super::entry;
use super::fault::{self, guarded};
use super::file::{Disk, Watched};
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition,
};
use sansse::broker::Epoch;
use sansse::cluster::{
    Append, Appended, Content, Entry, Head, LogError, LogErrorKind, NodeId, Page, Read,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("sansse");
const ENTRIES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("sansse entries");
const NODES: TableDefinition<'static, u128, (u64, u64, u32)> = TableDefinition::new("sansse nodes");

/// The version of this layout. One that cannot be read by this program takes the next one.
const VERSION: u32 = 1;

/// How many nodes' last batches are known. A store has one node at a time, and that of an earlier
/// life asks for nothing again.
const MAX_NODES: usize = 16;

/// How many entries a commit takes away beside two for each that it appends. So a store whose limits
/// were lowered gets there in steps that hold nobody up.
const TRIMMED: usize = 64;

/// How many bytes of payloads and how many entries a page has at most, whatever is asked for.
const MAX_PAGE: usize = 16 << 20;
const MAX_PAGE_ENTRIES: usize = 4096;

/// Positions stay below this, as those of other engines do, whose scripts count in doubles.
pub(crate) const MAX_POSITION: u64 = 1 << 53;

/// What is known of the log as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    epoch: u64,
    position: u64,
    start: u64,
    /// How many positions of the entries hold something.
    positions: u64,
    bytes: u64,
}

impl State {
    fn of_new(given: Option<Epoch>, drawn: Epoch) -> Self {
        let epoch = given.unwrap_or(drawn).0;
        Self { epoch, position: 0, start: 0, positions: 0, bytes: 0 }
    }

    fn encode(self) -> Vec<u8> {
        let numbers = [self.epoch, self.position, self.start, self.positions, self.bytes];
        let numbers: Vec<u8> = numbers.into_iter().flat_map(u64::to_le_bytes).collect();
        let mut bytes = entry::check(0, &numbers).to_le_bytes().to_vec();
        bytes.extend(numbers);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (check, numbers) = bytes.split_first_chunk()?;
        if u32::from_le_bytes(*check) != entry::check(0, numbers) {
            return None;
        }
        let (numbers, rest) = numbers.as_chunks();
        let [epoch, position, start, positions, bytes] = *numbers else { return None };
        let [epoch, position, start, positions, bytes] =
            [epoch, position, start, positions, bytes].map(u64::from_le_bytes);
        rest.is_empty().then_some(Self { epoch, position, start, positions, bytes })
    }
}

/// The last batch that a node has appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Last {
    pub(crate) number: u64,
    pub(crate) appended: Appended,
}

/// What a commit did.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// The answer to each batch, in the order of the group.
    pub(crate) appended: Vec<Appended>,
    pub(crate) cuts: u64,
    pub(crate) trimmed: u64,
}

/// A change that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: LogError,
    /// What the log would be if the disk had it all the same, and what was done then. `None` where
    /// the disk was not asked to keep anything.
    pub(crate) attempt: Option<(State, Committed)>,
}

impl From<LogError> for Failed {
    fn from(error: LogError) -> Self {
        Self { error, attempt: None }
    }
}

/// An open store.
pub(crate) struct Store {
    /// `None` while it is dropped.
    db: Option<Database>,
    limits: Limits,
    state: State,
    entries: u64,
    lasts: BTreeMap<NodeId, Last>,
}

#[derive(Clone, Copy)]
struct Limits {
    kept: u64,
    bytes: u64,
    age: u64,
}

impl Store {
    /// Opens the store that is there. Makes one if there is none and an epoch was drawn for it.
    ///
    /// The flag is one that a disk sets which did not keep what was written.
    pub(crate) fn open(
        disk: &dyn Disk,
        config: &RedbLogConfig,
        drawn: Option<Epoch>,
        sync_failed: &Arc<AtomicBool>,
    ) -> Result<Self, LogError> {
        let open = |backend| {
            let mut builder = Builder::new();
            builder.set_cache_size(config.cache);
            let backend = Watched::new(backend, sync_failed.clone());
            builder.create_with_backend(backend).map_err(fault::of)
        };
        if sync_failed.load(Ordering::Acquire) {
            // The system takes for written what the disk does not have, so that what is read now
            // may be gone with the next power loss.
            return Err(fault::unreachable("the disk did not keep what was written"));
        }
        let db = if let Some(backend) = disk.open()? {
            guarded(|| open(backend))?
        } else if let Some(drawn) = drawn {
            // Unless somebody else has made one since the look.
            let backend = disk.begin()?.ok_or(LogErrorKind::Locked)?;
            let state = State::of_new(config.epoch, drawn);
            let db = guarded(|| open(backend).and_then(|db| begin(db, state)))?;
            disk.establish()?;
            db
        } else {
            return Err(fault::unreachable("the file is gone"));
        };
        let limits = Limits {
            kept: config.kept,
            bytes: config.max_bytes,
            age: u64::try_from(config.max_age.as_millis()).unwrap_or(u64::MAX),
        };
        // First of all in its place, so that it is dropped with care.
        let state = State::of_new(None, Epoch(0));
        let lasts = BTreeMap::new();
        let mut store = Self { db: Some(db), limits, state, entries: 0, lasts };
        guarded(|| store.load())?;
        if config.epoch.is_some_and(|epoch| epoch != store.epoch()) {
            return Err(LogErrorKind::OtherEpoch { epoch: store.epoch() }.into());
        }
        Ok(store)
    }

    /// Reads what is known of the log as a whole.
    fn load(&mut self) -> Result<(), LogError> {
        let read = self.db().begin_read().map_err(fault::of)?;
        let meta =
            read.open_table(META).map_err(|_| fault::malformed("it is no store of sansse"))?;
        let version = meta.get("version").map_err(fault::of)?;
        let version = version.as_ref().and_then(|bytes| bytes.value().try_into().ok());
        match version.map(u32::from_le_bytes) {
            Some(VERSION) => {}
            Some(version) if version > VERSION => {
                let detail = format!("the store has the version {version}");
                return Err(LogError::new(LogErrorKind::Newer).with_detail(detail));
            }
            _ => return Err(fault::malformed("the version of the store makes no sense")),
        }
        let state = meta.get("state").map_err(fault::of)?;
        let state = state.as_ref().and_then(|bytes| State::decode(bytes.value()));
        self.state = state.ok_or_else(|| fault::malformed("the state of the store is damaged"))?;

        let entries = read.open_table(ENTRIES).map_err(fault::of)?;
        self.entries = entries.len().map_err(fault::of)?;
        let last = entries.last().map_err(fault::of)?.map(|(position, _)| position.value());
        if last.unwrap_or(self.state.start) != self.state.position {
            // Both are written at once: a table is not what it was.
            return Err(fault::malformed("the newest entry is not the one that it should be"));
        }
        for node in read.open_table(NODES).map_err(fault::of)?.iter().map_err(fault::of)? {
            let (node, last) = node.map_err(fault::of)?;
            let (number, last, count) = last.value();
            let last = Last { number, appended: Appended { last, count } };
            self.lasts.insert(NodeId(node.value()), last);
        }
        Ok(())
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.state.epoch)
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    pub(crate) fn head(&self) -> Head {
        Head { start: self.state.start, position: self.state.position }
    }

    /// Returns how many entries there are, how many positions they take, and how many bytes.
    pub(crate) fn sizes(&self) -> (u64, u64, u64) {
        (self.entries, self.state.positions, self.state.bytes)
    }

    pub(crate) fn last_of(&self, node: NodeId) -> Option<Last> {
        self.lasts.get(&node).copied()
    }

    /// Appends a group of batches in one transaction: all of them, or none. Takes away what is over
    /// the limits.
    ///
    /// Each batch is the next of its node.
    pub(crate) fn append(&mut self, group: &[Append], now: u64) -> Result<Committed, Failed> {
        self.change(now, |change| {
            for append in group {
                if append.seen > change.state.position {
                    change.cut(append.seen)?;
                }
                change.append(append)?;
            }
            Ok(())
        })
    }

    /// Writes a cut after the newest entry, with a position beyond the clock and beyond what
    /// somebody has seen.
    pub(crate) fn cut(&mut self, seen: u64, now: u64) -> Result<Committed, Failed> {
        self.change(now, |change| change.cut(seen))
    }

    /// Takes away what is over the limits, in one step.
    pub(crate) fn trim(&mut self, now: u64) -> Result<Committed, Failed> {
        self.change(now, |_| Ok(()))
    }

    /// Returns whether there is something over the limits.
    pub(crate) fn is_over_limits(&self, now: u64) -> Result<bool, LogError> {
        guarded(|| {
            let read = self.db().begin_read().map_err(fault::of)?;
            let entries = read.open_table(ENTRIES).map_err(fault::of)?;
            let oldest = entries.first().map_err(fault::of)?;
            Ok(oldest.is_some_and(|(position, bytes)| {
                is_over(self.limits, self.state, now, position.value(), bytes.value())
            }))
        })
    }

    fn change(
        &mut self,
        now: u64,
        change: impl FnOnce(&mut Change<'_>) -> Result<(), LogError>,
    ) -> Result<Committed, Failed> {
        let mut attempt = None;
        let made = guarded(|| {
            let write = self.db().begin_write().map_err(fault::of)?;
            let made = {
                let mut under_way = Change {
                    entries: write.open_table(ENTRIES).map_err(fault::of)?,
                    nodes: write.open_table(NODES).map_err(fault::of)?,
                    state: self.state,
                    lasts: self.lasts.clone(),
                    committed: Committed::default(),
                    now,
                };
                change(&mut under_way)?;
                under_way.trim(self.limits)?;
                let Change { entries, state, lasts, committed, .. } = under_way;
                let mut meta = write.open_table(META).map_err(fault::of)?;
                meta.insert("state", state.encode().as_slice()).map_err(fault::of)?;
                attempt = Some((state, committed));
                (lasts, entries.len().map_err(fault::of)?)
            };
            write.commit().map_err(fault::of)?;
            Ok(made)
        });
        match (made, attempt) {
            (Ok((lasts, entries)), Some((state, committed))) => {
                (self.state, self.lasts, self.entries) = (state, lasts, entries);
                Ok(committed)
            }
            (Err(error), attempt) => Err(Failed { error, attempt }),
            (Ok(_), None) => unreachable!("what was made was attempted"),
        }
    }

    /// Reads the entries after a position, and how many of them were damaged: these are cuts.
    pub(crate) fn read(&self, read: &Read, now: u64) -> Result<(Page, u64), LogError> {
        let mut page = Page::default();
        let mut damaged = 0;
        if read.after >= self.state.position {
            return Ok((page, damaged));
        }
        guarded(|| {
            let tables = self.db().begin_read().map_err(fault::of)?;
            let entries = tables.open_table(ENTRIES).map_err(fault::of)?;
            let mut room = usize::try_from(read.max_bytes).unwrap_or(MAX_PAGE).min(MAX_PAGE);
            for one in entries.range(read.after + 1..).map_err(fault::of)? {
                let (position, bytes) = one.map_err(fault::of)?;
                let (position, bytes) = (position.value(), bytes.value());
                let size = bytes.len().saturating_sub(entry::HEAD);
                if page.entries.len() == MAX_PAGE_ENTRIES || size > room && !page.entries.is_empty()
                {
                    break;
                }
                room = room.saturating_sub(size);
                let one = if let Some(stored) = entry::decode(position, bytes) {
                    let age = Duration::from_millis(now.saturating_sub(stored.when));
                    Entry { after: stored.after, position, age, content: stored.content }
                } else {
                    damaged += 1;
                    let before = match page.entries.last() {
                        Some(entry) => entry.position,
                        None => match entries.range(..position).map_err(fault::of)?.next_back() {
                            Some(before) => before.map_err(fault::of)?.0.value(),
                            None => self.state.start.min(position - 1),
                        },
                    };
                    let (age, content) = (Duration::ZERO, Content::Cut);
                    Entry { after: before, position, age, content }
                };
                page.entries.push(one);
            }
            Ok(())
        })?;
        Ok((page, damaged))
    }

    fn db(&self) -> &Database {
        self.db.as_ref().expect("it is there until the store is dropped")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // It may write, and panic where the file contradicts itself.
        let db = self.db.take();
        drop(guarded(|| {
            drop(db);
            Ok(())
        }));
    }
}

/// Makes the tables of a new store.
fn begin(db: Database, state: State) -> Result<Database, LogError> {
    let write = db.begin_write().map_err(fault::of)?;
    write.open_table(ENTRIES).map_err(fault::of)?;
    write.open_table(NODES).map_err(fault::of)?;
    {
        let mut meta = write.open_table(META).map_err(fault::of)?;
        meta.insert("version", VERSION.to_le_bytes().as_slice()).map_err(fault::of)?;
        meta.insert("state", state.encode().as_slice()).map_err(fault::of)?;
    }
    write.commit().map_err(fault::of)?;
    Ok(db)
}

fn is_over(limits: Limits, state: State, now: u64, position: u64, bytes: &[u8]) -> bool {
    let (count, when) = entry::outline(position, bytes);
    // The newest one has to be read before it may go for room.
    let is_newest = position == state.position;
    let is_over = state.positions - count.min(state.positions) >= limits.kept;
    let is_old = now.saturating_sub(when) > limits.age;
    is_old || !is_newest && (is_over || state.bytes > limits.bytes)
}

/// A transaction under way.
struct Change<'t> {
    entries: Table<'t, u64, &'static [u8]>,
    nodes: Table<'t, u128, (u64, u64, u32)>,
    state: State,
    lasts: BTreeMap<NodeId, Last>,
    committed: Committed,
    now: u64,
}

impl Change<'_> {
    fn append(&mut self, append: &Append) -> Result<(), LogError> {
        let last = self.state.position + u64::from(append.count);
        self.put(last, Some(&append.payload))?;
        self.state.positions += u64::from(append.count);

        let appended = Appended { last, count: append.count };
        self.committed.appended.push(appended);
        let number = append.number;
        self.lasts.insert(append.node, Last { number, appended });
        self.nodes.insert(append.node.0, (number, last, append.count)).map_err(fault::of)?;
        while self.lasts.len() > MAX_NODES {
            let oldest = self.lasts.iter().min_by_key(|(_, last)| last.appended.last);
            let Some(oldest) = oldest.map(|(node, _)| *node) else { break };
            self.lasts.remove(&oldest);
            self.nodes.remove(oldest.0).map_err(fault::of)?;
        }
        Ok(())
    }

    /// The position of a cut is beyond all that may have been given: what somebody has seen, and
    /// what a clock that runs at more than a million positions a second could have counted.
    fn cut(&mut self, seen: u64) -> Result<(), LogError> {
        let clock = self.now.saturating_mul(1024);
        self.put(self.state.position.max(seen).max(clock) + 2, None)?;
        self.committed.cuts += 1;
        Ok(())
    }

    fn put(&mut self, position: u64, payload: Option<&[u8]>) -> Result<(), LogError> {
        if position >= MAX_POSITION {
            let error = LogError::new(LogErrorKind::Full);
            return Err(error.with_detail("there are no more positions"));
        }
        let bytes = entry::encode(position, self.state.position, self.now, payload);
        self.entries.insert(position, bytes.as_slice()).map_err(fault::of)?;
        self.state.position = position;
        self.state.bytes += bytes.len() as u64;
        Ok(())
    }

    fn trim(&mut self, limits: Limits) -> Result<(), LogError> {
        for _ in 0..TRIMMED + 2 * self.committed.appended.len() {
            let (position, count, size) = {
                let Some((position, bytes)) = self.entries.first().map_err(fault::of)? else {
                    break;
                };
                let (position, bytes) = (position.value(), bytes.value());
                if !is_over(limits, self.state, self.now, position, bytes) {
                    break;
                }
                (position, entry::outline(position, bytes).0, bytes.len() as u64)
            };
            self.entries.remove(position).map_err(fault::of)?;
            self.state.start = position;
            self.state.positions = self.state.positions.saturating_sub(count);
            self.state.bytes = self.state.bytes.saturating_sub(size);
            self.committed.trimmed += 1;
        }
        Ok(())
    }
}
