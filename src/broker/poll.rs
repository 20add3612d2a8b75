//! Outputs: which sessions have something, what goes out, what happened; and what a write did not
//! take.

use super::arena::Key;
use super::delivery::Passed;
use super::delivery::Taken;
use super::delivery::{self, Batch, BatchSink, FrameSink, Outcome, Part, Poll, Sink, Source};
use super::event::EventNumber;
use super::sessions::Phase;
use super::sessions::Told;
use super::{Broker, BrokerEvent, EndReason, Filled, Notes, SessionId, Transmit};
use bytes::Bytes;
use std::time::Instant;

impl Broker {
    /// Returns the next session that has output again, or that ended and is to be told so.
    ///
    /// A session for which [`poll_transmit`](Self::poll_transmit) gave `None` is parked. It comes
    /// out exactly once when it has output again, unless it is polled before that and gets some. A
    /// session that ended as stalled comes out once, parked or not: its driver may wait for a write
    /// that never ends.
    ///
    /// `None`: no parked session has output. Any input may change that, such as a publish, a
    /// session's or the broker's `close`, and `handle_timeout`.
    pub fn poll_ready(&mut self) -> Option<SessionId> {
        let key = self.sessions.pop_ready(&self.topics)?;
        Some(self.sessions.id_of(key))
    }

    /// Returns the next thing that happened. `None`: nothing since; any input, and `poll_transmit`,
    /// may change that.
    ///
    /// They are kept until polled. When
    /// [`BrokerLimits::unread_events`](super::BrokerLimits::unread_events) wait, no session
    /// is opened any more.
    ///
    /// Events of a shard are numbered from 1 on, by which a
    /// [page of present clients](Self::presence_page) says what it takes into account.
    pub fn poll_event(&mut self) -> Option<(EventNumber, BrokerEvent)> {
        self.events.poll()
    }

