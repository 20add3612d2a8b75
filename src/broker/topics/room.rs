//! Who hears a channel, how far behind they may be, and whether it has room for an event.

use super::channel::Channel;
use super::{Kind, Margin, NewEntry, Topics};
use crate::broker::config::Pace;
use alloc::vec::Vec;

impl Topics {
    /// Returns the channels by which sessions hear what is published to this one: itself, and the
    /// patterns in use that match it. Those without a subscriber are left out.
    pub(crate) fn heard_by(&self, slot: u32) -> Vec<u32> {
        let Some(channel) = self.channels.at(slot) else { return Vec::new() };
        let mut all = alloc::vec![slot];
        if let Some(name) = channel.name() {
            all.extend(self.patterns.matching(name));
        }
        all.into_iter()
            .filter(|slot| self.channels.at(*slot).is_some_and(Channel::has_subscribers))
            .collect()
    }

    /// Returns by how much the readers of a channel may be behind at this pace.
    pub(crate) fn margin(&self, slot: u32, pace: &Pace) -> Margin {
        Margin::new(pace, self.retention_of(slot), self.ledger.limit())
    }

    /// Returns whether a reader that has got everything through this position is within the bound.
    pub(crate) fn is_within(&self, slot: u32, through: u64, margin: Margin) -> bool {
        self.channels.at(slot).is_none_or(|channel| channel.log().is_within(through, margin))
    }

    /// Returns through which position a reader has to have got everything, to be within the bound.
    pub(crate) fn place_within(&self, slot: u32, margin: Margin) -> u64 {
        self.channels.at(slot).map_or(0, |channel| channel.log().place_within(margin))
    }

    /// Returns whether an event of a client's or a session's channel is lost.
    pub(crate) fn is_lost_in_private(&self, slot: u32, number: u64) -> bool {
        self.channels.at(slot).is_some_and(|channel| {
            matches!(channel.kind(), Kind::Client | Kind::Session) && number < channel.log().start()
        })
    }

    /// Returns the cursor after the newest event that the channel of a client or a session would
    /// lose by this one: since it keeps too much itself, or since all channels do and this is the
    /// one to give way. `None`: it loses nothing, or refuses the event anyway.
    pub(crate) fn lost_by(&self, slot: u32, new: &NewEntry) -> Option<u64> {
        let channel = self.channels.at(slot)?;
        debug_assert!(matches!(channel.kind(), Kind::Client | Kind::Session), "{slot} is public");
        self.check_size(new, &self.private_retention).ok()?;
        let log = channel.log();
        let gives_way = self.ledger.next_to_trim(new.size(), slot, log.footprint()) == Some(slot);
        let by_all = gives_way.then(|| log.lost_when_it_gives_way()).flatten();
        log.lost_by(new, &self.private_retention).max(by_all)
    }
}
