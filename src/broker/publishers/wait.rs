//! One wait: for whom, up to which position, and for which session now.

use super::readers::AllReaders;
use crate::broker::arena::Key;
use crate::broker::clients::{Client, Clients};
use crate::broker::clock::{NEVER, Tick, ticks};
use crate::broker::config::Pace;
use crate::broker::sequence::Audience;
use crate::broker::sessions::{PARDONS, Sessions, Untaken};
use crate::broker::topics::Topics;
use alloc::vec::Vec;
use core::fmt;

/// The id of one wait of publishers at one broker. No other wait of the same broker ever has it.
///
/// Publishers that wait for the same have the same wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId(Key);

impl WaitId {
    pub(crate) const fn new(key: Key) -> Self {
        Self(key)
    }
}

impl fmt::Display for WaitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.slot(), self.0.generation())
    }
}

/// The rooms in which a wait looks.
pub(crate) struct House<'a> {
    pub(super) sessions: &'a mut Sessions,
    pub(super) topics: &'a Topics,
    pub(super) clients: &'a Clients,
}

impl<'a> House<'a> {
    pub(crate) const fn new(
        sessions: &'a mut Sessions,
        topics: &'a Topics,
        clients: &'a Clients,
    ) -> Self {
        Self { sessions, topics, clients }
    }
}

/// What a publisher waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// That somebody takes something.
    Room { patience: Tick },
    /// That all are within this.
    Pace(Pace),
}

impl Need {
    fn patience(self) -> Tick {
        match self {
            Self::Room { patience } => patience,
            Self::Pace(pace) => ticks(pace.patience),
        }
    }
}

impl From<&Pace> for Need {
    fn from(pace: &Pace) -> Self {
        Self::Pace(*pace)
    }
}

/// Those for whom a publisher waits.
#[derive(Debug)]
pub(crate) enum Crowd {
    /// One session, with its own channel.
    Session(Key),
    /// The sessions of one client, with the client's channel.
    Client(Key),
    /// All who hear one of these channels, of which some have been looked at.
    Channels(Walk),
}

/// How far a look at the readers of some channels has come.
#[derive(Debug)]
pub(crate) struct Walk {
    channels: Vec<u32>,
    /// Which channel is looked at,
    at: usize,
    /// after which of its readers,
    after: Option<Key>,
    /// and how often a reader that had got less had come to it when that began.
    lowered: Option<u64>,
}

impl Walk {
    pub(super) fn channels(&self) -> &[u32] {
        &self.channels
    }
}

/// Whether a session that is silent is forgiven that the driver paused meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) enum Forgives {
    Pauses,
    Nothing,
}

/// How a session stands to a wait.
enum Standing {
    Through,
    Behind { place: u64, deadline: Tick },
    Stalled,
}

impl Standing {
    fn of(
        now: Tick,
        session: Key,
        channel: u32,
        target: u64,
        need: Need,
        forgives: Forgives,
        house: &House<'_>,
    ) -> Self {
        let state = house.sessions.get(session);
        let untaken = state.and_then(|session| Untaken::of(session, channel, house.topics));
        match untaken {
            Some(untaken) if untaken.place() < target => {
                let deadline = match forgives {
                    Forgives::Pauses => house.sessions.stalls_at(session, untaken, need.patience()),
                    Forgives::Nothing => untaken.since().saturating_add(need.patience()),
                };
                if deadline <= now {
                    Self::Stalled
                } else {
                    Self::Behind { place: untaken.place(), deadline }
                }
            }
            _ => Self::Through,
        }
    }
}

impl Crowd {
    pub(crate) const fn readers(channels: Vec<u32>) -> Self {
        Self::Channels(Walk { channels, at: 0, after: None, lowered: None })
    }

    /// Returns the session of a few that is the furthest behind the target and counts, with the time
    /// when it stalls.
    pub(super) fn first_behind(
        &self,
        now: Tick,
        target: u64,
        need: Need,
        forgives: Forgives,
        house: &House<'_>,
    ) -> Option<(Key, Tick)> {
        let one;
        let (channel, sessions) = match self {
            Self::Session(session) => {
                one = [*session];
                let own = house.sessions.get(*session)?.own()?;
                (own.channel(), &one[..])
            }
            Self::Client(client) => {
                let client: &Client = house.clients.at(*client)?;
                (client.channel(), client.sessions())
            }
            Self::Channels(_) => return None,
        };
        let behind = sessions.iter().filter_map(|&session| {
            match Standing::of(now, session, channel, target, need, forgives, house) {
                Standing::Behind { place, deadline } => Some((place, session, deadline)),
                Standing::Through | Standing::Stalled => None,
            }
        });
        behind.min().map(|(_, session, deadline)| (session, deadline))
    }
}

