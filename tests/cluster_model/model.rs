//! The naive node: lists of all that was ever published, asked, read and told.

use crate::drawn::{Answered, Drew, DrewContent, DrewEntry, ME, joined};
use sansse::broker::{Epoch, PublishError};
use sansse::cluster::{
    Append, Batch, Head, Hello, LogErrorKind, LogRequest, NodeConfig, NodeCounters, NodeHealth,
    Read, RequestId, WhileDown,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

const GRACE: Duration = Duration::from_secs(1);

/// When something is to be over, and whether that was put off.
type Deadline = (Option<Instant>, bool);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Hello,
    Head,
    Append,
    Read,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    UnderWay,
    GivenUp,
    Over,
}

struct Asked {
    kind: Kind,
    fate: Fate,
    at: Instant,
    deadline: Deadline,
    count: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Queued,
    Sent,
    Settled,
}

struct Publish {
    record: Drew,
    size: usize,
    at: Instant,
    state: State,
}

/// A batch: which publishes it has, and what is known of it.
struct Sent {
    number: u64,
    publishes: Vec<usize>,
    confirm: Deadline,
    is_doubtful: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Waiting(Option<Instant>),
    Greeting,
    Serving,
    Over,
}

/// Whether it was told to end, and by when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ends {
    Never,
    By(Option<Instant>),
}

#[expect(clippy::struct_excessive_bools, reason = "it keeps all that ever was, plainly")]
pub(crate) struct Model {
    config: NodeConfig,
    began: Instant,
    now: Instant,
    phase: Phase,
    is_down: bool,
    random: u64,
    failures_in_a_row: u32,
    rests: Option<Instant>,
    asked: Vec<Asked>,
    ids: BTreeMap<u64, RequestId>,
    publishes: Vec<Publish>,
    batches: u64,
    sent: Option<Sent>,
    settled: VecDeque<(usize, Result<u64, PublishError>)>,
    applied: u64,
    cursor: u64,
    has_joined: bool,
    /// Where the log began at the hello, the end of what is not counted yet, and how much is left.
    seek: Option<(u64, u64, u64)>,
    steps: Vec<String>,
    known: u64,
    appended: u64,
    check_at: Option<Instant>,
    wants_head: bool,
    unread: Option<(u64, Instant)>,
    was_ready: bool,
    wrong: Option<(Instant, LogErrorKind)>,
    target: Option<u64>,
    told: NodeHealth,
    has_greeted: bool,
    ends: Ends,
    counters: NodeCounters,
    happened: BTreeMap<&'static str, u64>,
}

impl Model {
    pub(crate) fn new(now: Instant, config: NodeConfig) -> Self {
        Self {
            began: now,
            now,
            phase: Phase::Greeting,
            is_down: false,
            random: config.seed,
            failures_in_a_row: 0,
            rests: None,
            asked: Vec::new(),
            ids: BTreeMap::new(),
            publishes: Vec::new(),
            batches: 0,
            sent: None,
            settled: VecDeque::new(),
            applied: 0,
            cursor: 0,
            has_joined: false,
            seek: None,
            steps: Vec::new(),
            known: 0,
            appended: 0,
            check_at: None,
            wants_head: false,
            unread: None,
            was_ready: false,
            wrong: None,
            target: None,
            told: NodeHealth::Joining,
            has_greeted: false,
            ends: Ends::Never,
            counters: NodeCounters::default(),
            happened: BTreeMap::new(),
            config,
        }
    }

    // What the drawing looks at.

    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    pub(crate) fn happened(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.happened.iter().map(|(what, count)| (*what, *count))
    }

    pub(crate) fn asked(&self) -> Vec<u64> {
        (1..=self.asked.len() as u64).collect()
    }

    pub(crate) fn under_way(&self) -> impl Iterator<Item = u64> {
        let under_way = |asked: &Asked| asked.fate == Fate::UnderWay;
        (1..).zip(&self.asked).filter(move |(_, asked)| under_way(asked)).map(|(id, _)| id)
    }

    pub(crate) fn kind(&self, id: u64) -> usize {
        self.asked[at(id)].kind as usize
    }

    pub(crate) fn count_of(&self, id: u64) -> u32 {
        self.asked[at(id)].count
    }

    pub(crate) fn known(&self) -> u64 {
        self.known
    }

    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    pub(crate) fn id(&self, number: u64) -> Option<RequestId> {
        self.ids.get(&number).copied()
    }