    /// Returns the next thing that a session has to transmit, in the order in which it was
    /// published.
    ///
    /// `None`: the session is parked, and its id comes out of [`poll_ready`](Self::poll_ready)
    /// exactly once when there is output again: after an event was published to it, after its or
    /// the broker's `close`, and when a heartbeat is due.
    ///
    /// [`Transmit::Ended`]: the session has ended. Every further call returns this again, without
    /// the reason, so a loop that waits for `None` alone never stops:
    ///
    /// ```
    /// # use sansse::broker::{Broker, BrokerConfig, Epoch, SessionConfig, Transmit};
    /// # let now = std::time::Instant::now();
    /// # let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1)))?;
    /// # let session = broker.open(now, SessionConfig::new())?.session;
    /// # broker.session_mut(session).close(now);
    /// while let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) {
    ///     // Write it.
    ///     # drop(frame.clone());
    /// }
    /// # assert_eq!(broker.poll_transmit(now, session), Some(Transmit::Ended(None)));
    /// # assert_eq!(broker.poll_transmit(now, session), Some(Transmit::Ended(None)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A heartbeat is an empty comment line, with no blank line after it, of which some readers
    /// would make an empty message; or the [event](crate::broker::SessionDefaults::heartbeat_event) that was set.
    /// It comes only where nothing else did for the session's
    /// interval.
    pub fn poll_transmit(&mut self, now: Instant, session: SessionId) -> Option<Transmit<'_>> {
        let mut sink = FrameSink::default();
        let filled = self.fill(now, session, &mut sink);
        match sink.into_taken() {
            Some(Taken::Event { channel, number }) => {
                let (_, entry) = self.topics.view(channel)?.get(number)?;
                entry.frame().map(Transmit::Frame)
            }
            Some(Taken::Frame(frame)) => Some(Transmit::Frame(self.lent.insert(frame))),
            None => match filled {
                Filled::Ended(reason) => Some(Transmit::Ended(reason)),
                Filled::More | Filled::All => None,
            },
        }
    }

    /// Puts what a session has to transmit into `batch`, replacing what was in there, until about
    /// `limit` bytes are together; a single larger frame is handed over alone. Once the session has
    /// ended, every call returns [`Filled::Ended`].
    ///
    /// This is [`poll_transmit`](Self::poll_transmit) for a driver that writes to a socket: what a
    /// busy session has pending goes out in one write, and joining small frames costs less than
    /// handing them over one by one. What the write did not take goes back with
    /// [`handle_partial_write`](Self::handle_partial_write).
    pub fn poll_transmit_batch(
        &mut self,
        now: Instant,
        session: SessionId,
        limit: usize,
        batch: &mut Batch,
    ) -> Filled {
        batch.clear();
        self.fill(now, session, &mut BatchSink::new(batch, limit))
    }

    /// Lets a sink take what a session has to transmit.
    #[inline]
    fn fill(&mut self, now: Instant, id: SessionId, sink: &mut impl Sink) -> Filled {
        let now = self.advance(now);
        let Some(key) = self.sessions.key_of(id) else { return Filled::Ended(None) };
        let hand_overs = self.sessions.hand_overs();
        let Some((session, deadlines)) = self.sessions.polled(key) else {
            return Filled::Ended(self.sessions.tell_end(key, &self.topics));
        };
        if session.is_lapsed(now) {
            return self.end_now(key, EndReason::LeaseExpired);
        }
        let was_parked = session.phase() == Phase::Parked;
        sink.begin(id, session.begin_poll(now));
        let mut notes = Notes::new(&mut self.events, &mut self.counters, &self.clients);
        if session.extras().is_any() {
            // What was handed over before this poll is delivered.
            let superseded = Passed::of_superseded(session.extras_mut().take_uncounted());
            notes.note(id, session.client(), superseded);
            session.extras_mut().let_history_go();
            if let Some(own) = session.own() {
                self.topics.trim_delivered(now, own.channel(), own.cursor());
            }
        }
        let counters = &mut *notes.counters;
        let (topics, sequencer, config) = (&self.topics, &self.sequencer, &self.config);
        let mut passed = Passed::default();
        let poll = Poll::new(now, session, topics, sequencer, config, counters);
        let outcome = delivery::fill(poll, sink, &mut passed);
        notes.note(id, session.client(), passed);
        let is_watched = session.extras().is_watched();
        let filled = match outcome {
            Outcome::More => {
                if was_parked {
                    deadlines.arm(key.slot(), session);
                }
                Filled::More
            }
            Outcome::All => {
                let void = session.park(key.slot(), hand_overs, &mut self.topics);
                deadlines.arm(key.slot(), session);
                self.sessions.void(void, &self.topics);
                Filled::All
            }
            Outcome::Ahead => {
                session.park_alone(hand_overs);
                deadlines.arm(key.slot(), session);
                Filled::All
            }
            Outcome::Ended(reason) => self.end_now(key, reason),
        };
        if is_watched {
            self.note_progress(key);
        }
        filled
    }

    fn end_now(&mut self, key: Key, reason: EndReason) -> Filled {
        self.end(key, reason, Told::Already);
        Filled::Ended(Some(reason))
    }

    /// Takes back what a write did not take of `batch`, the newest batch of this session, of which
    /// `written` bytes were written. The session goes on with it when it is polled again.
    ///
    /// What is returned must still be written before that: the rest of the one frame at which the
    /// write stopped. It is empty if the write took everything.
    ///
    /// Only the batch of this session's newest poll can be taken back, and only once. For any other
    /// batch, everything that was not written is returned, and must be written. So it is where
    /// something that was published to the session or its client has had to make room meanwhile. For
    /// a session that has ended meanwhile, only the rest of the one frame is returned.
    pub fn handle_partial_write(
        &mut self,
        now: Instant,
        session: SessionId,
        batch: &Batch,
        written: usize,
    ) -> Bytes {
        self.advance(now);
        let remainder = batch.remainder(written);
        let key = self.sessions.key_of(session);
        let Some((key, state)) = key.and_then(|key| Some((key, self.sessions.get_mut(key)?)))
        else {
            return remainder;
        };
        if !batch.is_of(session, state.poll()) {
            return batch.rest(written);
        }
        if remainder.is_empty() {
            return remainder;
        }
        state.forget_batch();
        // What is for the session alone, or its client, was taken: other events may have its room
        // by now. Nothing could come after it in its place, so that all of the batch is written.
        let is_gone = |part: &Part| match part.source() {
            Source::Subscription(number) => state
                .subscription(number)
                .is_some_and(|one| self.topics.is_lost_in_private(one.channel(), part.cursor())),
            Source::Own | Source::Place | Source::History => false,
        };
        if batch.untouched(written).iter().any(is_gone) {
            return batch.rest(written);
        }
        let (events, bytes) = batch.untouched_events(written);
        self.counters.take_back(events, bytes);
        let mut uncounted = state.extras_mut().take_uncounted();
        // From the last of each source to the first, so that its cursor goes back to that; with it
        // goes what was passed in between.
        for part in batch.untouched(written).iter().rev() {
            match part.source() {
                Source::Own => {}
                Source::Place => state.extras_mut().owe_place(),
                Source::History => {
                    if let Some(history) = state.extras_mut().history_mut() {
                        history.take_back(part.cursor());
                    }
                }
                Source::Subscription(number) => {
                    // A place may be vacant since what stood there was revoked.
                    if let Some(subscription) = state.subscription_mut(number) {
                        let cursor = subscription.cursor_mut();
                        let passed = (*cursor - part.cursor()).saturating_sub(1);
                        uncounted = uncounted.saturating_sub(passed);
                        *cursor = part.cursor();
                    }
                }
            }
        }
        state.extras_mut().set_uncounted(uncounted);
        state.returned();
        self.sessions.arm(key);
        remainder
    }

    /// Records that the peer took some bytes of what [`handle_partial_write`] returned, so that a
    /// large frame on a slow line is no stall. A session that is not open is no error.
    ///
    /// [`handle_partial_write`]: Self::handle_partial_write
    pub fn handle_progress(&mut self, now: Instant, session: SessionId) {
        let now = self.advance(now);
        let Some(key) = self.sessions.key_of(session) else { return };
        if let Some(session) = self.sessions.get_mut(key) {
            session.handle_progress(now);
            if session.extras().is_watched() {
                self.note_progress(key);
            }
        }
    }
}
