//! What the broker keeps of a session, a client and a topic.

use super::arena::{Arena, Key};
use super::clock::Tick;
use super::config::{Lag, LagPolicy, Retention, Setting};
use super::event::EndReason;
use super::log::Log;
use super::matched::{Matched, View};
use super::names::{ClientId, TopicFilter, TopicName};
use super::ready::Parked;
use super::subscribe::Backlog;
use super::terms::Terms;
use crate::encode::Frame;
use crate::event::EventType;
use alloc::boxed::Box;
use alloc::vec::Vec;

pub(super) use super::clock::NEVER;

#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: Option<Key>,
    /// The broadcast first, if it gets that, then the named topics and the patterns.
    pub(super) subscriptions: Box<[Subscription]>,
    pub(super) client_cursor: u64,
    pub(super) seldom: Option<Box<Seldom>>,
    /// Its own; of its bounds, if it has any, [`Slow`] knows.
    pub(super) lag_policy: Option<LagPolicy>,
    pub(super) phase: Phase,
    /// The ready queue holds an entry that names this session itself: never more than one, also
    /// where a poll was faster and the entry tells nothing any more.
    pub(super) queued: bool,
    pub(super) heartbeat_due: bool,
    /// Counts the polls, so that a batch of an earlier one is known as such.
    pub(super) poll: u32,
    pub(super) sent_at: Tick,
    pub(super) polled_at: Tick,
    /// For when its timer stands.
    pub(super) armed: Tick,
    pub(super) terms: Option<Box<Terms>>,
}

/// What most sessions do without, most of the time.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    /// What goes out before any event.
    pub(super) opening: Option<Frame>,
    pub(super) private: Option<Private>,
    /// Set when the session is to end as soon as it has what was published before.
    pub(super) ending: Option<Ending>,
    /// The number of the queued event that tells of this session's skips.
    pub(super) skip_event: Option<u64>,
    /// What is replayed with exceptions.
    pub(super) backlogs: Vec<Backlog>,
    /// What was replayed brought ids from before the session's place, of which it is to be told
    /// when there is nothing else.
    pub(super) is_place_due: bool,
    /// Through which position it was replayed events, while it has not got them all: those are
    /// within any bounds. 0 if none were, or where no bound can be set.
    pub(super) replayed_through: u64,
    /// Of subscriptions to patterns, by number: how many events after their cursors were gone
    /// before they began, or are counted as lost already. None of these is 0.
    pub(super) gone: Vec<(u32, u64)>,
    pub(super) slow: Option<Box<Slow>>,
}

/// What concerns sessions that are behind, or chose how to be.
#[derive(Debug, Default)]
pub(super) struct Slow {
    /// Its own lag, where that has bounds.
    pub(super) lag: Option<Lag>,
    /// How it is told of losses, where it chose that.
    pub(super) announcement: Setting<EventType>,
    /// What it is to be told.
    pub(super) loss: Option<Loss>,
    /// The number of the queued event that tells of what this session was spared.
    pub(super) coalesced_event: Option<u64>,
    /// What it was spared in its newest batch, of which a part may be taken back.
    pub(super) uncounted: u64,
}

/// Events that a session did not get.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// The position after which the first event comes that it gets after the first hole.
    pub(super) before: u64,
    pub(super) lost: u64,
}

impl Seldom {
    /// `None` if there is nothing in it.
    pub(super) fn boxed(self) -> Option<Box<Self>> {
        let is_empty = self.opening.is_none()
            && self.private.is_none()
            && self.ending.is_none()
            && self.skip_event.is_none()
            && self.gone.is_empty()
            && !self.is_place_due
            && self.replayed_through == 0
            && self.slow.is_none();
        (!is_empty).then(|| Box::new(self))
    }
}

impl Slow {
    /// What a session chose for itself.
    pub(super) fn of(lag: Option<Lag>, announcement: Setting<EventType>) -> Option<Box<Self>> {
        let lag = lag.filter(Lag::is_bounded);
        (lag.is_some() || !announcement.is_default())
            .then(|| Box::new(Self { lag, announcement, ..Self::default() }))
    }
}

impl Session {
    pub(super) fn has_backlogs(&self) -> bool {
        self.seldom.as_ref().is_some_and(|seldom| !seldom.backlogs.is_empty())
    }

    pub(super) fn backlog(&self, subscription: u32) -> Option<&Backlog> {
        let backlogs = &self.seldom.as_ref()?.backlogs;
        backlogs.iter().find(|backlog| backlog.subscription == subscription)
    }

    /// Whether the session is to be told its place; once.
    pub(super) fn take_place_due(&mut self) -> bool {
        let Some(seldom) = &mut self.seldom else { return false };
        let is_due = core::mem::take(&mut seldom.is_place_due);
        self.tidy();
        is_due
    }

