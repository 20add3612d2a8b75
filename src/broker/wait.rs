//! Publishers that wait until sessions have taken something.

use super::clients::Client;
use super::clock::{Tick, ticks};
use super::publishers::{Crowd, House, WaitId};
use super::sessions::{Subscription, Untaken};
use super::topics::NewEntry;
use super::{Audience, Broker, Pace, PublishError, Published};
use crate::broker::arena::Key;
use std::time::Instant;

impl Broker {
    /// Begins to wait until no session of an audience that counts is further behind than `pace`
    /// says.
    ///
    /// `None`: that is so now. Something can be published, and a session that reads as it did will
    /// not be too far behind by it. Otherwise the id comes out of [`poll_wait`](Self::poll_wait)
    /// exactly once, when all sessions that count are within half of the pace; then call this
    /// again. Those who wait for the same audience at the same pace have the same wait, and go on
    /// together.
    ///
    /// An audience without an open session is never behind. A session that has stalled, as
    /// [`Pace`] says, does not count until it takes something.
    ///
    /// The first time that somebody has to wait for a topic, this walks over all sessions. After
    /// that it looks at the readers of the topic, and at each no more than once while half of the
    /// pace is published.
    ///
    /// ```
    /// use sansse::Event;
    /// use sansse::broker::{Audience, Broker, BrokerConfig, Epoch, Pace, SessionConfig, Transmit};
    /// # let now = std::time::Instant::now();
    ///
    /// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1)))?;
    /// let reader = broker.open(now, SessionConfig::new())?.session;
    /// let pace = Pace::new().with_events(4.try_into()?);
    /// let mut published = 0;
    /// let wait = loop {
    ///     match broker.wait_for_readers(now, &Audience::Everyone, pace)? {
    ///         None => broker.publish(now, Audience::Everyone, &Event::new("line"))?,
    ///         Some(wait) => break wait,
    ///     };
    ///     published += 1;
    /// };
    /// // Four are within the pace, and one more was published then.
    /// assert_eq!(published, 5);
    /// while let Some(Transmit::Frame(_)) = broker.poll_transmit(now, reader) {}
    /// assert_eq!(broker.poll_wait(), Some(wait));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish) that do not depend on the event.
    pub fn wait_for_readers(
        &mut self,
        now: Instant,
        audience: &Audience,
        pace: Pace,
    ) -> Result<Option<WaitId>, PublishError> {
        let now = self.advance(now);
        self.check_publish(audience)?;
        // Nothing was published to an audience without a channel, so that nobody is behind.
        let Some(channel) = self.channel_of(audience) else { return Ok(None) };
        let crowd = self.few(audience);
        let crowd = crowd.unwrap_or_else(|| Crowd::readers(self.topics.heard_by(channel)));
        let house = &mut House::new(&mut self.sessions, &self.topics, &self.clients);
        let wait = self.publishers.wait_for_readers(now, audience, crowd, channel, &pace, house);
        Ok(wait.map(WaitId::new))
    }

    /// Begins to wait until a client's or a session's events that were published have been taken,
    /// after [`PublishError::NoRoom`].
    ///
    /// `None`: try again now. Otherwise the id comes out of [`poll_wait`](Self::poll_wait) exactly
    /// once, when the slowest of these sessions has taken something, or has ended; then publish
    /// again. Everyone and topics always have room.
    ///
    /// ```
    /// use sansse::Event;
    /// use sansse::broker::{Broker, BrokerConfig, Epoch, PublishError, SessionConfig, Transmit};
    /// # let now = std::time::Instant::now();
    ///
    /// let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1)))?;
    /// let session = broker.open(now, SessionConfig::new())?.session;
    /// let piece = Event::new("piece");
    /// for _ in 0..256 {
    ///     broker.publish(now, session, &piece)?;
    /// }
    /// assert_eq!(broker.publish(now, session, &piece), Err(PublishError::NoRoom));
    /// let wait = broker.wait_for_room(now, &session.into())?;
    /// assert!(wait.is_some() && broker.poll_wait().is_none());
    ///
    /// while let Some(Transmit::Frame(_)) = broker.poll_transmit(now, session) {}
    /// assert_eq!(broker.poll_wait(), wait);
    /// broker.publish(now, session, &piece)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish) that do not depend on the event.
    pub fn wait_for_room(
        &mut self,
        now: Instant,
        audience: &Audience,
    ) -> Result<Option<WaitId>, PublishError> {
        let now = self.advance(now);
        self.check_publish(audience)?;
        let Some(crowd) = self.few(audience) else { return Ok(None) };
        let patience = self.patience_with(audience);
        let house = &mut House::new(&mut self.sessions, &self.topics, &self.clients);
        let wait = self.publishers.wait_for_room(now, audience, crowd, patience, house);
        Ok(wait.map(WaitId::new))
    }

