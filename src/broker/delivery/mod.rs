//! What goes to a session: the merge of its channels, what it meets when it is behind, and its end.
//!
//! A session gets what was published to any of its channels in the order of the positions, so that
//! one id resumes all. Each channel is a source with a cursor; the source with the oldest pending
//! event is next, and may go on up to where another source's next event lies:
//!
//! ```text
//!                 cursor
//!   everyone        ▼ 4     9
//!   "news"            ▼ 5 6 7        12
//!   client's                ▼ 8
//!
//!   goes out:     4 │ 5 6 7 │ 8 │ 9 │ 12        │: another look at all sources
//! ```
//!
//! An event that several sources have, such as a topic and a pattern that matches it, has one
//! position. It goes out once, and all of their cursors pass it together.

mod batch;
mod filled;
mod policy;
mod resumption;
mod sink;
mod telling;

pub use batch::Batch;
pub use filled::{Filled, Transmit};

pub(crate) use batch::{Part, Source};
pub(crate) use resumption::{
    Beginning, Places, Wish, ends_without_id, has_no_id, is_anything_left, resume,
};
pub(crate) use sink::{BatchSink, FrameSink, Sink, Taken};
pub(crate) use telling::Teller;

use super::clock::Tick;
use super::config::{BrokerConfig, Lag, LagPolicy};
use super::counters::Counters;
use super::event::EndReason;
use super::sequence::Sequencer;
use super::sessions::{Ending, LateGap, Loss, Session, Subscription, is_over};
use super::topics::{Kind, Take, Topics, View};
use crate::encode::Frame;
use crate::event::Event;
use crate::notice::{LossReason, Notice};
use core::cmp::Ordering::{Equal, Greater, Less};
use policy::{Standing, Supersession};
use sink::Room;

/// One session that is polled, with all that a delivery to it takes.
#[derive(Debug)]
pub(crate) struct Poll<'a> {
    now: Tick,
    session: &'a mut Session,
    topics: &'a Topics,
    sequencer: &'a Sequencer,
    config: &'a BrokerConfig,
    counters: &'a mut Counters,
}

impl<'a> Poll<'a> {
    #[inline]
    pub(crate) const fn new(
        now: Tick,
        session: &'a mut Session,
        topics: &'a Topics,
        sequencer: &'a Sequencer,
        config: &'a BrokerConfig,
        counters: &'a mut Counters,
    ) -> Self {
        Self { now, session, topics, sequencer, config, counters }
    }
}

/// The poll of a session that has more than one event pending, or something beside events.
struct Delivery<'a> {
    now: Tick,
    session: &'a mut Session,
    topics: &'a Topics,
    sequencer: &'a Sequencer,
    config: &'a BrokerConfig,
    counters: &'a mut Counters,
    passed: &'a mut Passed,
}

/// Events that a session did not get, of which the application is to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    lost: u64,
    superseded: u64,
}

/// How a sink was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There may be more.
    More,
    /// That was all: the session is to be parked.
    All,
    /// That was all for a session that is ahead: it is to be parked, and waits for no channel.
    Ahead,
    /// The session is to end; the sink is empty.
    Ended(EndReason),
}

/// What a look at all sources finds.
enum Pending<'a> {
    /// No event.
    Nothing,
    /// One event, which is there.
    One { number: u32, view: View<'a> },
    /// Several events, or some that are gone.
    More {
        /// Whether each source has at most one event, and that event is there.
        is_whole: bool,
    },
}

/// What goes out next.
enum Next {
    /// A stretch from one source: from its cursor, while the position is below.
    Run {
        number: u32,
        below: u64,
    },
    /// An event that is pending in several sources, of which this is the first.
    Shared {
        number: u32,
        position: u64,
    },
    /// What tells the peer of a loss.
    Loss,
    /// What tells the peer that something may be lost to all.
    Cut,
    /// Something that is lost, or excluded, comes next in one of the sources.
    Gone,
    Nothing,
}

/// Lets the sink take what a session has to transmit, in the order in which it was published.
///
/// Most sessions keep up, so that one look at their sources finds one event or none. Only the
/// others are a [`Delivery`].
#[inline]
pub(crate) fn fill(poll: Poll<'_>, sink: &mut impl Sink, passed: &mut Passed) -> Outcome {
    let pending = survey(poll.session, poll.topics);
    if !poll.session.extras().is_any() {
        if let Pending::One { number, view } = pending {
            return fill_one(poll, number, view, sink);
        }
        if let Pending::Nothing = pending
            && !poll.session.is_heartbeat_due()
            && !is_over(poll.session, poll.topics)
        {
            return Outcome::All;
        }
    }
    let is_behind = matches!(pending, Pending::More { is_whole: false });
    let is_caught_up = matches!(pending, Pending::Nothing);
    let Poll { now, session, topics, sequencer, config, counters } = poll;
    Delivery { now, session, topics, sequencer, config, counters, passed }.fill(
        is_behind,
        is_caught_up,
        sink,
    )
}

