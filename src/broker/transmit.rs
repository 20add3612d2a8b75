//! What goes to a session: the merge of its logs, what it meets when it is behind, and its end.

use super::arena::Key;
use super::batch::Batch;
use super::event::EndReason;
use super::matched::Take;
use super::names::SessionId;
use super::owned_timers::Owner;
use super::ready::Parked;
use super::source::{
    CLIENT, HEARTBEAT, LAST_WORDS, LOSS, OPENING, PLACE, PRIVATE, is_event, limit, source_of,
    sources,
};
use super::state::{Phase, Session};
use super::subscribe::is_over;
use super::{Broker, Told};
use crate::encode::Frame;
use crate::event::Event;
use bytes::Bytes;
use core::cmp::Ordering::{Equal, Greater, Less};
use std::time::Instant;

/// What a session has to transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transmit<'a> {
    /// The next frame of its event stream.
    Frame(&'a Frame),
    /// Nothing more, ever. The stream is to be ended in good order and the connection closed.
    ///
    /// The reason is told once; `None` where it was, and for an id that is no session's.
    End(Option<EndReason>),
}

/// Why a batch holds no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchEnd {
    /// The limit is reached; there may be more.
    Full,
    /// There is no more now: the session is parked, as after `None` from
    /// [`Broker::poll_transmit`].
    Parked,
    /// There will be no more, as [`Transmit::End`] says; the batch is empty.
    End(Option<EndReason>),
}

/// What a poll finds pending.
enum Pending {
    /// No event, and nothing else that comes before one.
    Nothing,
    /// One event, which is there, and nothing else that comes before it.
    One { source: u32 },
    /// Anything else, of which [`Next`] says more.
    More {
        /// Whether some of it may be lost, or need not be delivered.
        is_behind: bool,
    },
}

/// What goes out next.
enum Next {
    /// A stretch from one source: from its cursor, while the position is below.
    Run {
        source: u32,
        below: u64,
    },
    /// An event that is pending in several sources, of which this is the first.
    Shared {
        source: u32,
        position: u64,
    },
    /// What tells the peer of a loss.
    Loss,
    /// Something that is lost, or left out, comes next somewhere.
    Gone,
    Nothing,
}

