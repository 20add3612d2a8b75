//! Sessions, their deadlines, and which of them have output again.

mod ahead;
mod deadlines;
mod extras;
mod history;
mod output;
mod pauses;
mod session;
mod subscription;
mod terms;
mod untaken;

pub(crate) use ahead::Ahead;
pub(crate) use deadlines::Deadlines;
pub(crate) use extras::{Backlog, Ending, LateGap, Loss};
pub(crate) use history::{Bounds, Hears, History};
pub(crate) use pauses::PARDONS;
pub(crate) use session::{Phase, Session, is_over};
pub(crate) use subscription::Subscription;
pub(crate) use terms::{Lease, Terms, is_covered};
pub(crate) use untaken::Untaken;

use super::arena::{Arena, Key};
use super::clock::Tick;
use super::config::SessionDefaults;
use super::event::EndReason;
use super::names::SessionId;
use super::topics::{Left, Ready, ReadyQueue, Topics, Waiting};
use crate::encode::Frame;
use ahead::AllAhead;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use pauses::Pauses;

/// All sessions of a broker.
#[derive(Debug)]
pub(crate) struct Sessions {
    shard: u16,
    sessions: Arena<Session>,
    deadlines: Deadlines,
    ready: ReadyQueue,
    /// Sessions that ended, and whose drivers have not been told.
    untold: BTreeMap<Key, EndReason>,
    pauses: Pauses,
    ahead: AllAhead,
}

/// What becomes of a session because of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Its lease has lapsed.
    Lease,
    /// The application is to be asked about the lease, which lasts until then.
    AskLease(Tick),
    /// It has the maximum age.
    MaxAge,
    /// It had output and took none.
    Stall,
}

/// How the driver of a session learns of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It said so itself, or is being told in the same call.
    Already,
    /// Its id comes out of `poll_ready`.
    ByReady,
}