    pub(crate) fn knows(&mut self, id: RequestId) {
        assert_eq!(id.get(), self.asked.len() as u64);
        self.ids.insert(id.get(), id);
    }

    pub(crate) fn applied(&self) -> u64 {
        self.applied
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    fn note(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    // Calls.

    pub(crate) fn publish(&mut self, now: Instant, record: &Drew) -> Result<u64, PublishError> {
        self.now = self.now.max(now);
        if self.ends != Ends::Never {
            self.note("closed");
            return Err(PublishError::Closed);
        }
        if !record.is_usable() {
            // Which of its faults an id has is not the model's to know.
            let Drew::OwnId(id) = record else { unreachable!() };
            return Err(PublishError::UnusableId(match *id {
                "" => sansse::UnusableId::Empty,
                " " => sansse::UnusableId::SpaceAtEnd,
                _ => sansse::UnusableId::LikeAPlace,
            }));
        }
        let mut batch = Batch::new(ME);
        let head = batch.size();
        batch.push(&record.record()).unwrap();
        let (size, limit) = (batch.size() - head, self.config.batch_bytes.get());
        if batch.size() > limit {
            self.note("too large");
            return Err(PublishError::TooLarge { size, limit });
        }
        if self.is_down && self.config.while_down == WhileDown::Refuse {
            self.counters.refused_down += 1;
            return Err(PublishError::EngineDown);
        }
        let queued = self.queued().count();
        let bytes: usize = self.queued().map(|at| self.publishes[at].size).sum();
        if queued + self.settled.len() >= self.config.queued_records.get()
            || bytes + size > self.config.queued_bytes.get()
        {
            self.note("busy");
            self.counters.refused_busy += 1;
            return Err(PublishError::Busy);
        }
        let (record, at, state) = (record.clone(), self.now, State::Queued);
        self.publishes.push(Publish { record, size, at, state });
        if self.is_down {
            self.note("waits");
        }
        Ok(self.publishes.len() as u64)
    }

    fn queued(&self) -> impl Iterator<Item = usize> {
        (0..self.publishes.len()).filter(|at| self.publishes[*at].state == State::Queued)
    }

    pub(crate) fn answer(&mut self, now: Instant, id: u64, answer: &Answered) {
        self.now = self.now.max(now);
        let asked = &mut self.asked[at(id)];
        if asked.fate == Fate::UnderWay {
            asked.fate = Fate::Over;
            let (kind, since) = (asked.kind, asked.at);
            if let Err(error) = self.fits(kind, since, answer) {
                self.fail(error, Some(kind));
            }
        }
        self.end_if_done();
    }

    fn fits(&mut self, kind: Kind, since: Instant, answer: &Answered) -> Result<(), LogErrorKind> {
        match (kind, answer) {
            (_, Answered::Error(error)) => Err(*error),
            (Kind::Hello, Answered::Hello(head)) => self.greeted(*head),
            (Kind::Head, Answered::Head(head)) => self.head(*head),
            (Kind::Append, Answered::Appended(appended)) => {
                let sent = self.sent.as_ref().unwrap();
                let count = u32::try_from(sent.publishes.len()).unwrap();
                let fits = appended.last < self.end()
                    && appended.count == count
                    && appended.last >= u64::from(count);
                if !fits {
                    self.note("nonsense");
                    return Err(LogErrorKind::Malformed);
                }
                let sent = self.sent.take().unwrap();
                let before = appended.last - u64::from(count);
                for (place, at) in sent.publishes.iter().enumerate() {
                    if self.publishes[*at].state == State::Sent {
                        self.settle(*at, Ok(before + 1 + place as u64));
                    }
                }
                self.note(if count > 1 { "batch of several" } else { "appended" });
                self.counters.appended_batches += 1;
                self.counters.appended_records += u64::from(count);
                self.appended = appended.last;
                self.hears(appended.last);
                Ok(())
            }
            (Kind::Read, Answered::Page(entries)) => self.page(since, entries),
            _ => {
                self.note("nonsense");
                Err(LogErrorKind::Malformed)
            }
        }
    }

    fn end(&self) -> u64 {
        let ten_years = 10 * 366 * 24 * 3_600;
        let clock = self.config.time_of_day.map(|time| {
            (time + (self.now - self.began)).as_secs().saturating_add(ten_years) * 1_024_000
        });
        clock.unwrap_or(u64::MAX).min(1 << 53)
    }

    fn greeted(&mut self, head: Head) -> Result<(), LogErrorKind> {
        let Head { start, position } = head;
        if start > position || position >= self.end() || position < self.known {
            self.note("nonsense");
            return Err(LogErrorKind::Malformed);
        }
        if self.has_greeted {
            self.counters.reconnects += 1;
        }
        self.has_greeted = true;
        self.phase = Phase::Serving;
        self.is_down = false;
        if !self.was_ready {
            self.wrong = None;
        }
        if self.health() != NodeHealth::Ready && self.target.is_none() {
            self.target = Some(position);
        }
        if !self.has_joined {
            self.has_joined = true;
            self.cursor = start.max(position.saturating_sub(self.config.window));
            if self.cursor > start {
                self.note("joined with a window");
                self.seek = Some((start, position, self.config.window));
            }
        }
        if start == position || self.cursor >= position {
            self.lose(position);
        }
        self.check_at = self.now.checked_add(self.config.check_every);
        self.wants_head = false;
        self.unread = None;
        self.hears(position);
        self.reaches();
        Ok(())
    }

    fn head(&mut self, head: Head) -> Result<(), LogErrorKind> {
        let Head { start, position } = head;
        if start > position || position >= self.end() {
            self.note("nonsense");
            return Err(LogErrorKind::Malformed);
        }
        self.check_at = self.now.checked_add(self.config.check_every);
        let is_old = |since: Instant| self.now - since >= self.config.check_every;
        if position < self.known {
            self.note("hello again, without a failure");
            self.check_at = None;
            self.unread = None;
            self.give_up_all();
            self.phase = Phase::Greeting;
        } else if start > self.cursor {
            self.give_up(|kind| kind == Kind::Read);
            self.counters.holes += 1;
            self.lose(start);
            self.hears(position);
            self.reaches();
        } else if self.unread.is_some_and(|(unread, since)| unread > self.cursor && is_old(since)) {
            return Err(LogErrorKind::Unreachable);
        } else {
            self.hears(position);
        }
        Ok(())
    }

    fn page(&mut self, since: Instant, entries: &[DrewEntry]) -> Result<(), LogErrorKind> {
        let end = self.end();
        if entries.is_empty() {
            if self.now - since <= self.config.read_wait / 2 {
                self.note("rest");
                let least = self.config.backoff_min.max(Duration::from_millis(1));
                self.rests = Some(self.now + least);
            }
        } else {
            let is_wrong = |one: &DrewEntry| one.after >= one.position || one.position >= end;
            if entries.iter().any(is_wrong)
                || entries.iter().all(|entry| entry.position <= self.cursor)
            {
                self.note("nonsense");
                return Err(LogErrorKind::Malformed);
            }
            if !self.seeks(entries) {
                for entry in entries {
                    if entry.position > self.cursor {
                        self.entry(entry);
                    }
                }
            }
            self.known = self.known.max(self.applied);
            if !self.wants_head {
                self.check_at = self.now.checked_add(self.config.check_every);
            }
            self.reaches();
        }
        self.failures_in_a_row = 0;
        Ok(())
    }

    /// Whether the window begins before a cut, over whose jump it was guessed to begin.
    fn seeks(&mut self, entries: &[DrewEntry]) -> bool {
        let first = entries.iter().find(|entry| entry.position > self.cursor).unwrap();
        let Some((start, end, left)) = self.seek.take() else { return false };
        if !matches!(first.content, DrewContent::Cut) || first.after >= self.cursor {
            return false;
        }
        let counted = if end > first.position { end - first.position } else { 1 };
        let left = left.saturating_sub(counted);
        let begins = start.max(first.after.saturating_sub(left));
        if begins >= first.after {
            return false;
        }
        self.note("joined over a cut");
        self.cursor = begins;
        if begins > start {
            self.seek = Some((start, first.after, left));
        }
        true
    }

    fn entry(&mut self, entry: &DrewEntry) {
        let DrewEntry { after, position, content } = entry.clone();
        if after != self.applied && self.applied > 0 {
            self.counters.holes += 1;
            self.note("hole");
        }
        if after > self.applied {
            self.steps.push(format!("cut {after}"));
        }
        match content {
            DrewContent::Cut => {
                self.counters.cuts += 1;
                let is_exact = self.config.lossless && after >= self.applied;
                self.note(if is_exact { "lossless" } else { "cut" });
                let word = if is_exact { "skip" } else { "cut" };
                self.steps.push(format!("{word} {position}"));
            }
            _ if after < self.applied => self.steps.push(format!("cut {position}")),
            DrewContent::Garbage => self.unreadable(position, position - after),
            DrewContent::Records(records) | DrewContent::Newer(records)
                if records.len() as u64 != position - after =>
            {
                self.unreadable(position, position - after);
            }
            DrewContent::Records(ref records) | DrewContent::Newer(ref records) => {
                let is_newer = matches!(content, DrewContent::Newer(_));
                for (at, record) in (after + 1..).zip(records) {
                    if (is_newer && at == after + 1) || !record.is_usable() {
                        self.unreadable(at, 1);
                    } else {
                        self.counters.applied += 1;
                        self.note("applied");
                        self.steps.push(record.step(at));
                    }
                }
            }
        }
        self.applied = position;
        self.cursor = position;
    }

    fn unreadable(&mut self, position: u64, count: u64) {
        self.counters.unreadable += count;
        self.note("unreadable");
        self.steps.push(format!("cut {position}"));
    }

    fn lose(&mut self, position: u64) {
        if position > self.applied {
            self.steps.push(format!("cut {position}"));
            self.applied = position;
            self.cursor = self.cursor.max(position);
        }
    }

    /// The engine told of a position.
    fn hears(&mut self, position: u64) {
        self.known = self.known.max(position);
        let is_read = self.unread.is_none_or(|(unread, _)| unread <= self.cursor);
        if position > self.cursor && is_read {
            self.unread = Some((position, self.now));
        }
    }

    fn reaches(&mut self) {
        if self.target.is_some_and(|target| target <= self.applied) {
            self.note("ready");
            (self.was_ready, self.wrong, self.target) = (true, None, None);
        }
    }

    fn fail(&mut self, error: LogErrorKind, failed: Option<Kind>) {
        let is_append_under_way = self
            .asked
            .iter()
            .any(|asked| asked.kind == Kind::Append && asked.fate == Fate::UnderWay);
        if failed == Some(Kind::Append) || is_append_under_way {
            let sent = self.sent.as_mut().unwrap();
            if failed == Some(Kind::Append) && error.is_refusal() {
                if !sent.is_doubtful {
                    for at in self.sent.take().unwrap().publishes {
                        if self.publishes[at].state == State::Sent {
                            self.counters.refused_down += 1;
                            self.settle(at, Err(PublishError::EngineDown));
                        }
                    }
                }
            } else {
                sent.is_doubtful = true;
            }
        }
        self.counters.failures += 1;
        self.give_up_all();
        self.is_down = true;
        self.phase = Phase::Waiting(Some(self.now + self.drawn_wait()));
        (self.check_at, self.wants_head, self.unread) = (None, false, None);
        let since = self.wrong.map_or(self.now, |(since, _)| since);
        self.wrong = Some((since, error));
        if self.was_ready {
            self.target = None;
        }
        self.note(if self.was_ready { "stale" } else { "down" });
        self.refuse_queue(|model, at| match model.config.while_down {
            WhileDown::Wait(wait) => {
                let until = model.publishes[at].at.checked_add(wait);
                until.is_some_and(|until| until <= model.now)
            }
            _ => true,
        });
    }

    /// splitmix64, and full jitter.
    fn drawn_wait(&mut self) -> Duration {
        let least = Duration::from_millis(1);
        let bound = self.config.backoff_min.max(least).as_nanos();
        let most = self.config.backoff_max.max(least).as_nanos();
        let bound = bound.saturating_mul(1 << self.failures_in_a_row.min(40)).min(most);
        self.failures_in_a_row += 1;
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let nanos = (u128::from(z) * (bound + 1)) >> 64;
        Duration::from_nanos(u64::try_from(nanos.max(1)).unwrap())
    }

    fn give_up(&mut self, which: impl Fn(Kind) -> bool) {
        for asked in &mut self.asked {
            if asked.fate == Fate::UnderWay && which(asked.kind) {
                asked.fate = Fate::GivenUp;
                *self.happened.entry("given up").or_default() += 1;
            }
        }
    }

    fn give_up_all(&mut self) {
        self.give_up(|_| true);
        self.rests = None;
    }

    fn settle(&mut self, at: usize, result: Result<u64, PublishError>) {
        assert_ne!(self.publishes[at].state, State::Settled);
        self.publishes[at].state = State::Settled;
        self.settled.push_back((at, result));
    }

    fn refuse_queue(&mut self, which: impl Fn(&Self, usize) -> bool) {
        let queued: Vec<usize> = self.queued().collect();
        for at in queued {
            if which(self, at) {
                self.counters.refused_down += 1;
                self.settle(at, Err(PublishError::EngineDown));
            }
        }
    }

    pub(crate) fn time(&mut self, now: Instant) {
        self.now = self.now.max(now);
        let now = self.now;
        if let Ends::By(Some(until)) = self.ends
            && until <= now
            && self.phase != Phase::Over
        {
            self.finish();
        }
        if let Phase::Waiting(Some(until)) = self.phase
            && until <= now
        {
            self.phase = Phase::Greeting;
        }
        if self.rests.is_some_and(|until| until <= now) {
            self.rests = None;
        }
        // What is asked beside a read is looked at first; one that is overdue is enough.
        let mut order: Vec<usize> = self.under_way().map(at).collect();
        order.sort_by_key(|at| self.asked[*at].kind == Kind::Read);
        for at in order {
            let mut deadline = self.asked[at].deadline;
            let is_over = self.is_over_at(&mut deadline);
            self.asked[at].deadline = deadline;
            if is_over {
                self.fail(LogErrorKind::Unreachable, None);
                break;
            }
        }
        if self.check_at.is_some_and(|at| at <= now) {
            (self.check_at, self.wants_head) = (None, true);
        }
        if let Some(mut sent) = self.sent.take() {
            let is_told = self.publishes[sent.publishes[0]].state == State::Settled;
            if !is_told && self.is_over_at(&mut sent.confirm) {
                self.unconfirm(&sent);
            }
            self.sent = Some(sent);
        }
        if self.is_down {
            self.refuse_queue(|model, at| {
                let WhileDown::Wait(wait) = model.config.while_down else { return false };
                let until = model.publishes[at].at.checked_add(wait);
                until.is_some_and(|until| until <= model.now)
            });
        }
        self.end_if_done();
    }

    fn unconfirm(&mut self, sent: &Sent) {
        for at in sent.publishes.clone() {
            if self.publishes[at].state == State::Sent {
                self.note("unconfirmed");
                self.counters.unconfirmed += 1;
                self.settle(at, Err(PublishError::Unconfirmed));
            }
        }
    }

    fn is_over_at(&mut self, deadline: &mut Deadline) -> bool {
        let (Some(at), had_grace) = *deadline else { return false };
        if at > self.now {
            return false;
        }
        if had_grace || self.now - at < GRACE {
            return true;
        }
        self.note("grace");
        *deadline = (Some(self.now + GRACE), true);
        false
    }

    pub(crate) fn shut_down(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.ends == Ends::Never {
            self.note("shut down");
            self.ends = Ends::By(self.now.checked_add(self.config.shut_down_within));
            self.end_if_done();
        }
    }

    fn end_if_done(&mut self) {
        let owes = self.publishes.iter().any(|publish| publish.state != State::Settled);
        let has_read = self.phase != Phase::Serving || self.cursor >= self.appended;
        if self.ends != Ends::Never && self.phase != Phase::Over && !owes && has_read {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.give_up_all();
        self.phase = Phase::Over;
        (self.check_at, self.wants_head, self.unread) = (None, false, None);
        self.refuse_queue(|_, _| true);
        if let Some(sent) = self.sent.take() {
            self.unconfirm(&sent);
            self.sent = Some(sent);
        }
    }

    // Outputs.

    fn is_free(&self, is_read: bool) -> bool {
        let busy =
            |asked: &Asked| (asked.kind == Kind::Read) == is_read && asked.fate != Fate::Over;
        !self.asked.iter().any(busy)
    }

    pub(crate) fn request(&mut self, now: Instant) -> Option<LogRequest> {
        self.now = self.now.max(now);
        let seen = self.known;
        if self.phase == Phase::Greeting && self.is_free(false) && self.is_free(true) {
            self.ask(Kind::Hello, 0);
            return Some(LogRequest::Hello(Hello { node: ME, epoch: Epoch(0xe), seen }));
        }
        if self.phase != Phase::Serving {
            return None;
        }
        if self.is_free(false) {
            if self.wants_head {
                self.note("head");
                self.wants_head = false;
                self.ask(Kind::Head, 0);
                return Some(LogRequest::Head);
            }
            if self.sent.is_some() {
                self.note("append again");
            } else {
                self.pack();
            }
            if let Some(sent) = &self.sent {
                let mut batch = Batch::new(ME);
                for at in &sent.publishes {
                    batch.push(&self.publishes[*at].record.record()).unwrap();
                }
                let (number, count) = (sent.number, batch.count());
                self.ask(Kind::Append, count);
                let payload = batch.payload();
                return Some(LogRequest::Append(Append { node: ME, number, seen, count, payload }));
            }
        }
        if self.is_free(true) && self.rests.is_none() && self.steps.is_empty() {
            self.ask(Kind::Read, 0);
            let (max_bytes, wait) = (self.config.page_bytes.get(), self.config.read_wait);
            return Some(LogRequest::Read(Read { after: self.cursor, max_bytes, wait }));
        }
        None
    }

    fn ask(&mut self, kind: Kind, count: u32) {
        let within = match kind {
            Kind::Read => self.config.read_wait + self.config.read_margin,
            _ => self.config.answer_within,
        };
        let deadline = (self.now.checked_add(within), false);
        self.asked.push(Asked { kind, fate: Fate::UnderWay, at: self.now, deadline, count });
    }

    fn pack(&mut self) {
        let mut size = Batch::new(ME).size();
        let mut publishes = Vec::new();
        let queued: Vec<usize> = self.queued().collect();
        for at in queued {
            size += self.publishes[at].size;
            let is_full = size > self.config.batch_bytes.get()
                || publishes.len() >= self.config.batch_records.get() as usize;
            if is_full && !publishes.is_empty() {
                break;
            }
            publishes.push(at);
        }
        if publishes.is_empty() {
            return;
        }
        self.batches += 1;
        for at in &publishes {
            self.publishes[*at].state = State::Sent;
        }
        let confirm = (self.now.checked_add(self.config.confirm_within), false);
        self.sent = Some(Sent { number: self.batches, publishes, confirm, is_doubtful: false });
    }

    pub(crate) fn effect(&mut self) -> Option<String> {
        for is_read in [false, true] {
            let given_up = self.asked.iter_mut().enumerate().find(|(_, asked)| {
                (asked.kind == Kind::Read) == is_read && asked.fate == Fate::GivenUp
            });
            if let Some((at, asked)) = given_up {
                asked.fate = Fate::Over;
                return Some(format!("give up {}", at + 1));
            }
        }
        if !self.steps.is_empty() {
            return Some(joined(std::mem::take(&mut self.steps)));
        }
        if let Some((at, result)) = self.settled.pop_front() {
            return Some(format!("settled {} {result:?}", at + 1));
        }
        let health = self.health();
        let is_new = health != self.told;
        self.told = health;
        is_new.then(|| format!("{health:?}"))
    }

    pub(crate) fn health(&self) -> NodeHealth {
        match (self.wrong, self.was_ready) {
            (None, false) => NodeHealth::Joining,
            (None, true) => NodeHealth::Ready,
            (Some((since, error)), true) => NodeHealth::Stale { since, error },
            (Some((since, error)), false) => NodeHealth::Down { since, error },
        }
    }

    pub(crate) fn timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Over {
            return None;
        }
        let under_way = self.asked.iter().filter(|asked| asked.fate == Fate::UnderWay);
        let mut times: Vec<Option<Instant>> = under_way.map(|asked| asked.deadline.0).collect();
        if let Phase::Waiting(until) = self.phase {
            times.push(until);
        }
        times.extend([self.rests, self.check_at]);
        if let Ends::By(until) = self.ends {
            times.push(until);
        }
        if let Some(sent) = &self.sent
            && self.publishes[sent.publishes[0]].state == State::Sent
        {
            times.push(sent.confirm.0);
        }
        if let (true, WhileDown::Wait(wait)) = (self.is_down, self.config.while_down) {
            times.extend(self.queued().map(|at| self.publishes[at].at.checked_add(wait)));
        }
        times.into_iter().flatten().min()
    }

    pub(crate) fn counters(&self) -> NodeCounters {
        let mut counters = self.counters;
        counters.queued_records = self.queued().count() as u64;
        counters.queued_bytes = self.queued().map(|at| self.publishes[at].size as u64).sum();
        counters
    }
}

/// Where a request with this number stands.
fn at(id: u64) -> usize {
    usize::try_from(id).unwrap() - 1
}