impl Broker {
    /// The next thing that a session has to transmit, in the order in which it was published.
    ///
    /// `None`: the session is parked, and its id comes out of [`poll_ready`](Self::poll_ready)
    /// exactly once when there is output again: after a `publish` or `apply` to one of its
    /// topics, after `close_session` or `close`, and when a heartbeat is due.
    ///
    /// A heartbeat is an empty comment without an id, and comes only where nothing else did for
    /// the session's interval.
    pub fn poll_transmit(&mut self, now: Instant, session: SessionId) -> Option<Transmit<'_>> {
        let key = match self.begin(now, session) {
            Ok((key, Pending::More { .. })) => key,
            Ok((key, Pending::One { source })) => {
                self.sent(key);
                return self.deliver_from(key, source).map(Transmit::Frame);
            }
            Ok((key, Pending::Nothing)) => return self.transmit_exhausted(key),
            Err(reason) => return Some(Transmit::End(reason)),
        };
        if let Some(frame) = self.sessions.get_mut(key).and_then(Session::take_opening) {
            self.sent(key);
            return Some(Transmit::Frame(self.lent.insert(frame)));
        }
        let next = self.next(key);
        if let Next::Loss = next {
            self.sent(key);
            let frame = self.loss_frame(key)?;
            return Some(Transmit::Frame(self.lent.insert(frame)));
        }
        if let Next::Run { source, .. } | Next::Shared { source, .. } = next {
            self.sent(key);
            if let Next::Shared { source, position } = next {
                let coalesced = self.pass_others(key, source, position, |_, _| {});
                self.note_coalesced(key, coalesced);
            }
            return self.deliver_from(key, source).map(Transmit::Frame);
        }
        self.transmit_exhausted(key)
    }

    fn transmit_exhausted(&mut self, key: Key) -> Option<Transmit<'_>> {
        match self.exhausted(key) {
            Exhausted::Place(position) => {
                let frame = self.place_frame(position);
                Some(Transmit::Frame(self.lent.insert(frame)))
            }
            Exhausted::LastWords(frame) => Some(Transmit::Frame(self.lent.insert(frame))),
            Exhausted::Heartbeat => Some(Transmit::Frame(&self.heartbeat)),
            Exhausted::Parked => None,
            Exhausted::Ended(reason) => Some(Transmit::End(reason)),
        }
    }

    /// Puts what a session has to transmit into `batch`, replacing what was in there, until about
    /// `limit` bytes are together; a single larger frame is handed over alone.
    ///
    /// This is [`poll_transmit`](Self::poll_transmit) for those who write to a socket: what a
    /// busy session has pending goes out in one write, and joining small frames costs less than
    /// handing them over one by one. What the write did not take goes back with
    /// [`handle_partial_write`](Self::handle_partial_write).
    pub fn poll_transmit_batch(
        &mut self,
        now: Instant,
        session: SessionId,
        limit: usize,
        batch: &mut Batch,
    ) -> BatchEnd {
        batch.clear();
        let (key, is_behind) = match self.begin(now, session) {
            Ok((key, Pending::More { is_behind })) => (key, is_behind),
            Ok((key, Pending::One { source })) => return self.batch_one(key, source, batch),
            Ok((key, Pending::Nothing)) => (key, false),
            Err(reason) => return BatchEnd::End(reason),
        };
        if let Some(state) = self.sessions.get_mut(key) {
            batch.stamp(session, state.poll);
            if let Some(frame) = state.take_opening() {
                batch.push(OPENING, 0, &frame);
            }
        }
        let (mut is_full, mut coalesced) = (false, 0);
        while !is_full {
            let (source, below, shared) = match self.next(key) {
                Next::Run { source, below } => (source, below, None),
                Next::Shared { source, position } => (source, position + 1, Some(position)),
                Next::Loss => {
                    // It comes first in its batch, so that it is never taken back.
                    is_full = !batch.is_empty();
                    if !is_full && let Some(frame) = self.loss_frame(key) {
                        batch.push(LOSS, 0, &frame);
                    }
                    continue;
                }
                Next::Gone => {
                    // The next poll goes on behind it, and counts it.
                    is_full = true;
                    break;
                }
                Next::Nothing => break,
            };
            let coalescing = if is_behind { self.coalescing(key, source) } else { None };
            let (counters, now) = (&mut self.counters, self.clock.now());
            let (sessions, clients, topics) = (&mut self.sessions, &self.clients, &self.topics);
            let Some((cursor, view)) = source_of(sessions, clients, topics, key, source) else {
                break;
            };
            let run = view.run(cursor, below, |number, entry| {
                let Some(frame) = entry.frame() else { return Take::Spared };
                if coalescing.is_some_and(|coalescing| coalescing.spares(view, number, entry)) {
                    Take::Spared
                } else if batch.push_within(limit, source, number, frame) {
                    counters.deliver(now, entry.at, frame.len(), view.end() - number - 1);
                    Take::Taken
                } else {
                    Take::Full
                }
            });
            is_full = run.is_full;
            coalesced += run.coalesced;
            // Nothing waits elsewhere, and nothing is left here.
            if below == u64::MAX && *cursor == view.end() {
                break;
            }
            if let Some(position) = shared
                && run.taken > 0
            {
                coalesced += self.pass_others(key, source, position, |other, number| {
                    batch.push_shared(other, number);
                });
            }
        }
        if coalesced > 0
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.slow_mut().uncounted = coalesced;
        }
        if !batch.is_empty() {
            self.sent(key);
            // The end of a session waits until nothing can come back from a write.
            if is_full || self.is_about_to_end(key) {
                return BatchEnd::Full;
            }
        }
        let mut next = self.exhausted(key);
        if let Exhausted::Place(position) = next {
            let frame = self.place_frame(position);
            if !batch.has_room(&frame, limit) {
                self.owe_place(key);
                return BatchEnd::Full;
            }
            batch.push(PLACE, 0, &frame);
            if self.is_about_to_end(key) {
                return BatchEnd::Full;
            }
            next = self.exhausted(key);
        }
        match next {
            Exhausted::Place(_) => BatchEnd::Full,
            Exhausted::Heartbeat => {
                batch.push(HEARTBEAT, 0, &self.heartbeat);
                self.exhausted(key);
                BatchEnd::Parked
            }
            Exhausted::LastWords(frame) => {
                batch.push(LAST_WORDS, 0, &frame);
                BatchEnd::Full
            }
            Exhausted::Parked => BatchEnd::Parked,
            Exhausted::Ended(reason) => BatchEnd::End(reason),
        }
    }

    /// Takes back what a write did not take of `batch`, the newest batch of this session, of which
    /// `written` bytes were written. The session goes on with it when it is polled again.
    ///
    /// What is returned must still be written before that: the rest of the one frame at which the
    /// write stopped. It is empty if the write took everything.
    ///
    /// A batch that is not what this session's last poll gave, or of which a part was taken back
    /// before, is not taken back: then all the rest of it is returned. Of a session that has ended
    /// meanwhile, only the rest of the one frame is left to write.
    pub fn handle_partial_write(
        &mut self,
        now: Instant,
        session: SessionId,
        batch: &Batch,
        written: usize,
    ) -> Bytes {
        self.clock.advance(now);
        let remainder = batch.remainder(written);
        let Some(key) = self.key_of(session) else { return remainder };
        let id = session;
        let Some(session) = self.sessions.get_mut(key) else { return remainder };
        if !batch.is_of(id, session.poll) {
            return batch.rest(written);
        }
        if remainder.is_empty() {
            return remainder;
        }
        session.poll = session.poll.wrapping_add(1);
        let (events, bytes) = batch.untouched_size(written, is_event);
        self.counters.take_back(events, bytes);
        let mut uncounted = session.take_uncounted();
        // From the last of each source to the first, so that its cursor goes back to that; with it
        // goes what was passed in between.
        for part in batch.untouched(written).iter().rev() {
            let cursor = match part.source {
                // They are the first of their batch, and so never untouched.
                HEARTBEAT | OPENING | LAST_WORDS | LOSS => None,
                PLACE => {
                    session.seldom_mut().is_place_due = true;
                    None
                }
                CLIENT => Some(&mut session.client_cursor),
                PRIVATE => session.private_mut().map(|private| &mut private.cursor),
                index => {
                    // A place may be vacant since what stood there was revoked.
                    let subscription = session.subscriptions.get_mut(index as usize);
                    let subscription = subscription.filter(|one| !one.is_vacant());
                    subscription.map(|subscription| &mut subscription.cursor)
                }
            };
            if let Some(cursor) = cursor {
                uncounted = uncounted.saturating_sub((*cursor - part.cursor).saturating_sub(1));
                *cursor = part.cursor;
            }
        }
        if uncounted > 0 {
            session.slow_mut().uncounted = uncounted;
        }
        // It has output, so that it can stall.
        session.phase = Phase::Ready;
        self.arm_session(key);
        remainder
    }

    /// Takes note that the peer took some bytes of what [`handle_partial_write`] returned, so that
    /// a large frame on a slow line is no stall. A session that is not open is no error.
    ///
    /// [`handle_partial_write`]: Self::handle_partial_write
    pub fn handle_progress(&mut self, now: Instant, session: SessionId) {
        let now = self.clock.advance(now);
        if let Some(key) = self.key_of(session)
            && let Some(session) = self.sessions.get_mut(key)
        {
            session.polled_at = now;
        }
    }

    /// What every poll begins with; the error is the end of the session.
    #[inline]
    fn begin(
        &mut self,
        now: Instant,
        session: SessionId,
    ) -> Result<(Key, Pending), Option<EndReason>> {
        let now = self.clock.advance(now);
        let key = self.key_of(session).ok_or(None)?;
        let Some(session) = self.sessions.get_mut(key) else {
            return Err(self.tell_end(key));
        };
        if session.is_lapsed(now) {
            let reason = EndReason::LeaseExpired;
            self.end(key, reason, Told::Already);
            return Err(Some(reason));
        }
        session.polled_at = now;
        session.poll = session.poll.wrapping_add(1);
        if session.seldom.is_some() {
            return self.begin_seldom(key);
        }
        let pending = self.survey(key);
        if let Pending::More { is_behind: true } = pending {
            self.meet_policies(key).map_err(Some)?;
        }
        Ok((key, pending))
    }

    /// The rest of the beginning for a session of which more is to be seen to than its cursors.
    fn begin_seldom(&mut self, key: Key) -> Result<(Key, Pending), Option<EndReason>> {
        let now = self.clock.now();
        let Some(session) = self.sessions.get_mut(key) else { return Err(None) };
        let uncounted = session.take_uncounted();
        if let Some(private) = session.private_mut() {
            // Nobody else will ever read it, and what was handed over before this is delivered.
            let before = private.log.footprint();
            private.log.trim_delivered(private.cursor);
            private.log.trim_aged(now, &self.config.private_retention);
            self.retained.update((Owner::Session, key.slot()), before, private.log.footprint());
        }
        self.note_coalesced(key, uncounted);
        let pending = self.survey(key);
        let Some(session) = self.sessions.get_mut(key) else { return Err(None) };
        let is_special = session.has_gone() || session.has_backlogs();
        let is_behind = is_special || matches!(pending, Pending::More { is_behind: true });
        if is_behind {
            self.meet_policies(key).map_err(Some)?;
        } else if let Pending::Nothing = pending {
            session.forget_replay();
        }
        Ok((key, Pending::More { is_behind }))
    }

    /// One look at all sources, which is all that most polls take: whoever keeps up has at most one
    /// event pending.
    fn survey(&self, key: Key) -> Pending {
        let Some(session) = self.sessions.get(key) else {
            return Pending::More { is_behind: false };
        };
        let (mut only, mut count, mut is_plain) = (0, 0_u32, true);
        self.visit(session, |source, cursor, view| {
            is_plain &= view.is_plain(cursor);
            if cursor < view.end() {
                (only, count) = (source, count + 1);
            }
        });
        match (is_plain, count) {
            (true, 0) => Pending::Nothing,
            (true, 1) => Pending::One { source: only },
            _ => Pending::More { is_behind: !is_plain && !self.is_unbounded(session) },
        }
    }

    /// Moves a session past the next event of a source, and gives that.
    fn deliver_from(&mut self, key: Key, source: u32) -> Option<&Frame> {
        let (cursor, view) =
            source_of(&mut self.sessions, &self.clients, &self.topics, key, source)?;
        let (number, entry) = view.get(*cursor)?;
        *cursor = number + 1;
        let (frame, now) = (entry.frame()?, self.clock.now());
        self.counters.deliver(now, entry.at, frame.len(), view.end() - *cursor);
        Some(frame)
    }

    /// The only event that is pending, after which the session is parked, or is to end.
    fn batch_one(&mut self, key: Key, source: u32, batch: &mut Batch) -> BatchEnd {
        let id = self.session_id(key);
        let now = self.clock.now();
        let Some(session) = self.sessions.get_mut(key) else { return BatchEnd::Full };
        batch.stamp(id, session.poll);
        session.sent_at = now;
        session.heartbeat_due = false;
        let (sessions, clients, topics) = (&mut self.sessions, &self.clients, &self.topics);
        if let Some((cursor, view)) = source_of(sessions, clients, topics, key, source)
            && let Some((number, entry)) = view.get(*cursor)
            && let Some(frame) = entry.frame()
        {
            batch.push(source, number, frame);
            *cursor = number + 1;
            self.counters.deliver(now, entry.at, frame.len(), 0);
        }
        // The end of a session waits until nothing can come back from a write.
        if self.is_over(key) {
            if let Some(session) = self.sessions.get_mut(key) {
                session.phase = Phase::Ready;
            }
            self.arm_session(key);
            return BatchEnd::Full;
        }
        self.park(key);
        BatchEnd::Parked
    }

    /// The source with the oldest pending event, and up to where it may go on before another.
    fn next(&self, key: Key) -> Next {
        let Some(session) = self.sessions.get(key) else { return Next::Nothing };
        let (mut first, mut is_shared, mut is_gone) = ((u64::MAX, 0), false, false);
        let mut below =
            session.ending().map_or(u64::MAX, |ending| ending.through.saturating_add(1));
        let has_backlogs = session.has_backlogs();
        self.visit(session, |source, cursor, view| {
            if cursor >= view.end() {
                return;
            }
            let Some((number, entry)) = view.get(cursor) else {
                is_gone |= cursor < limit(session, source);
                return;
            };
            if has_backlogs && let Some(backlog) = session.backlog(source) {
                is_gone |= backlog.leaves_out(number);
                below = below.min(entry.position.saturating_add(1));
            }
            match entry.position.cmp(&first.0) {
                Less => {
                    below = below.min(first.0);
                    first = (entry.position, source);
                    is_shared = false;
                }
                Equal => is_shared = true,
                Greater => below = below.min(entry.position),
            }
        });
        let (position, source) = first;
        if is_gone {
            return Next::Gone;
        }
        if let Some(loss) = session.loss() {
            if position > loss.before || position >= below {
                return Next::Loss;
            }
            below = below.min(loss.before + 1);
        }
        if position >= below {
            Next::Nothing
        } else if is_shared {
            Next::Shared { source, position }
        } else {
            Next::Run { source, below }
        }
    }

    /// Lets the sources after `first` pass an event that goes out from that one, each from the
    /// number that `passed` is told. Gives how many superseded events they passed as well.
    fn pass_others(
        &mut self,
        key: Key,
        first: u32,
        position: u64,
        mut passed: impl FnMut(u32, u64),
    ) -> u64 {
        let mut coalesced = 0;
        let all = self.sessions.get(key).map(sources).into_iter().flatten();
        for source in all.skip_while(|source| *source != first).skip(1) {
            if let Some((cursor, view)) = self.source_mut(key, source)
                && let Some((number, entry)) = view.get(*cursor)
                && entry.position == position
            {
                coalesced += number - *cursor;
                *cursor = number + 1;
                passed(source, number);
            }
        }
        coalesced
    }

    fn sent(&mut self, key: Key) {
        let now = self.clock.now();
        if let Some(session) = self.sessions.get_mut(key) {
            session.sent_at = now;
            session.heartbeat_due = false;
            // Whoever gets output without having waited for the id knows by that, and may stall.
            if core::mem::replace(&mut session.phase, Phase::Ready) == Phase::Parked {
                self.arm_session(key);
            }
        }
    }

    /// What remains for a session that has no event pending.
    fn exhausted(&mut self, key: Key) -> Exhausted {
        let Some(session) = self.sessions.get_mut(key) else { return Exhausted::Ended(None) };
        if session.seldom.is_some() {
            if session.take_place_due() {
                let through = session.ending().map(|ending| ending.through);
                self.sent(key);
                return Exhausted::Place(through.unwrap_or(self.sequencer.last()));
            }
            if let Some(frame) = session.take_last_words() {
                self.sent(key);
                return Exhausted::LastWords(frame);
            }
        }
        let over = || is_over(&self.topics, session, self.broadcast);
        let reason = session.ending().map(|ending| ending.reason);
        if let Some(reason) = reason.or_else(|| over().then_some(EndReason::TopicsEnded)) {
            self.end(key, reason, Told::Already);
            return Exhausted::Ended(Some(reason));
        }
        if session.heartbeat_due {
            self.counters.heartbeats += 1;
            self.sent(key);
            return Exhausted::Heartbeat;
        }
        self.park(key);
        Exhausted::Parked
    }

    /// Puts a session on the lists of all its topics.
    fn park(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.phase = Phase::Parked;
        for (subscription, number) in session.subscriptions.iter_mut().zip(0..) {
            let parked = Parked { session: key.slot(), subscription: number };
            subscription.list(&mut self.topics, parked);
        }
        self.arm_session(key);
    }

    /// Whether the session ends when it has nothing more.
    fn is_about_to_end(&self, key: Key) -> bool {
        self.sessions.get(key).is_none_or(|session| {
            session.ending().is_some() || is_over(&self.topics, session, self.broadcast)
        })
    }

    fn place_frame(&self, position: u64) -> Frame {
        Frame::with_id(&Event::empty(), Some(&self.sequencer.id_of(position)))
    }

    fn owe_place(&mut self, key: Key) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.seldom_mut().is_place_due = true;
        }
    }
}

/// What a session without pending events has to transmit.
enum Exhausted {
    /// To tell its place, which is this position.
    Place(u64),
    Heartbeat,
    LastWords(Frame),
    Parked,
    Ended(Option<EndReason>),
}
