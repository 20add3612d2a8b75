//! How a session begins: whether it may, with what topics, and at which place.

use super::clock::Tick;
use super::config::StartAt;
use super::error::OpenError;
use super::event::Resume;
use super::limits::Elsewhere;
use super::matched::View;
use super::sequence::{EventIds, IdMeaning};
use super::{Broker, SessionRequest};
use crate::encode::Frame;
use crate::event::{Event, EventId};
use crate::last_event_id::LastEventId;
use alloc::format;
use alloc::vec::Vec;

/// Where a new session's cursors stand.
#[derive(Debug)]
pub(super) struct Cursors {
    pub(super) topics: Vec<u64>,
    pub(super) client: u64,
    /// By the number of the subscription, how many events that match a pattern are gone after its
    /// cursor, of which the outcome tells.
    pub(super) gone: Vec<(u32, u64)>,
}

/// What a request's last event id comes to.
enum Wanted {
    Nothing,
    After(u64),
    Ahead,
    Unknown,
    OtherEpoch,
    Forged,
}

impl Broker {
    /// Whether a [normalized](SessionRequest::normalized) request can be opened.
    pub(super) fn check_open(
        &self,
        now: Tick,
        request: &SessionRequest,
        elsewhere: &Elsewhere,
    ) -> Result<(), OpenError> {
        if self.closed {
            return Err(OpenError::Closed);
        }
        // Before anything that tells of topics.
        self.check_permission(request)?;
        self.check_ended(request)?;
        if self.is_draining() {
            return Err(OpenError::Draining);
        }
        self.check_room(request, elsewhere)?;
        let unread = self.events.len().max(self.untold.len());
        if unread >= self.config.max_unread_events as usize {
            return Err(OpenError::UnreadEvents);
        }
        request.check()?;
        self.check_terms(now, request)?;
        let limit = self.config.max_topics_per_session;
        if request.topics().len() + request.patterns().len() > limit as usize {
            return Err(OpenError::TooManyTopicsOfSession { limit });
        }
        let new =
            request.topics().iter().filter(|name| !self.topic_slots.contains_key(*name)).count()
                + request.patterns().iter().filter(|one| self.patterns.get(one).is_none()).count();
        if !self.has_room_for_topics(new) {
            return Err(OpenError::TooManyTopics);
        }
        Ok(())
    }

    /// The broadcast, the named topics and the patterns, each with one subscriber more.
    pub(super) fn subscribe_all(&mut self, request: &SessionRequest) -> Vec<u32> {
        let mut slots = Vec::with_capacity(1 + request.topics().len() + request.patterns().len());
        if !request.is_without_broadcast() {
            slots.push(self.broadcast);
        }
        for name in request.topics() {
            slots.extend(self.topic_slot(name));
        }
        for pattern in request.patterns() {
            slots.extend(self.pattern_slot(pattern));
        }
        for &slot in &slots {
            if let Some(topic) = self.topics.at_mut(slot) {
                topic.subscribers += 1;
            }
        }
        slots
    }