    pub(super) fn replayed_through(&self) -> u64 {
        self.seldom.as_ref().map_or(0, |seldom| seldom.replayed_through)
    }

    /// It has got what was replayed.
    pub(super) fn forget_replay(&mut self) {
        if let Some(seldom) = &mut self.seldom {
            seldom.replayed_through = 0;
            self.tidy();
        }
    }

    pub(super) fn has_gone(&self) -> bool {
        self.seldom.as_ref().is_some_and(|seldom| !seldom.gone.is_empty())
    }

    pub(super) fn gone(&self, subscription: u32) -> u64 {
        let gone = self.seldom.as_ref().map_or(&[][..], |seldom| &seldom.gone);
        gone.iter().find(|(one, _)| *one == subscription).map_or(0, |(_, count)| *count)
    }

    pub(super) fn set_gone(&mut self, subscription: u32, count: u64) {
        if count == 0 && !self.has_gone() {
            return;
        }
        let seldom = self.seldom_mut();
        seldom.gone.retain(|(one, _)| *one != subscription);
        if count > 0 {
            seldom.gone.push((subscription, count));
        }
        self.tidy();
    }

    pub(super) fn seldom_mut(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    pub(super) fn take_opening(&mut self) -> Option<Frame> {
        let opening = self.seldom.as_mut()?.opening.take();
        self.tidy();
        opening
    }

    pub(super) fn forget_skip_event(&mut self) {
        if let Some(seldom) = &mut self.seldom {
            seldom.skip_event = None;
            self.tidy();
        }
    }

    pub(super) fn forget_coalesced_event(&mut self) {
        if let Some(slow) = self.seldom.as_mut().and_then(|seldom| seldom.slow.as_mut()) {
            slow.coalesced_event = None;
            self.tidy();
        }
    }

    pub(super) fn slow(&self) -> Option<&Slow> {
        self.seldom.as_ref()?.slow.as_deref()
    }

    pub(super) fn slow_mut(&mut self) -> &mut Slow {
        self.seldom_mut().slow.get_or_insert_default()
    }

    /// The lag that it chose for itself.
    pub(super) fn lag(&self) -> Option<Lag> {
        let policy = self.lag_policy?;
        Some(self.slow().and_then(|slow| slow.lag).unwrap_or(Lag::new(policy)))
    }

    pub(super) fn take_uncounted(&mut self) -> u64 {
        let slow = self.seldom.as_mut().and_then(|seldom| seldom.slow.as_mut());
        let count = slow.map_or(0, |slow| core::mem::take(&mut slow.uncounted));
        if count > 0 {
            self.tidy();
        }
        count
    }

    pub(super) fn loss(&self) -> Option<Loss> {
        self.slow()?.loss
    }

    pub(super) fn take_loss(&mut self) -> Option<Loss> {
        let loss = self.seldom.as_mut()?.slow.as_mut()?.loss.take();
        self.tidy();
        loss
    }

    pub(super) fn private(&self) -> Option<&Private> {
        self.seldom.as_ref()?.private.as_ref()
    }

    pub(super) fn private_mut(&mut self) -> Option<&mut Private> {
        self.seldom.as_mut()?.private.as_mut()
    }

    pub(super) fn take_last_words(&mut self) -> Option<Frame> {
        self.seldom.as_mut()?.ending.as_mut()?.last_words.take()
    }

    pub(super) fn ending(&self) -> Option<&Ending> {
        self.seldom.as_ref()?.ending.as_ref()
    }

    /// Gives the room back when there is nothing in it any more.
    pub(super) fn tidy(&mut self) {
        if let Some(seldom) = &mut self.seldom
            && let Some(slow) = &seldom.slow
            && slow.lag.is_none()
            && slow.announcement.is_default()
            && slow.loss.is_none()
            && slow.coalesced_event.is_none()
            && slow.uncounted == 0
        {
            seldom.slow = None;
        }
        if let Some(seldom) = &self.seldom
            && seldom.opening.is_none()
            && seldom.private.is_none()
            && seldom.ending.is_none()
            && seldom.skip_event.is_none()
            && seldom.gone.is_empty()
            && seldom.slow.is_none()
            && seldom.backlogs.is_empty()
            && !seldom.is_place_due
            && seldom.replayed_through == 0
        {
            self.seldom = None;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has, or may have, output; whoever drives it knows.
    Ready,
    /// It has output for a reason of its own; the ready queue holds an entry that will say so.
    Woken,
    /// It had none when last asked; each of its subscriptions is listed with its topic.
    Parked,
}

/// A cursor into a topic's log, and the place on the topic's parked list.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) cursor: u64,
    /// The topic's slot. It stays the topic's as long as anybody subscribes to it.
    pub(super) topic: u32,
    /// Where on its list, or [`UNLISTED`]. The list is the topic's present one if the subscription
    /// stands there at this place, and else one that a publish has made ready.
    pub(super) index: u32,
}

impl Subscription {
    /// In place of one that was ended: what comes after it keeps its number.
    pub(super) const VACANT: Self = Self { cursor: 0, topic: u32::MAX, index: UNLISTED };

    pub(super) const fn is_vacant(&self) -> bool {
        self.topic == u32::MAX
    }

    /// Puts it on its topic's list, if it stands on none.
    #[inline]
    pub(super) fn list(&mut self, topics: &mut Arena<TopicState>, parked: Parked) {
        if self.index == UNLISTED
            && let Some(topic) = topics.at_mut(self.topic)
        {
            #[expect(clippy::cast_possible_truncation, reason = "no more than max_sessions")]
            let index = topic.parked.len() as u32;
            self.index = index;
            topic.parked.push(parked);
        }
    }
}

/// How a session ends that gets the rest first: nothing published later is for it, so that it
/// cannot fall behind by that either.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) reason: EndReason,
    /// The last position that it gets.
    pub(super) through: u64,
    /// Where its subscriptions' logs ended then, and its client's. Nothing more is published to it
    /// alone.
    pub(super) topics: Vec<u64>,
    pub(super) client: u64,
    /// What it gets after all that.
    pub(super) last_words: Option<Frame>,
}

pub(super) const UNLISTED: u32 = u32::MAX;

/// What was published to one session alone.
#[derive(Debug, Default)]
pub(super) struct Private {
    pub(super) log: Log,
    pub(super) cursor: u64,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) sessions: Vec<Key>,
    pub(super) log: Log,
    pub(super) metadata: http::Extensions,
    /// Since when it has had no session.
    pub(super) absent_since: Option<Tick>,
    pub(super) armed: Tick,
}