    /// Returns the next wait that is over, of those that [`wait_for_readers`](Self::wait_for_readers)
    /// and [`wait_for_room`](Self::wait_for_room) began.
    ///
    /// `None`: none is. `poll_transmit`, the end of a session, `handle_timeout` and `close` may
    /// change that. A wait that nobody is interested in any more needs no call: its id comes out and
    /// is dropped.
    pub fn poll_wait(&mut self) -> Option<WaitId> {
        self.publishers.poll().map(WaitId::new)
    }

    /// Returns whether [`poll_wait`](Self::poll_wait) has something.
    #[cfg(feature = "record")]
    pub(crate) fn has_waits_over(&self) -> bool {
        self.publishers.has_over()
    }

    /// Returns [`PublishError::NoRoom`] if an open session that counts would lose an event of its
    /// client's or its own by this one.
    pub(super) fn check_room(&self, now: Tick, published: &Published) -> Result<(), PublishError> {
        let one;
        let sessions = match published.audience() {
            Audience::Everyone | Audience::Topic(_) => return Ok(()),
            Audience::Client(id) => self.clients.get(id).map_or(&[][..], |one| one.sessions()),
            Audience::Session(id) => {
                one = self.sessions.key_of(*id);
                one.as_slice()
            }
        };
        let Some(channel) = self.channel_of(published.audience()) else { return Ok(()) };
        let Some(lost) = self.topics.lost_by(channel, &NewEntry::of(published)) else {
            return Ok(());
        };
        let patience = self.patience_with(published.audience());
        let has_room = |key: &Key| {
            let session = self.sessions.get(*key);
            let untaken = session.and_then(|one| Untaken::of(one, channel, &self.topics));
            untaken.is_none_or(|one| {
                one.cursor() >= lost || self.sessions.stalls_at(*key, one, patience) <= now
            })
        };
        if sessions.iter().all(has_room) { Ok(()) } else { Err(PublishError::NoRoom) }
    }

    /// Ends the waits for a session that was polled, or lets them look again.
    #[cold]
    pub(super) fn note_progress(&mut self, key: Key) {
        let now = self.clock.now();
        let house = &mut House::new(&mut self.sessions, &self.topics, &self.clients);
        self.publishers.handle_progress(now, key, house);
    }

    /// Passes over the sessions that have stalled for those who wait.
    pub(super) fn handle_patience(&mut self, now: Tick) {
        let house = &mut House::new(&mut self.sessions, &self.topics, &self.clients);
        self.publishers.handle_timeout(now, house);
    }

    /// Records that a session hears a channel.
    pub(super) fn note_reader(&mut self, key: Key, channel: u32) {
        let house = House::new(&mut self.sessions, &self.topics, &self.clients);
        self.publishers.join(key, channel, &house);
    }

    /// Records that a session hears these channels no more.
    pub(super) fn note_leave(&mut self, key: Key, channels: impl Iterator<Item = u32>) {
        let now = self.clock.now();
        let house = &mut House::new(&mut self.sessions, &self.topics, &self.clients);
        self.publishers.leave(now, key, channels, house);
    }

    /// Returns the channel for an audience, if something was published to it or somebody hears it.
    fn channel_of(&self, audience: &Audience) -> Option<u32> {
        match audience {
            Audience::Everyone => Some(self.topics.everyone()),
            Audience::Topic(name) => self.topics.named(name),
            Audience::Client(id) => self.clients.get(id).map(Client::channel),
            Audience::Session(id) => self.sessions.by_id(*id)?.own().map(Subscription::channel),
        }
    }

    /// Returns the sessions of an audience that has few.
    fn few(&self, audience: &Audience) -> Option<Crowd> {
        match audience {
            Audience::Everyone | Audience::Topic(_) => None,
            Audience::Client(id) => self.clients.key_of(id).map(Crowd::Client),
            Audience::Session(id) => self.sessions.key_of(*id).map(Crowd::Session),
        }
    }

    /// Returns for how long a session counts that takes nothing. Where it is the only one, nobody
    /// else waits for what is published, and it ends by the stall timeout.
    fn patience_with(&self, audience: &Audience) -> Tick {
        match audience {
            Audience::Session(_) => Tick::MAX,
            _ => ticks(self.config.pace.patience),
        }
    }
}