impl Sessions {
    pub(crate) fn new(shard: u16, defaults: &SessionDefaults) -> Self {
        Self {
            shard,
            sessions: Arena::new(),
            deadlines: Deadlines::new(defaults),
            ready: ReadyQueue::default(),
            untold: BTreeMap::new(),
            pauses: Pauses::default(),
            ahead: AllAhead::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Returns whether there never was a session.
    pub(crate) fn is_unused(&self) -> bool {
        self.sessions.is_unused()
    }

    /// Returns the slot of the next session. No two open sessions share a slot.
    pub(crate) fn next_slot(&self) -> u32 {
        self.sessions.next_slot()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.sessions.keys()
    }

    /// Returns the key of a session of this shard, whether or not it is open.
    #[inline]
    pub(crate) fn key_of(&self, id: SessionId) -> Option<Key> {
        (id.shard() == self.shard).then(|| id.key())
    }

    #[inline]
    pub(crate) const fn id_of(&self, key: Key) -> SessionId {
        SessionId::of(self.shard, key)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&Session> {
        self.sessions.get(key)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Session> {
        self.sessions.get_mut(key)
    }

    /// Lends a session that is polled, with the deadlines by which it is to be armed.
    #[inline]
    pub(crate) fn polled(&mut self, key: Key) -> Option<(&mut Session, &mut Deadlines)> {
        self.deadlines.compact(&self.sessions);
        Some((self.sessions.get_mut(key)?, &mut self.deadlines))
    }

    pub(crate) fn by_id(&self, id: SessionId) -> Option<&Session> {
        self.get(self.key_of(id)?)
    }

    /// Lends the queue to which channels hand over their waiting lists.
    pub(crate) const fn ready_mut(&mut self) -> &mut ReadyQueue {
        &mut self.ready
    }

    /// Returns whether [`pop_ready`](Self::pop_ready) has entries to look at.
    #[cfg(feature = "record")]
    pub(crate) const fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns how many waiting lists were handed over to the ready queue.
    #[inline]
    pub(crate) const fn hand_overs(&self) -> u64 {
        self.ready.hand_overs()
    }

    /// Adds a session, whose driver is about to poll it.
    pub(crate) fn insert(&mut self, session: Session) -> Key {
        self.deadlines.enter(&session);
        let key = self.sessions.insert(session);
        self.arm(key);
        key
    }

    /// Lets an open session wait for the position that its last event id names.
    pub(crate) fn set_ahead(&mut self, key: Key, ahead: Ahead) {
        if let Some(session) = self.sessions.get_mut(key) {
            self.ahead.insert(key, &ahead);
            session.extras_mut().set_ahead(ahead);
        }
    }

    /// Ends the wait of a session, whose place is decided. Returns what it asked for.
    pub(crate) fn take_ahead(&mut self, key: Key) -> Option<Box<Ahead>> {
        let ahead = self.sessions.get_mut(key)?.extras_mut().take_ahead()?;
        self.ahead.remove(key, &ahead);
        Some(ahead)
    }

    /// Lends what is read for a session, while it waits for that.
    pub(crate) fn history_mut(&mut self, key: Key) -> Option<&mut History> {
        self.sessions.get_mut(key)?.extras_mut().ahead_mut()?.history_mut()
    }

    /// Returns what a session asked for whose place is not decided yet.
    pub(crate) fn ahead(&self, key: Key) -> Option<&Ahead> {
        self.sessions.get(key)?.extras().ahead()
    }

    /// Returns whether fewer than so many sessions wait for what is read for them.
    pub(crate) fn has_room_to_read(&self, limit: usize) -> bool {
        self.ahead.has_room_to_read(limit)
    }

    /// Returns the next session for which nobody was asked yet to read, and from where on.
    pub(crate) fn pop_unread(&mut self) -> Option<(Key, u64)> {
        loop {
            let key = self.ahead.pop_unread()?;
            if let Some(history) = self.ahead(key).and_then(Ahead::history) {
                return Some((key, history.through()));
            }
        }
    }

    /// Returns whether [`pop_unread`](Self::pop_unread) has entries to look at.
    #[cfg(feature = "record")]
    pub(crate) fn has_unread(&self) -> bool {
        self.ahead.has_unread()
    }

    /// Returns all sessions that wait for what is read for them.
    pub(crate) fn waiting_for_history(&self) -> Vec<Key> {
        let keys = self.ahead.keys();
        keys.filter(|key| self.ahead(*key).is_some_and(|one| one.history().is_some())).collect()
    }

    /// Returns the position for which a session waits, or after which it does.
    pub(crate) fn waits_for(&self, key: Key) -> Option<u64> {
        Some(self.sessions.get(key)?.extras().ahead()?.position())
    }

    /// Returns how many sessions wait for their place to be decided.
    pub(crate) fn waiting(&self) -> usize {
        self.ahead.len()
    }

    /// Returns whether a session waits for a position.
    #[inline]
    pub(crate) fn is_any_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Returns the next session that waits for `last`, or for a position before that.
    pub(crate) fn reached(&self, last: u64) -> Option<Key> {
        self.ahead.reached(last)
    }

    /// Returns the next session that has waited for its position long enough.
    pub(crate) fn overdue(&self, now: Tick) -> Option<Key> {
        self.ahead.overdue(now)
    }

    /// Makes a parked session ready for a reason of its own.
    pub(crate) fn wake(&mut self, now: Tick, key: Key) {
        if let Some(session) = self.sessions.get_mut(key)
            && session.phase() == Phase::Parked
        {
            session.set_phase(Phase::Woken);
            session.has_output_since(now);
            if !session.set_queued(true) {
                self.ready.push(Ready::Session(key));
            }
            self.arm(key);
        }
    }

    /// Lets a subscription that was added to a parked session wait.
    pub(crate) fn wait(&mut self, key: Key, number: u32, topics: &mut Topics) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !session.has_news(topics) {
            // It had the end of all its topics as output, if any, and has more to expect now.
            session.wait_anew(self.ready.hand_overs());
        }
        if let Some(one) = session.subscription_mut(number) {
            one.wait(Waiting::new(key.slot(), number), topics);
        }
        self.arm(key);
    }

    /// Returns the next session that has output again, or that ended and is to be told so.
    pub(crate) fn pop_ready(&mut self, topics: &Topics) -> Option<Key> {
        loop {
            match self.ready.pop()? {
                Ready::Ended(key) if self.untold.contains_key(&key) => return Some(key),
                Ready::Ended(_) => {}
                Ready::Session(key) => {
                    if let Some(session) = self.sessions.get_mut(key) {
                        session.set_queued(false);
                        if session.phase() == Phase::Woken {
                            session.set_phase(Phase::Ready);
                            return Some(key);
                        }
                    }
                }
                Ready::Channel(waiting, by) => {
                    let Some(session) = self.sessions.at_mut(waiting.session()) else { continue };
                    let is_ready = session.come_off(waiting, by, topics);
                    // Also where it was woken since: it had output before that.
                    self.deadlines.arm(waiting.session(), session);
                    if is_ready {
                        self.deadlines.compact(&self.sessions);
                        return self.sessions.key_at(waiting.session());
                    }
                }
            }
        }
    }

    /// Lets a session have what there is, then `last_words`, and then its end. Returns whether
    /// there is such a session; one that ends already ends as it was told to.
    ///
    /// One that is ahead has all there is but what is for it alone. It resumes elsewhere, from where
    /// it was.
    pub(crate) fn finish(
        &mut self,
        now: Tick,
        key: Key,
        reason: EndReason,
        through: u64,
        last_words: Option<Frame>,
        topics: &Topics,
    ) -> bool {
        let place = self.take_ahead(key).map(|ahead| {
            if let Some(session) = self.sessions.get_mut(key) {
                session.pass_all(topics);
            }
            ahead.position()
        });
        let Some(session) = self.sessions.get_mut(key) else { return false };
        if session.ending().is_none() {
            let end = |one: &Subscription| topics.end_of(one.channel());
            let limits = session.subscriptions().iter().map(end).collect();
            let ending = Ending::new(reason, through, limits).with_last_words(last_words);
            session.extras_mut().set_ending(ending.with_place(place.unwrap_or(through)));
            self.wake(now, key);
            self.arm(key);
        }
        true
    }

    /// Removes a session, which leaves all its channels. Returns it, and how many events of its own
    /// channel it did not take.
    pub(crate) fn remove(&mut self, key: Key, topics: &mut Topics) -> Option<(Session, u64)> {
        let session = self.sessions.remove(key)?;
        self.deadlines.leave(&session);
        self.pauses.forget(key);
        if let Some(ahead) = session.extras().ahead() {
            self.ahead.remove(key, ahead);
        }
        let undelivered =
            session.own().map_or(0, |own| topics.end_of(own.channel()) - own.cursor());
        let mut void = usize::from(session.is_queued());
        for (subscription, number) in session.subscriptions().iter().zip(0..) {
            void += self.leave(Waiting::new(key.slot(), number), subscription, topics);
        }
        if let Some(own) = session.own() {
            topics.close(own.channel());
        }
        self.void(void, topics);
        Some((session, undelivered))
    }

    /// Ends one subscription of a session. Returns whether there was one.
    pub(crate) fn unsubscribe(&mut self, key: Key, number: u32, topics: &mut Topics) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        let since = session.output_since(number, topics);
        let Some(subscription) = session.remove(number) else { return false };
        let hand_overs = self.ready.hand_overs();
        match session.phase() {
            // What output it had was of this subscription.
            Phase::Parked if !session.has_news(topics) => session.wait_anew(hand_overs),
            // It has had output all the while, though what told of it goes.
            Phase::Parked | Phase::Woken => {
                if let Some(since) = since {
                    session.has_output_since(since);
                }
            }
            Phase::Ready => {}
        }
        self.arm(key);
        let void = self.leave(Waiting::new(key.slot(), number), &subscription, topics);
        self.void(void, topics);
        true
    }

    /// Lets a subscription leave its channel. Returns how many entries of the ready queue tell
    /// nothing any more.
    fn leave(
        &mut self,
        waiting: Waiting,
        subscription: &Subscription,
        topics: &mut Topics,
    ) -> usize {
        match topics.leave(subscription.channel(), waiting, subscription.index()) {
            Left::Nothing => 0,
            Left::Void => 1,
            Left::Moved(other) => {
                let session = self.sessions.at_mut(other.session());
                let other =
                    session.and_then(|session| session.subscription_mut(other.subscription()));
                if let (Some(other), Some(index)) = (other, subscription.index()) {
                    other.set_index(index);
                }
                0
            }
        }
    }

    /// Records that `count` entries of the ready queue tell nothing any more.
    #[inline]
    pub(crate) fn void(&mut self, count: usize, topics: &Topics) {
        if count > 0 {
            let (sessions, untold) = (&self.sessions, &self.untold);
            self.ready.void(count, |ready| match ready {
                Ready::Channel(waiting, by) => sessions
                    .at(waiting.session())
                    .is_some_and(|session| session.is_awaited(*waiting, *by, topics)),
                Ready::Session(key) => sessions.get(*key).is_some_and(Session::is_queued),
                Ready::Ended(key) => untold.contains_key(key),
            });
        }
    }

    /// Records that the driver of a session that ended is to be told so.
    pub(crate) fn owe_end(&mut self, key: Key, reason: EndReason) {
        self.untold.insert(key, reason);
        self.ready.push(Ready::Ended(key));
    }

    /// Returns why a session ended, if its driver was not told so before.
    pub(crate) fn tell_end(&mut self, key: Key, topics: &Topics) -> Option<EndReason> {
        let reason = self.untold.remove(&key)?;
        self.void(1, topics);
        Some(reason)
    }

    /// Returns how many ends have not been told.
    pub(crate) fn untold(&self) -> usize {
        self.untold.len()
    }

    /// Returns when [`pop_due`](Self::pop_due) has something to look at.
    pub(crate) fn next_timeout(&self) -> Option<Tick> {
        let unseen = self.ready.next_unseen().and_then(|at| self.deadlines.first_stall(at));
        let ahead = self.ahead.next_timeout();
        self.deadlines.next().into_iter().chain(unseen).chain(ahead).min()
    }

    /// Returns whether so much time went by between two calls that
    /// [`note_gap`](Self::note_gap) is to look at it.
    #[inline]
    pub(crate) const fn is_gap(before: Tick, now: Tick) -> bool {
        Pauses::is_long(before, now)
    }

    /// Sees whether the driver paused between two calls, where it was to call no later than
    /// `promised`.
    pub(crate) fn note_gap(&mut self, before: Tick, now: Tick, promised: Tick) {
        self.pauses.note(before, now, promised);
    }

    /// Returns when a session has stalled that has taken nothing since the first of these events,
    /// for a publisher with this patience.
    pub(crate) fn stalls_at(&self, key: Key, untaken: Untaken, patience: Tick) -> Tick {
        let counts = |session| self.pauses.counts_from(key, session, untaken.since());
        let since = self.sessions.get(key).map_or(untaken.since(), counts);
        since.saturating_add(patience)
    }

    /// Returns whether a pause ended at this time or later.
    pub(crate) const fn has_paused_since(&self, at: Tick) -> bool {
        self.pauses.ended_at() >= at
    }

    /// Sees who is on lists of which a session may have stalled by now.
    fn see_hand_overs(&mut self, now: Tick, topics: &Topics) {
        let (sessions, deadlines) = (&mut self.sessions, &mut self.deadlines);
        while let Some(at) = self.ready.next_unseen()
            && deadlines.first_stall(at).is_some_and(|stall| stall <= now)
        {
            self.ready.see(|waiting, by| {
                if let Some(session) = sessions.at_mut(waiting.session())
                    && session.see(waiting, by, topics)
                {
                    deadlines.arm(waiting.session(), session);
                }
            });
        }
        deadlines.compact(sessions);
    }

    /// Returns the next session for which something is due by now. A heartbeat that is due wakes
    /// its session at once.
    pub(crate) fn pop_due(&mut self, now: Tick, topics: &Topics) -> Option<(Key, Due)> {
        self.see_hand_overs(now, topics);
        while let Some(timer) = self.deadlines.pop_due(now) {
            if let Some(key) = self.sessions.key_at(timer.slot())
                && let Some(session) = self.sessions.get_mut(key)
                && session.disarm(timer.at())
                && let Some(due) = self.due(now, key, topics)
            {
                return Some((key, due));
            }
        }
        None
    }

    fn due(&mut self, now: Tick, key: Key, topics: &Topics) -> Option<Due> {
        let session = self.sessions.get_mut(key)?;
        if session.terms_deadline() <= now {
            let due = if session.is_lapsed(now) {
                Due::Lease
            } else if session.is_expired(now) {
                Due::MaxAge
            } else {
                Due::AskLease(session.ask_for_lease())
            };
            self.arm(key);
            return Some(due);
        }
        if self.deadlines.idle_deadline(session) <= now {
            if let Some(since) = session.silent_since() {
                if !self.pauses.pardon(key, session, since) {
                    return Some(Due::Stall);
                }
            } else if session.has_news(topics) {
                // It is on a list that says since when.
                session.has_output_since(now);
            } else {
                session.owe_heartbeat();
                self.wake(now, key);
            }
        }
        self.arm(key);
        None
    }

    /// Sees to it that the session is looked at no later than its deadline.
    pub(crate) fn arm(&mut self, key: Key) {
        if let Some((session, deadlines)) = self.polled(key) {
            deadlines.arm(key.slot(), session);
        }
    }
}
