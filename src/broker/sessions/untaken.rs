//! What a session has yet to take of one channel, and since when.

use super::session::Session;
use crate::broker::clock::Tick;
use crate::broker::topics::Topics;

/// Where the first event is that a session has not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Untaken {
    cursor: u64,
    place: u64,
    since: Tick,
}

impl Untaken {
    /// Looks what a session has yet to take of a channel; `None` for nothing, and for a session
    /// that does not hear the channel.
    pub(crate) fn of(session: &Session, channel: u32, topics: &Topics) -> Option<Self> {
        let (number, _) = session.channels().find(|(_, one)| *one == channel)?;
        if session.is_ahead() && session.own().is_none_or(|own| own.channel() != channel) {
            // What it is to get is not known yet.
            return None;
        }
        let (cursor, view) = (session.subscription(number)?.cursor(), topics.view(channel)?);
        let limit = session.extras().limit(number);
        if cursor >= view.end().min(limit) {
            return None;
        }
        let (place, at) = match view.get(cursor) {
            // What there was for it before its end was superseded, and is gone.
            Some((next, _)) if next >= limit => return None,
            Some((_, entry)) => (entry.position() - 1, entry.at()),
            // What is lost to it was there before anything else.
            None => (0, 0),
        };
        // Its driver may not have heard yet that there is something.
        Some(Self { cursor, place, since: session.polled_at().max(at) })
    }

    /// Returns the cursor of that event.
    pub(crate) const fn cursor(self) -> u64 {
        self.cursor
    }

    /// Returns through which position the session has got everything.
    pub(crate) const fn place(self) -> u64 {
        self.place
    }

    /// Returns since when the session has had something to take and took nothing.
    pub(crate) const fn since(self) -> Tick {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::config::BrokerConfig;
    use crate::broker::event::EndReason;
    use crate::broker::sequence::Epoch;
    use crate::broker::sessions::{Ending, Subscription};
    use crate::broker::topics::{NewEntry, ReadyQueue};

    /// A channel with events at the positions 10, 20 and 30, published at these times, of which it
    /// keeps the last two.
    fn topics() -> Topics {
        let mut config = BrokerConfig::new(Epoch(1));
        config.retention.events = 2.try_into().unwrap();
        let mut topics = Topics::new(&config.limits, config.retention, config.private_retention);
        let (everyone, mut ready) = (topics.everyone(), ReadyQueue::default());
        for position in [10, 20, 30] {
            let new = NewEntry::sample(position, "x", "");
            topics.append(position, everyone, new, &mut ready).unwrap();
        }
        topics
    }

    fn session(topics: &Topics, cursor: u64) -> Session {
        let subscription = Subscription::new(topics.everyone(), cursor);
        Session::new(0, None, alloc::vec![subscription])
    }

    #[test]
    fn a_session_has_got_everything_before_the_first_event_that_it_has_not_taken() {
        let topics = topics();
        let of = |cursor| Untaken::of(&session(&topics, cursor), topics.everyone(), &topics);
        assert_eq!(of(3), None);
        assert_eq!(of(2), Some(Untaken { cursor: 2, place: 29, since: 30 }));
        assert_eq!(
            of(0),
            Some(Untaken { cursor: 0, place: 0, since: 0 }),
            "what it waits for is lost"
        );
        assert_eq!(Untaken::of(&session(&topics, 0), 7, &topics), None, "it does not hear that");
    }

    #[test]
    fn a_session_stalls_from_when_it_had_something_or_took_something_last() {
        let topics = topics();
        let mut session = session(&topics, 1);
        let since =
            |session: &Session| Untaken::of(session, topics.everyone(), &topics).unwrap().since();
        assert_eq!(since(&session), 20);
        session.handle_progress(50);
        assert_eq!(since(&session), 50);
    }

    #[test]
    fn what_superseded_the_last_event_before_the_end_of_a_session_is_not_for_it() {
        let mut config = BrokerConfig::new(Epoch(1));
        config.retention.events = 1.try_into().unwrap();
        config.retention.compact = true;
        let mut topics = Topics::new(&config.limits, config.retention, config.private_retention);
        let (everyone, mut ready) = (topics.everyone(), ReadyQueue::default());
        let mut append = |topics: &mut Topics, position| {
            let new = NewEntry::sample(position, "x", "key");
            topics.append(position, everyone, new, &mut ready).unwrap();
        };
        append(&mut topics, 10);
        let mut session = session(&topics, 0);
        session.extras_mut().set_ending(Ending::new(EndReason::Closed, 10, alloc::vec![1]));
        append(&mut topics, 20);
        assert_eq!(Untaken::of(&session, everyone, &topics), None);
    }

    #[test]
    fn what_comes_after_the_end_of_a_session_is_not_for_it() {
        let topics = topics();
        let mut session = session(&topics, 2);
        session.extras_mut().set_ending(Ending::new(EndReason::Closed, 20, alloc::vec![2]));
        assert_eq!(Untaken::of(&session, topics.everyone(), &topics), None);
    }
}