    pub(super) fn resume(
        &self,
        last_event_id: &LastEventId,
        start: StartAt,
        topics: &[u32],
        client: Option<View<'_>>,
    ) -> (Resume, Cursors) {
        let topics: Vec<View<'_>> = topics
            .iter()
            .filter_map(|&slot| self.topics.at(slot))
            .map(|topic| topic.view(&self.topics))
            .collect();
        let logs = || topics.iter().copied().chain(client);

        let wanted = match last_event_id {
            LastEventId::Absent => Wanted::Nothing,
            LastEventId::Id(id) if id.as_str().is_empty() => Wanted::Nothing,
            LastEventId::Id(id) => {
                // Where topics share an id, the oldest place loses nothing.
                let own = logs().filter_map(|log| log.find(id)).min();
                own.map_or_else(|| self.wanted_position(id), Wanted::After)
            }
            LastEventId::Malformed => Wanted::Unknown,
        };
        let cursors = |place: &dyn Fn(View<'_>) -> u64| {
            let cursors: Vec<u64> = topics.iter().map(|topic| place(*topic)).collect();
            let gone = topics.iter().zip(&cursors).map(|(topic, &at)| topic.lost(at, u64::MAX));
            let gone = (0..).zip(gone).filter(|(_, gone)| *gone > 0).collect();
            Cursors { topics: cursors, client: client.map_or(0, place), gone }
        };
        let unresumable = || match self.config.unresumable {
            StartAt::Oldest => cursors(&|view| view.start()),
            StartAt::Newest => cursors(&|view| view.end()),
        };
        let (gap, cursors) = match wanted {
            Wanted::Nothing if start == StartAt::Oldest => {
                let cursors = cursors(&|view| view.start());
                return (Resume::Oldest { replayed: replayed(&topics, client, &cursors) }, cursors);
            }
            Wanted::Nothing => return (Resume::Live, cursors(&|view| view.end())),
            Wanted::After(position) => {
                let gap =
                    self.left_out > position || logs().any(|log| log.lost_through() > position);
                if gap && self.config.unresumable == StartAt::Newest {
                    (gap, unresumable())
                } else {
                    (gap, cursors(&|log| log.cursor_after(position)))
                }
            }
            Wanted::Forged => return (Resume::Forged, cursors(&|view| view.end())),
            // A forged place would gain nothing by its code if a nonsensical one were replayed to.
            Wanted::Unknown if self.sequencer.is_signing() => (true, cursors(&|view| view.end())),
            Wanted::Unknown | Wanted::Ahead | Wanted::OtherEpoch => (true, unresumable()),
        };
        let replayed = replayed(&topics, client, &cursors);
        let resume = match wanted {
            Wanted::Unknown => Resume::UnknownId { replayed },
            Wanted::Ahead => Resume::Ahead { replayed },
            Wanted::OtherEpoch => Resume::OtherEpoch { replayed },
            _ if gap => Resume::Gap { replayed },
            _ => Resume::Complete { replayed },
        };
        (resume, cursors)
    }

    fn wanted_position(&self, id: &EventId) -> Wanted {
        match self.sequencer.meaning_of(id) {
            IdMeaning::At(epoch, _) if epoch != self.sequencer.epoch() => Wanted::OtherEpoch,
            IdMeaning::At(_, position) if position > self.sequencer.last() => Wanted::Ahead,
            IdMeaning::At(_, position) => Wanted::After(position),
            IdMeaning::Unknown => Wanted::Unknown,
            IdMeaning::Forged => Wanted::Forged,
        }
    }

    /// What a session gets before any event; `None` if there is nothing to say.
    ///
    /// It tells the receiver its place wherever no event will do so at once. Without that, whoever
    /// connects, loses the connection before the first event and comes back would miss what was
    /// published between, and nobody could know.
    pub(super) fn opening_frame(&self, request: &SessionRequest, resume: Resume) -> Option<Frame> {
        let placed = resume.replayed() > 0 || matches!(resume, Resume::Complete { .. });
        let id = (!placed && self.sequencer.ids() == EventIds::Assigned)
            .then(|| self.sequencer.id_of(self.sequencer.last()));
        let announcement = request.announcement().map(|event_type| {
            let (outcome, replayed) = (resume.as_str(), resume.replayed());
            Event::new(format!(r#"{{"outcome":"{outcome}","replayed":{replayed}}}"#))
                .with_type(event_type.clone())
        });
        let comment = request.opening_comment().cloned();
        let retry = self.retry_in(self.sessions.next_slot());
        if announcement.is_none() && comment.is_none() && retry.is_none() && id.is_none() {
            return None;
        }
        let mut event = announcement.unwrap_or_else(Event::empty);
        if let Some(comment) = comment {
            event = event.with_comment(comment);
        }
        if let Some(retry) = retry {
            event = event.with_retry(retry);
        }
        Some(Frame::with_id(&event, id.as_ref()))
    }
}

/// How many events there are after the cursors; each once, though several patterns match it.
fn replayed(topics: &[View<'_>], client: Option<View<'_>>, cursors: &Cursors) -> u64 {
    let all = || topics.iter().copied().zip(cursors.topics.iter().copied());
    let client = client.map(|log| (log, cursors.client));
    if all().any(|(view, _)| matches!(view, View::Matched(..))) {
        let mut positions = Vec::new();
        for (view, cursor) in all().chain(client) {
            view.positions_from(cursor, &mut positions);
        }
        positions.sort_unstable();
        positions.dedup();
        return positions.len() as u64;
    }
    all().chain(client).map(|(view, cursor)| view.count_from(cursor)).sum()
}