/// Looks once at all sources.
#[inline]
fn survey<'a>(session: &Session, topics: &'a Topics) -> Pending<'a> {
    let (mut only, mut count, mut is_plain) = (None, 0_u32, true);
    for (number, cursor, view) in sources(session, topics) {
        is_plain &= view.is_plain(cursor);
        if cursor < view.end() {
            (only, count) = (Some((number, view)), count + 1);
        }
    }
    match (is_plain, only) {
        (true, None) => Pending::Nothing,
        (true, Some((number, view))) if count == 1 => Pending::One { number, view },
        _ => Pending::More { is_whole: is_plain },
    }
}

/// Lets the sink take the only event that is pending.
#[inline]
fn fill_one(poll: Poll<'_>, number: u32, view: View<'_>, sink: &mut impl Sink) -> Outcome {
    let Poll { now, session, topics, counters, .. } = poll;
    if let Some(subscription) = session.subscription_mut(number)
        && let Some((event, entry)) = view.get(subscription.cursor())
        && let Some(frame) = entry.frame()
    {
        sink.take(number, subscription.channel(), event, frame);
        *subscription.cursor_mut() = event + 1;
        counters.deliver(now, entry.at(), frame.len(), 0);
    }
    session.sent(now);
    // The end of a session waits until nothing can come back from a write.
    if sink.is_full() || is_over(session, topics) { Outcome::More } else { Outcome::All }
}

