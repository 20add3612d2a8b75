//! Slow peers: what a session meets that is too far behind, and how it is told.

use super::arena::Key;
use super::config::{Lag, LagPolicy};
use super::error::TopicSettingError;
use super::event::{BrokerEvent, EndReason};
use super::log::Entry;
use super::matched::{Span, View};
use super::names::TopicName;
use super::sequence::EventIds;
use super::source::{CLIENT, PRIVATE, limit, sources};
use super::state::{Loss, Session, Subscription};
use super::subscribe::Backlog;
use super::{Broker, Told};
use crate::encode::Frame;
use crate::event::{Event, EventType};
use alloc::boxed::Box;
use alloc::format;
use std::time::Instant;

impl Broker {
    /// Says how far behind sessions may be in one named topic from now on, and what they meet
    /// beyond that, unless they chose for themselves. `None` goes back to
    /// [`BrokerConfig::lag`](super::BrokerConfig::lag).
    ///
    /// # Errors
    ///
    /// [`TopicSettingError`]; then nothing was done.
    pub fn set_lag(
        &mut self,
        now: Instant,
        topic: &TopicName,
        lag: Option<Lag>,
    ) -> Result<(), TopicSettingError> {
        self.clock.advance(now);
        if let Some(lag) = &lag {
            lag.check().map_err(TopicSettingError::Config)?;
        }
        let slot = self.topic_slot(topic).ok_or(TopicSettingError::TooManyTopics)?;
        if let Some(state) = self.topics.at_mut(slot) {
            state.lag = lag.map(Box::new);
        }
        self.release_topic(slot);
        Ok(())
    }

    /// Whether a session with several events pending is to get all of them: none is lost, and no
    /// bound nor key says otherwise. Most that are behind are so.
    pub(super) fn is_unbounded(&self, session: &Session) -> bool {
        let acts_on_losses_alone =
            |lag: &Lag| !lag.is_bounded() && lag.policy != LagPolicy::KeepNewestPerKey;
        let of_topic = |one: &Subscription| self.topics.at(one.topic)?.lag.as_deref();
        let has_none = match session.lag() {
            Some(own) => acts_on_losses_alone(&own),
            None => {
                acts_on_losses_alone(&self.config.lag)
                    && session.subscriptions.iter().filter_map(of_topic).all(acts_on_losses_alone)
            }
        };
        let mut is_whole = has_none;
        if has_none {
            self.visit(session, |_, cursor, view| is_whole &= view.begins_at(cursor));
        }
        is_whole
    }

    /// Lets a session meet its policies where it is too far behind, and moves it past what it need
    /// not get. The error is the session's end.
    pub(super) fn meet_policies(&mut self, key: Key) -> Result<(), EndReason> {
        let Some(session) = self.sessions.get(key) else { return Ok(()) };
        let standings = || sources(session).filter_map(|source| self.standing(session, source));
        if standings()
            .any(|standing| standing.lag.policy == LagPolicy::Close && standing.is_too_far())
        {
            let reason =
                EndReason::Lagged { lost: standings().map(|standing| standing.missing()).sum() };
            self.end(key, reason, Told::Already);
            return Err(reason);
        }
        let (mut lost, mut coalesced, mut before) = (0, 0, u64::MAX);
        for source in sources(session) {
            let Some(session) = self.sessions.get(key) else { break };
            let Some(standing) = self.standing(session, source) else { continue };
            let step = standing.step();
            lost += step.lost;
            coalesced += step.coalesced;
            if step.lost > 0 {
                before = before.min(standing.position_before(step.cursor));
            }
            if let Some((cursor, _)) = self.source_mut(key, source) {
                *cursor = step.cursor;
            }
            if let Some(session) = self.sessions.get_mut(key) {
                session.set_gone(source, step.gone);
                session.pass_backlog(source, step.cursor);
            }
        }
        self.note_loss(key, lost, before);
        self.note_coalesced(key, coalesced);
        Ok(())
    }

    /// What of a source a session need not get, if that may be anything.
    pub(super) fn coalescing(&self, key: Key, source: u32) -> Option<Coalescing> {
        let session = self.sessions.get(key)?;
        if !self.source(session, source)?.1.may_be_superseded() {
            return None;
        }
        let lag = session.lag().unwrap_or_else(|| self.lag_of(session, source));
        (lag.policy == LagPolicy::KeepNewestPerKey).then(|| Coalescing::new(lag, session, source))
    }

