//! What a broker tells those who watch it: its events, and who is here.

use super::kit::millis;
use super::world::{World, same};
use sansse::broker::*;
use std::fmt::Write as _;

/// One who keeps track from outside.
#[derive(Debug, Default)]
pub(super) struct Watch {
    roster: Roster,
    /// Where the next page begins, if there is one.
    after: Option<ClientId>,
    is_complete: bool,
    /// How many events were polled.
    events: u64,
    /// How many events of sessions were superseded, as these events say.
    superseded: u64,
}

impl World {
    /// What happened in one call happens in no order, but to each session and client it does.
    pub(super) fn check_events(&mut self) -> Result<(), String> {
        let of = |event: &BrokerEvent| match event {
            BrokerEvent::ClientJoined { client } | BrokerEvent::ClientLeft { client } => {
                (Some(client.clone()), None)
            }
            BrokerEvent::SessionOpened { session, .. }
            | BrokerEvent::SessionResumed { session, .. }
            | BrokerEvent::SessionSkipped { session, .. }
            | BrokerEvent::SessionSuperseded { session, .. }
            | BrokerEvent::LeaseExpiring { session, .. }
            | BrokerEvent::SessionEnded { session, .. } => (None, Some(*session)),
            BrokerEvent::Drained { .. } => (None, None),
            _ => unreachable!(),
        };
        let mut events = Vec::new();
        while let Some((number, event)) = self.broker.poll_event() {
            self.watch.events += 1;
            same(&(number.shard(), number.get()), &(self.shard(), self.watch.events))?;
            self.watch.roster.apply(number, &event).map_err(|error| error.to_string())?;
            events.push(event);
        }
        same(&self.broker.shard().last_event().get(), &self.watch.events)?;
        let _ = writeln!(self.transcript, "{events:?}");
        self.watch.superseded += events.iter().map(superseded).sum::<u64>();
        same(&self.broker.counters().superseded, &self.watch.superseded)?;
        self.check_roster()?;
        let mut expected = self.model.events();
        for events in [&mut events, &mut expected] {
            events.retain(|event| match event {
                BrokerEvent::SessionSuperseded { session, .. } => {
                    !self.model.inexact.contains(session)
                }
                _ => true,
            });
            events.sort_by_key(of);
        }
        same(&events, &expected)
    }

    /// Every page and all events together say who is here.
    fn check_roster(&self) -> Result<(), String> {
        if !self.watch.is_complete {
            return Ok(());
        }
        let known: Vec<_> =
            self.watch.roster.clients().map(|(id, count)| (id.clone(), count)).collect();
        same(&known, &self.model.roster())
    }

    pub(super) fn page(&mut self, limit: usize, anew: bool) -> Result<(), String> {
        if anew || self.watch.is_complete {
            self.watch.roster = Roster::new();
            (self.watch.after, self.watch.is_complete) = (None, false);
        }
        let after = self.watch.after.clone();
        let page = self
            .broker
            .presence_page(after.as_ref(), limit, |_, values| values.get::<u64>().copied());
        let _ = writeln!(self.transcript, "{page:?}");
        same(&page.as_of(), &self.broker.shard().last_event())?;
        let here = page.clients().iter();
        let here: Vec<_> =
            here.map(|one| (one.client.clone(), one.sessions, one.details)).collect();
        let expected = self.model.page(after.as_ref(), limit);
        same(&(here, page.is_last()), &expected)?;
        same(&page.next_cursor().is_none(), &page.is_last())?;
        self.watch.is_complete = page.is_last();
        self.watch.after = page.clients().last().map(|last| last.client.clone());
        // Once it is told who was here, it is not told again.
        self.watch.roster.apply_page(page.clone()).map_err(|error| error.to_string())?;
        let again = self.watch.roster.clone().apply_page(page);
        same(&again, &Err(RosterError::OutOfOrder))
    }

    /// Everybody takes what there is, and the broker closes.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        self.close()?;
        self.check_events()?;
        same(&self.broker.counters().sessions, &0)?;
        self.model.check_presence(&self.broker)?;
        self.model.check_counters(&self.broker)?;
        // The drivers of those that ended are told so, and time takes the rest away.
        self.serve()?;
        self.sleep(millis(1_000_000))?;
        self.check_events()?;
        same(&self.broker.poll_timeout(), &None)
    }
}

fn superseded(event: &BrokerEvent) -> u64 {
    match event {
        BrokerEvent::SessionSuperseded { superseded, .. } => *superseded,
        _ => 0,
    }
}