impl Delivery<'_> {
    /// Moves the cursors past what the session need not get, and lets the sink take the rest.
    ///
    /// `is_behind` says that some of it may be lost, and `is_caught_up` that there is nothing.
    #[inline(never)]
    fn fill(mut self, is_behind: bool, is_caught_up: bool, sink: &mut impl Sink) -> Outcome {
        if self.session.extras().is_ahead() {
            // Before its place is decided, whatever it was told could be false.
            return match self.fill_heartbeat(sink) {
                Outcome::All => Outcome::Ahead,
                outcome => outcome,
            };
        }
        let is_special = self.session.extras().has_gone() || self.session.extras().has_backlogs();
        let is_behind = is_special || (is_behind && !self.is_unbounded());
        if is_behind {
            if let Err(reason) = self.meet_policies() {
                return Outcome::Ended(reason);
            }
        } else if is_caught_up {
            // It has got what was replayed.
            self.session.extras_mut().set_replayed_through(0);
        }
        self.fill_more(is_behind, sink)
    }

    /// Returns whether a session with several events pending is to get all of them: none is lost,
    /// and no bound nor key says otherwise. Most that are behind are so.
    fn is_unbounded(&self) -> bool {
        let acts_on_losses_alone =
            |lag: &Lag| !lag.is_bounded() && lag.policy != LagPolicy::KeepNewestPerKey;
        let has_no_bound = match self.session.lag() {
            Some(own) => acts_on_losses_alone(&own),
            None => {
                acts_on_losses_alone(&self.config.session.lag)
                    && self
                        .session
                        .channels()
                        .filter_map(|(_, channel)| self.topics.lag(channel))
                        .all(acts_on_losses_alone)
            }
        };
        has_no_bound
            && sources(self.session, self.topics).all(|(_, cursor, view)| view.begins_at(cursor))
    }

    fn fill_more(&mut self, is_behind: bool, sink: &mut impl Sink) -> Outcome {
        // Each comes first in its batch, so that it is never taken back.
        let first = self.session.extras_mut().take_opening().or_else(|| self.late_gap_frame());
        if let Some(frame) = first {
            sink.put(Source::Own, frame);
        }
        let mut is_full = sink.is_full() || self.session.extras().has_late_gap();
        if !is_full && self.session.extras().history().is_some() {
            is_full = self.fill_history(sink);
        }
        let mut superseded = 0;
        while !is_full {
            let (number, below, shared) = match self.next() {
                Next::Run { number, below } => (number, below, None),
                Next::Shared { number, position } => (number, position + 1, Some(position)),
                told @ (Next::Loss | Next::Cut) => {
                    is_full = self.tell(matches!(told, Next::Cut), sink);
                    continue;
                }
                Next::Gone => {
                    // The next poll goes on behind it, and counts it.
                    is_full = true;
                    continue;
                }
                Next::Nothing => break,
            };
            let run = self.run(number, below, is_behind, sink);
            is_full = run.is_full;
            superseded += run.superseded;
            // Nothing waits elsewhere, and nothing is left here.
            if below == u64::MAX && run.is_at_end {
                break;
            }
            if let Some(position) = shared
                && run.taken > 0
            {
                superseded += self.pass_others(number, position, sink);
            }
        }
        if sink.may_come_back() {
            self.session.extras_mut().set_uncounted(superseded);
        } else {
            self.passed.superseded += superseded;
        }
        if !sink.is_empty() {
            self.session.sent(self.now);
            // The end of a session waits until nothing can come back from a write.
            if is_full || self.is_about_to_end() {
                return Outcome::More;
            }
        }
        self.fill_rest(sink)
    }

    /// Lets the sink take what was read of a log outside, which comes before all that is in memory.
    /// Returns whether the sink is full.
    #[cold]
    #[inline(never)]
    fn fill_history(&mut self, sink: &mut impl Sink) -> bool {
        while let Some(history) = self.session.extras_mut().history_mut()
            && history.is_pending()
        {
            let Some(published) = history.next() else {
                history.end();
                break;
            };
            let (position, frame) = (published.position(), published.frame());
            let room = sink.offer_history(position, frame);
            if room == Room::None {
                return true;
            }
            let length = frame.len();
            history.pass(position);
            // It was published long ago, and waited here for no time.
            self.counters.deliver(self.now, self.now, length, history.count());
            if room == Room::TakenLast {
                return true;
            }
        }
        sink.is_full()
    }

    /// Lets the sink take what tells the peer of a loss, its own or that of all. Returns whether the
    /// sink is full: it comes first in its batch, so that it is never taken back.
    #[cold]
    #[inline(never)]
    fn tell(&mut self, is_cut: bool, sink: &mut impl Sink) -> bool {
        if !sink.is_empty() {
            return true;
        }
        let frame = if is_cut { self.cut_frame() } else { self.loss_frame() };
        frame.is_some_and(|frame| {
            sink.put(Source::Own, frame);
            sink.is_full()
        })
    }

    /// Lets the sink take what remains for a session that has no event pending.
    fn fill_rest(&mut self, sink: &mut impl Sink) -> Outcome {
        if self.session.extras().is_any() {
            if self.session.extras_mut().take_place_due()
                && let Some(frame) = self.place_frame()
            {
                if !sink.has_room(&frame) {
                    self.session.extras_mut().owe_place();
                    return Outcome::More;
                }
                sink.put(Source::Place, frame);
                self.session.sent(self.now);
                if sink.is_full() || self.is_about_to_end() {
                    return Outcome::More;
                }
            }
            if let Some(frame) = self.session.extras_mut().take_last_words() {
                sink.put(Source::Own, frame);
                self.session.sent(self.now);
                return Outcome::More;
            }
        }
        let reason = self.session.ending().map(Ending::reason);
        let over = || is_over(self.session, self.topics).then_some(EndReason::TopicsEnded);
        if let Some(reason) = reason.or_else(over) {
            return Outcome::Ended(reason);
        }
        self.fill_heartbeat(sink)
    }

    /// Lets the sink take a heartbeat, if one is due.
    fn fill_heartbeat(&mut self, sink: &mut impl Sink) -> Outcome {
        if self.session.is_heartbeat_due() {
            self.counters.heartbeats += 1;
            let usual = self.config.session.heartbeat_event.as_ref();
            let frame = match self.session.heartbeat_event(usual) {
                Some(event) => Frame::with_id(event, None),
                None => Frame::new(&Event::heartbeat()),
            };
            sink.put(Source::Own, frame);
            self.session.sent(self.now);
            if sink.is_full() {
                return Outcome::More;
            }
        }
        Outcome::All
    }

    /// Lets the sink take a stretch of events of one source, while their positions are below.
    #[inline]
    fn run(&mut self, number: u32, below: u64, is_behind: bool, sink: &mut impl Sink) -> Stretch {
        let supersession = if is_behind {
            Supersession::of(self.session, number, self.topics, &self.config.session.lag)
        } else {
            None
        };
        let Some(subscription) = self.session.subscription_mut(number) else {
            return Stretch::NOTHING;
        };
        let channel = subscription.channel();
        let Some(view) = self.topics.view(channel) else { return Stretch::NOTHING };
        let (counters, now) = (&mut *self.counters, self.now);
        let cursor = subscription.cursor_mut();
        let run = view.run(cursor, below, |event, entry| {
            let Some(frame) = entry.frame() else { return Take::Superseded };
            if supersession.is_some_and(|supersession| supersession.holds(view, event, entry)) {
                return Take::Superseded;
            }
            let took = match sink.offer(number, channel, event, frame) {
                Room::Taken => Take::Taken,
                Room::TakenLast => Take::TakenLast,
                Room::None => return Take::Full,
            };
            let behind = view.end() - event - 1;
            counters.deliver(now, entry.at(), frame.len(), behind);
            took
        });
        Stretch {
            is_full: run.is_full(),
            taken: run.taken(),
            superseded: run.superseded(),
            is_at_end: *cursor == view.end(),
        }
    }

    /// Finds the source with the oldest pending event, and up to where it may go on before another.
    fn next(&self) -> Next {
        let session = &*self.session;
        let (mut first, mut is_shared, mut is_gone) = ((u64::MAX, 0), false, false);
        let mut below =
            session.ending().map_or(u64::MAX, |ending| ending.through().saturating_add(1));
        let has_backlogs = session.extras().has_backlogs();
        for (number, cursor, view) in sources(session, self.topics) {
            if cursor >= view.end() {
                continue;
            }
            let Some((event, entry)) = view.get(cursor) else {
                is_gone |= cursor < session.extras().limit(number);
                continue;
            };
            if has_backlogs && let Some(backlog) = session.extras().backlog(number) {
                is_gone |= backlog.excludes(event);
                below = below.min(entry.position().saturating_add(1));
            }
            match entry.position().cmp(&first.0) {
                Less => {
                    below = below.min(first.0);
                    first = (entry.position(), number);
                    is_shared = false;
                }
                Equal => is_shared = true,
                Greater => below = below.min(entry.position()),
            }
        }
        let (position, number) = first;
        if is_gone {
            return Next::Gone;
        }
        if session.extras().is_any()
            && let Some((before, told)) = first_told(session)
        {
            if position > before || position >= below {
                return told;
            }
            below = below.min(before.saturating_add(1));
        }
        if position >= below {
            Next::Nothing
        } else if is_shared {
            Next::Shared { number, position }
        } else {
            Next::Run { number, below }
        }
    }

    /// Lets the sources after `first` pass an event that goes out from that one. Returns how many
    /// superseded events they passed as well.
    fn pass_others(&mut self, first: u32, position: u64, sink: &mut impl Sink) -> u64 {
        let mut superseded = 0;
        for number in first + 1..self.session.numbers() {
            if let Some(subscription) = self.session.subscription_mut(number)
                && let Some(view) = self.topics.view(subscription.channel())
                && let Some((event, entry)) = view.get(subscription.cursor())
                && entry.position() == position
            {
                superseded += event - subscription.cursor();
                *subscription.cursor_mut() = event + 1;
                sink.share(number, event);
            }
        }
        superseded
    }

    /// Lets the session meet its policies where it is too far behind, and moves it past what it
    /// need not get. The error is the session's end.
    fn meet_policies(&mut self) -> Result<(), EndReason> {
        let usual = &self.config.session.lag;
        let numbers = self.session.numbers();
        let session = &*self.session;
        let standings =
            || (0..numbers).filter_map(|number| Standing::new(session, number, self.topics, usual));
        if standings().any(|standing| standing.is_to_close()) {
            let lost = standings().map(|standing| standing.missing()).sum();
            return Err(EndReason::Lagged { lost });
        }
        let (mut lost, mut loss) = (0, None);
        for number in 0..numbers {
            let Some(standing) = Standing::new(self.session, number, self.topics, usual) else {
                continue;
            };
            let step = standing.step();
            if step.lost() > 0 {
                let before = standing.position_before(step.cursor());
                let one = self.loss(number, before, step.lost());
                loss = Some(loss.map_or(one, |loss: Loss| loss.and(one)));
            }
            lost += step.lost();
            self.passed.superseded += step.superseded();
            if let Some(subscription) = self.session.subscription_mut(number) {
                *subscription.cursor_mut() = step.cursor();
            }
            self.session.extras_mut().set_gone(number, step.gone());
            self.session.extras_mut().pass_backlog(number, step.cursor());
        }
        self.passed.lost += lost;
        if let Some(loss) = loss.filter(|_| self.teller().tells()) {
            self.session.extras_mut().add_loss(loss);
        }
        Ok(())
    }

    /// Returns the loss of so many events by one subscription.
    fn loss(&self, number: u32, before: u64, lost: u64) -> Loss {
        let channel = self.session.subscription(number).map(Subscription::channel);
        let is_counted = channel.is_some_and(|channel| self.topics.is_counted(channel));
        let kind = channel.and_then(|channel| self.topics.kind(channel));
        Loss::new(before, is_counted.then_some(lost), matches!(kind, Some(Kind::Pattern(_))))
    }

    /// Returns whether the session ends when it has nothing more.
    fn is_about_to_end(&self) -> bool {
        self.session.ending().is_some() || is_over(self.session, self.topics)
    }

    /// Returns what tells the peer of its loss, which it is told once.
    ///
    /// Its id is the place before the first event after the first hole. Nothing older is still to
    /// come, so that a peer that resumes from there gets all that is kept and was not sent.
    fn loss_frame(&mut self) -> Option<Frame> {
        let loss = self.session.extras_mut().take_loss()?;
        let notice = Notice::Gap { replayed: 0, lost: loss.lost(), reason: LossReason::Lag };
        self.teller().notice(notice, Some(loss.before()))
    }

    /// Returns what tells the peer that something may be lost to all, which it is told once. Its id
    /// is the last place of which that is so.
    fn cut_frame(&mut self) -> Option<Frame> {
        let through = self.session.extras_mut().take_cut()?;
        let notice = Notice::Gap { replayed: 0, lost: None, reason: LossReason::Log };
        self.teller().notice(notice, Some(through))
    }

    /// Returns what tells the peer what is missing from what later subscriptions replay.
    ///
    /// It tells no place: from that of the replay, the peer would get again what it had of other
    /// topics.
    fn late_gap_frame(&mut self) -> Option<Frame> {
        let LateGap { replayed, lost, reason } = self.session.extras_mut().take_late_gap()?;
        self.teller().notice(Notice::Gap { replayed, lost, reason }, None)
    }

    /// Returns what tells the peer its place.
    fn place_frame(&self) -> Option<Frame> {
        let ending = self.session.ending();
        let position = ending.map_or(self.sequencer.last(), Ending::place);
        self.teller().notice(Notice::Place, Some(position))
    }

    fn teller(&self) -> Teller<'_> {
        let usual = self.config.session.notices.as_ref();
        Teller::of(self.session, usual, self.sequencer)
    }
}