    /// Takes note of events that a session need not get.
    pub(super) fn note_coalesced(&mut self, key: Key, more: u64) {
        if more == 0 {
            return;
        }
        self.counters.coalesced += more;
        let number = self.events_polled + self.events.len() as u64;
        let id = self.session_id(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let unread = &mut session.slow_mut().coalesced_event;
        if let Some(waiting) = unread
            && let Ok(index) = usize::try_from(*waiting - self.events_polled)
            && let Some(BrokerEvent::SessionCoalesced { coalesced, .. }) =
                self.events.get_mut(index)
        {
            *coalesced += more;
            return;
        }
        *unread = Some(number);
        let client = session.client.and_then(|client| self.clients.get(client));
        let client = client.map(|client| client.id.clone());
        self.emit(BrokerEvent::SessionCoalesced { session: id, client, coalesced: more });
    }

    /// Takes note of lost events, the last of which came before what is at the position after
    /// `before`.
    fn note_loss(&mut self, key: Key, more: u64, before: u64) {
        if more == 0 {
            return;
        }
        self.counters.lost.skipped += more;
        self.note_skip(key, more);
        let Some(session) = self.sessions.get_mut(key) else { return };
        if announced(session, self.config.loss_announcement.as_ref()).is_some() {
            let before = session.ending().map_or(before, |ending| before.min(ending.through));
            let loss = session.slow_mut().loss.get_or_insert(Loss { before, lost: 0 });
            loss.lost += more;
            loss.before = loss.before.min(before);
        }
    }

    /// Queues the event that tells of a skip, or adds to one that waits.
    fn note_skip(&mut self, key: Key, more: u64) {
        let number = self.events_polled + self.events.len() as u64;
        let id = self.session_id(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(waiting) = session.seldom.as_ref().and_then(|seldom| seldom.skip_event)
            && let Ok(index) = usize::try_from(waiting - self.events_polled)
            && let Some(BrokerEvent::SessionSkipped { lost, .. }) = self.events.get_mut(index)
        {
            *lost += more;
            return;
        }
        session.seldom_mut().skip_event = Some(number);
        let client = session.client.and_then(|client| self.clients.get(client));
        let client = client.map(|client| client.id.clone());
        self.emit(BrokerEvent::SessionSkipped { session: id, client, lost: more });
    }

    /// What tells the peer of its loss, which it is told once.
    ///
    /// Its id is the place before the first event after the first hole: nothing older is still to
    /// come, so that whoever resumes from there gets all that is kept and was not sent.
    pub(super) fn loss_frame(&mut self, key: Key) -> Option<Frame> {
        let session = self.sessions.get_mut(key)?;
        let event_type = announced(session, self.config.loss_announcement.as_ref())?.clone();
        let Loss { before, lost } = session.take_loss()?;
        let event = Event::new(format!(r#"{{"lost":{lost}}}"#)).with_type(event_type);
        let assigned = self.sequencer.ids() == EventIds::Assigned;
        let id = assigned.then(|| self.sequencer.id_of(before));
        Some(Frame::with_id(&event, id.as_ref()))
    }

    fn standing<'a>(&'a self, session: &'a Session, source: u32) -> Option<Standing<'a>> {
        let (cursor, view) = self.source(session, source)?;
        let lag = session.lag().unwrap_or_else(|| self.lag_of(session, source));
        let coalescing = Coalescing::new(lag, session, source);
        Some(Standing {
            cursor,
            view,
            lag,
            coalescing,
            known: session.gone(source),
            replayed_through: session.replayed_through(),
            backlog: session.backlog(source),
        })
    }

    /// Whether somebody with this lag, and all these topics, may be behind by so much and no more,
    /// now or once a topic has [another lag](Self::set_lag).
    pub(super) fn may_be_bounded(
        &self,
        lag: Option<Lag>,
        mut topics: impl Iterator<Item = u32>,
    ) -> bool {
        let is_named = |slot| self.topics.at(slot).is_some_and(|topic| topic.name.is_some());
        match lag {
            Some(lag) => lag.is_bounded(),
            None => self.config.lag.is_bounded() || topics.any(is_named),
        }
    }

    /// What holds for a source of which the session says nothing.
    fn lag_of(&self, session: &Session, source: u32) -> Lag {
        let own = match source {
            CLIENT | PRIVATE => None,
            index => {
                let subscription = session.subscriptions.get(index as usize);
                let topic = subscription.and_then(|one| self.topics.at(one.topic));
                topic.and_then(|topic| topic.lag.as_deref())
            }
        };
        *own.unwrap_or(&self.config.lag)
    }
}

/// What a session need not get of one source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coalescing {
    lag: Lag,
    /// Before which number, and through which position, it gets anything.
    limit: u64,
    through: u64,
}

impl Coalescing {
    fn new(lag: Lag, session: &Session, source: u32) -> Self {
        let through = session.ending().map_or(u64::MAX, |ending| ending.through);
        Self { lag, limit: limit(session, source), through }
    }

    pub(super) fn spares(&self, view: View<'_>, number: u64, entry: &Entry) -> bool {
        entry.is_superseded_by(self.through)
            && (!self.lag.is_bounded() || self.is_beyond(view, number))
    }

    /// Whether more than one event, and more than the bounds allow, was published from the first
    /// at `cursor` to the last that is there.
    fn is_beyond(&self, view: View<'_>, cursor: u64) -> bool {
        view.span(cursor, self.limit).is_some_and(|Span { first, last, before, through }| {
            last > first
                && (self.lag.events.is_some_and(|events| last - first >= events as u64)
                    || self.lag.bytes.is_some_and(|bytes| through - before > bytes as u64))
        })
    }
}

/// Where a session is in one of its sources.
struct Standing<'a> {
    cursor: u64,
    view: View<'a>,
    lag: Lag,
    coalescing: Coalescing,
    /// How many of the lost events after the cursor are counted already.
    known: u64,
    replayed_through: u64,
    /// What it leaves out, which is neither delivered nor lost.
    backlog: Option<&'a Backlog>,
}

/// How far a session's cursor is moved, and past what.
struct Step {
    cursor: u64,
    lost: u64,
    coalesced: u64,
    /// How many events after the cursor are lost, and counted now.
    gone: u64,
}

impl Standing<'_> {
    fn end(&self) -> u64 {
        self.view.end().min(self.coalescing.limit)
    }

    /// How many events it can no longer get and has not been counted as missing.
    fn missing(&self) -> u64 {
        self.lost_from(self.cursor).saturating_sub(self.known)
    }

    fn lost_from(&self, cursor: u64) -> u64 {
        let lost = self.view.lost(cursor, self.coalescing.limit);
        let left_out = self.left_out(cursor, self.coalescing.limit);
        lost - left_out.filter(|number| self.view.is_lost(*number)).count() as u64
    }

    fn left_out(&self, start: u64, end: u64) -> impl Iterator<Item = u64> {
        self.backlog.into_iter().flat_map(move |backlog| backlog.between(start, end))
    }

    fn is_too_far(&self) -> bool {
        self.missing() > 0 || self.is_beyond_bounds()
    }

    fn is_beyond_bounds(&self) -> bool {
        // Who meets its policy for what is replayed, and learns no place by that, comes back from
        // the same one, and would meet it again.
        let cursor = match self.replayed_through {
            0 => self.cursor,
            through => self.cursor.max(self.view.cursor_after(through)),
        };
        self.lag.is_bounded() && self.coalescing.is_beyond(self.view, cursor)
    }

    fn step(&self) -> Step {
        let mut target = self.cursor;
        if self.is_too_far() {
            target = match self.lag.policy {
                LagPolicy::SkipToNewest => self.end(),
                LagPolicy::SkipToOldest if self.is_beyond_bounds() => self.oldest_within(),
                _ => target,
            };
        }
        let target = target.min(self.end()).max(self.cursor);
        let lost_after = self.lost_from(target);
        let skipped = target - self.cursor - self.left_out(self.cursor, target).count() as u64;
        let lost = (skipped + lost_after).saturating_sub(self.known);
        let keeps_newest = self.lag.policy == LagPolicy::KeepNewestPerKey;
        let first = self.view.find_from(target, |number, entry| {
            let is_spared = keeps_newest && self.coalescing.spares(self.view, number, entry);
            let is_left_out = self.backlog.is_some_and(|backlog| backlog.leaves_out(number));
            !is_spared && !is_left_out
        });
        let first = first.map_or(self.end(), |(number, _)| number.min(self.end()));
        let cursor = first.max(target);
        let gone = self.lost_from(cursor);
        let passed = cursor - target - self.left_out(target, cursor).count() as u64;
        let coalesced = passed.saturating_sub(lost_after.saturating_sub(gone));
        Step { cursor, lost, coalesced, gone }
    }

    /// The oldest that is there and not beyond the bounds.
    fn oldest_within(&self) -> u64 {
        let span = self.view.span(self.cursor, self.coalescing.limit);
        let Some(Span { first, last, through, .. }) = span else { return self.cursor };
        let events = self.lag.events.map_or(0, |events| (last + 1).saturating_sub(events as u64));
        let bytes = self.lag.bytes.map(|bytes| through.saturating_sub(bytes as u64));
        let bytes = bytes.map_or(0, |before| self.view.cursor_at(before));
        // One event is within any bounds.
        let target = events.max(bytes).min(last);
        if target <= first {
            return self.cursor;
        }
        self.view.from(target).map_or(target, |(number, _)| number)
    }

    /// The position before that of the first event from `cursor` on; the newest one's if there is
    /// none.
    fn position_before(&self, cursor: u64) -> u64 {
        let first = self.view.from(cursor);
        first.map_or_else(|| self.view.last_position(), |(_, entry)| entry.position - 1)
    }
}

/// How the session is told of losses, if it is.
fn announced<'a>(session: &'a Session, usual: Option<&'a EventType>) -> Option<&'a EventType> {
    session.slow().map_or(usual, |slow| slow.announcement.as_ref().or(usual))
}