#[derive(Debug)]
pub(super) struct TopicState {
    /// The broadcast has none, nor has a pattern.
    pub(super) name: Option<TopicName>,
    pub(super) log: Log,
    /// Of a pattern: what matches it, in place of a log.
    pub(super) matched: Option<Box<Matched>>,
    /// The slots of the patterns in use that match the name.
    pub(super) patterns: Vec<u32>,
    pub(super) parked: Vec<Parked>,
    pub(super) subscribers: u32,
    pub(super) retention: Option<Retention>,
    pub(super) lag: Option<Box<Lag>>,
    pub(super) ended: Option<Box<Ended>>,
    pub(super) armed: Tick,
}

/// A topic to which nothing more is published.
#[derive(Debug)]
pub(super) struct Ended {
    /// Of the end.
    pub(super) position: u64,
    /// Until when it is remembered though nobody has the topic; `None` once that is over.
    pub(super) until: Option<Tick>,
}

impl TopicState {
    pub(super) fn new(name: Option<TopicName>, lost_through: u64) -> Self {
        Self {
            name,
            log: Log::new(lost_through),
            matched: None,
            patterns: Vec::new(),
            parked: Vec::new(),
            subscribers: 0,
            retention: None,
            lag: None,
            ended: None,
            armed: NEVER,
        }
    }

    /// What its subscribers' cursors go through.
    #[inline]
    pub(super) fn view<'a>(&'a self, topics: &'a Arena<Self>) -> View<'a> {
        match &self.matched {
            Some(matched) => View::Matched(matched, topics),
            None => View::Log(&self.log),
        }
    }

    /// The cursor of the next event to come.
    pub(super) fn end(&self) -> u64 {
        self.matched.as_ref().map_or_else(|| self.log.end(), |matched| matched.end())
    }

    /// Whether a subscription that is listed waits here, and not on a list that was handed over.
    pub(super) fn is_waiting(&self, parked: Parked, subscription: &Subscription) -> bool {
        self.parked.get(subscription.index as usize) == Some(&parked)
    }

    /// Whether nobody would notice if it were gone.
    pub(super) fn is_idle(&self) -> bool {
        if self.matched.is_some() {
            return self.subscribers == 0;
        }
        let is_kept = match &self.ended {
            Some(ended) => ended.until.is_some(),
            None => self.retention.is_some() || self.lag.is_some(),
        };
        self.name.is_some() && self.subscribers == 0 && self.log.is_empty() && !is_kept
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// `None` for the broadcast.
    pub(super) fn filter(&self) -> Option<TopicFilter> {
        match (&self.matched, &self.name) {
            (Some(matched), _) => Some(matched.pattern().clone().into()),
            (None, name) => name.clone().map(TopicFilter::Topic),
        }
    }
}
