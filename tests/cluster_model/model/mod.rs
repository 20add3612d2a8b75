//! The naive node: lists of all that was ever published, asked, read and told.

mod answers;
mod outputs;
mod publishes;

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
            // Beyond all that an earlier life of the same id may have used.
            batches: config.time_of_day.map_or(0, |time| time.as_micros().try_into().unwrap()),
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
}

/// Where a request with this number stands.
fn at(id: u64) -> usize {
    usize::try_from(id).unwrap() - 1
}