impl Walk {
    /// Goes on to the next session that is behind the target and counts, with the time when it
    /// stalls. Those that have stalled are passed over.
    fn go_on(
        &mut self,
        now: Tick,
        target: u64,
        need: Need,
        forgives: Forgives,
        readers: &mut AllReaders,
        house: &mut House<'_>,
    ) -> Option<(Key, Tick)> {
        while let Some(&channel) = self.channels.get(self.at) {
            // Where all have left, nobody is behind.
            if let Some(readers) = readers.of(channel) {
                let before = *self.lowered.get_or_insert(readers.lowered());
                for session in readers.after(self.after) {
                    match Standing::of(now, session, channel, target, need, forgives, house) {
                        Standing::Through => {}
                        Standing::Behind { deadline, .. } => return Some((session, deadline)),
                        Standing::Stalled => {
                            if let Some(session) = house.sessions.get_mut(session) {
                                session.extras_mut().pass_over();
                            }
                        }
                    }
                    self.after = Some(session);
                }
                if readers.lowered() != before {
                    // Somebody came that may be behind, perhaps to where this has been already.
                    (self.after, self.lowered) = (None, None);
                    continue;
                }
                readers.reach(need.patience(), target);
            }
            self.at += 1;
            (self.after, self.lowered) = (None, None);
        }
        None
    }
}

#[derive(Debug)]
pub(super) struct Wait {
    subject: (Audience, Need),
    crowd: Crowd,
    /// Through which position all have to be.
    target: u64,
    laggard: Option<Key>,
    /// When its timer comes up.
    armed: Tick,
    /// How often its timer came up that the driver slept through.
    slept_through: u8,
}

impl Wait {
    pub(super) const fn new(subject: (Audience, Need), crowd: Crowd, target: u64) -> Self {
        Self { subject, crowd, target, laggard: None, armed: NEVER, slept_through: 0 }
    }

    pub(super) const fn subject(&self) -> &(Audience, Need) {
        &self.subject
    }

    pub(super) const fn is_for_room(&self) -> bool {
        matches!(self.subject.1, Need::Room { .. })
    }

    /// Returns the next session for which it is to wait, and until when; `None`: for nobody.
    pub(super) fn next_laggard(
        &mut self,
        now: Tick,
        readers: &mut AllReaders,
        house: &mut House<'_>,
    ) -> Option<(Key, Tick)> {
        let need = self.subject.1;
        let forgives =
            if self.slept_through <= PARDONS { Forgives::Pauses } else { Forgives::Nothing };
        match &mut self.crowd {
            Crowd::Channels(walk) => walk.go_on(now, self.target, need, forgives, readers, house),
            few => few.first_behind(now, self.target, need, forgives, house),
        }
    }

    pub(super) const fn set_laggard(&mut self, session: Key) {
        self.laggard = Some(session);
    }

    pub(super) const fn take_laggard(&mut self) -> Option<Key> {
        self.laggard.take()
    }

    /// Sets when the timer comes up, if that is sooner than before. Returns whether it is.
    pub(super) const fn arm(&mut self, at: Tick) -> bool {
        let is_sooner = at < self.armed;
        if is_sooner {
            self.armed = at;
        }
        is_sooner
    }

    /// Returns whether the timer that came up is the one that counts, which it does once.
    pub(super) const fn disarm(&mut self, at: Tick) -> bool {
        let is_current = self.armed == at;
        if is_current {
            self.armed = NEVER;
        }
        is_current
    }

    /// Records that the driver slept through its timer. After a few times that is forgiven no more,
    /// so that a publisher does not wait for ever behind a driver that is late each time.
    pub(super) const fn was_slept_through(&mut self) {
        self.slept_through = self.slept_through.saturating_add(1);
    }

    pub(super) const fn is_armed_for(&self, at: Tick) -> bool {
        self.armed == at
    }
}