impl Passed {
    /// Says of so many events that they were superseded.
    pub(crate) const fn of_superseded(count: u64) -> Self {
        Self { lost: 0, superseded: count }
    }

    /// Returns how many events are lost to the session.
    pub(crate) const fn lost(self) -> u64 {
        self.lost
    }

    /// Returns how many events were superseded.
    pub(crate) const fn superseded(self) -> u64 {
        self.superseded
    }
}

/// Returns what the session is to be told first, its own loss or that of all, and the place before it.
#[inline(never)]
fn first_told(session: &Session) -> Option<(u64, Next)> {
    let loss = session.extras().loss().map(|loss| (loss.before(), Next::Loss));
    let cut = session.extras().cut().map(|cut| (cut, Next::Cut));
    match (loss, cut) {
        (Some(loss), Some(cut)) => Some(if cut.0 < loss.0 { cut } else { loss }),
        (loss, cut) => loss.or(cut),
    }
}

/// What came of a stretch of events.
struct Stretch {
    is_full: bool,
    taken: usize,
    superseded: u64,
    is_at_end: bool,
}

impl Stretch {
    const NOTHING: Self = Self { is_full: true, taken: 0, superseded: 0, is_at_end: true };
}

/// Returns the sources of a session's events: the number of each subscription, its cursor, and what
/// that goes through.
#[inline]
fn sources<'a>(
    session: &Session,
    topics: &'a Topics,
) -> impl Iterator<Item = (u32, u64, View<'a>)> {
    (0..).zip(session.subscriptions()).filter_map(|(number, subscription)| {
        let view = topics.view(subscription.channel())?;
        Some((number, subscription.cursor(), view))
    })
}

/// Returns whether a session with this lag, and these channels, may ever be behind by so much and
/// no more: now, or once a topic has a lag of its own.
pub(crate) fn may_be_bounded(
    lag: Option<Lag>,
    usual: &Lag,
    mut channels: impl Iterator<Item = u32>,
    topics: &Topics,
) -> bool {
    let is_named = |channel| matches!(topics.kind(channel), Some(Kind::Named(_)));
    match lag {
        Some(lag) => lag.is_bounded(),
        None => usual.is_bounded() || channels.any(is_named),
    }
}
