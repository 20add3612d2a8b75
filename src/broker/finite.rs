//! Topics that end: what their sessions get, and for how long the end is remembered.

use super::Broker;
use super::clock::{Tick, ticks};
#[cfg(doc)]
use super::config::StartAt;
use super::error::PublishError;
use super::log::Log;
use super::matched::View;
use super::names::TopicName;
use super::resume::Cursors;
use super::sequence::{EventIds, Published, Topic};
use super::state::{Ended, NEVER, TopicState};
use super::{OpenError, SessionRequest};
use crate::encode::Frame;
use alloc::boxed::Box;
use alloc::vec::Vec;
use std::time::Instant;

impl Broker {
    /// Ends a topic: nothing more can be published to it.
    ///
    /// What it keeps goes out as before. A session
    /// [without the broadcast](SessionRequest::without_broadcast) ends with
    /// [`EndReason::TopicsEnded`](super::EndReason::TopicsEnded) when it has what is left and all
    /// its topics have ended. Whoever comes back gets the rest, and once there is none, is refused
    /// with [`OpenError::TopicsEnded`], for which an HTTP answer is 204: an `EventSource` then asks
    /// no more. So an answer that is streamed once survives a lost connection, and a reload of the
    /// page with [`StartAt::Oldest`]. Where the broker [makes no ids](super::EventIds::Own), whoever
    /// could only be told that it may have missed something is refused as well: there is no place
    /// to tell it, and it would come back for ever.
    ///
    /// The end is remembered for the age of the topic's [`Retention`](super::Retention), but of no
    /// more than [`BrokerConfig::max_ended_topics`](super::BrokerConfig::max_ended_topics) topics,
    /// and as long as anything subscribes to it or is kept. After that its name is that of a new
    /// topic. Ending a topic that does not exist is remembered as well. The end takes a position as
    /// an event does; other shards [`apply`](Self::apply) it.
    ///
    /// ```
    /// use sansse::broker::{Broker, BrokerConfig, Epoch, OpenError, SessionRequest, TopicName};
    /// use sansse::broker::{EndReason, StartAt, Transmit};
    /// use sansse::Event;
    /// # let now = std::time::Instant::now();
    /// # let mut broker = Broker::new(now, BrokerConfig::new(Epoch(1)))?;
    /// let answer = TopicName::new("answer/42")?;
    /// broker.publish(now, answer.clone(), &Event::new("forty-two"))?;
    /// broker.end_topic(now, &answer)?;
    ///
    /// let request = SessionRequest::new().without_broadcast().with_topic(answer);
    /// let session = broker.open(now, request.clone().with_start(StartAt::Oldest))?.session;
    /// let Some(Transmit::Frame(frame)) = broker.poll_transmit(now, session) else { panic!() };
    /// assert_eq!(frame.payload(), "id: 1-1\ndata: forty-two\n\n");
    /// let end = Some(Transmit::End(Some(EndReason::TopicsEnded)));
    /// assert_eq!(broker.poll_transmit(now, session), end);
    /// // The browser comes back with the id of what it got, and there is no more.
    /// let last = sansse::LastEventId::from_header(b"1-1");
    /// let again = broker.open(now, request.with_last_event_id(last));
    /// assert_eq!(again.unwrap_err(), OpenError::TopicsEnded);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PublishError`]; then nothing was done.
    pub fn end_topic(
        &mut self,
        now: Instant,
        topic: &TopicName,
    ) -> Result<Published, PublishError> {
        let now = self.clock.advance(now);
        self.check_addressee(&Topic::Named(topic.clone()))?;
        let mut sequencer = self.sequencer.clone();
        let published = sequencer.end_topic(topic.clone());
        self.append(now, &published)?;
        self.sequencer = sequencer;
        Ok(published)
    }

    /// Whether the topic was ended, and that is remembered.
    pub fn has_ended(&self, topic: &TopicName) -> bool {
        let slot = self.topic_slots.get(topic);
        slot.and_then(|slot| self.topics.at(*slot)).is_some_and(TopicState::has_ended)
    }

    pub(super) fn append_end(
        &mut self,
        now: Tick,
        name: &TopicName,
        position: u64,
    ) -> Result<(), PublishError> {
        let slot = self.topic_slot(name).ok_or(PublishError::TooManyTopics)?;
        let Some(topic) = self.topics.at_mut(slot) else { return Ok(()) };
        if topic.has_ended() {
            return Err(PublishError::TopicEnded);
        }
        let retention = topic.retention.as_ref().unwrap_or(&self.config.retention);
        let until = retention.age.map_or(NEVER, |age| now.saturating_add(ticks(age)));
        topic.ended = Some(Box::new(Ended { position, until: Some(until) }));
        self.ready.push_list(&mut topic.parked);
        self.ended.insert(position, slot);
        self.arm_topic(slot);
        while self.ended.len() > self.config.max_ended_topics as usize
            && let Some((_, &slot)) = self.ended.first_key_value()
        {
            self.forget_end(slot);
            self.release_topic(slot);
        }
        Ok(())
    }

    /// Forgets that the topic has ended as soon as nobody has it any more.
    pub(super) fn forget_end(&mut self, slot: u32) {
        if let Some(ended) = self.topics.at_mut(slot).and_then(|topic| topic.ended.as_mut()) {
            ended.until = None;
            self.ended.remove(&ended.position);
        }
    }

    /// Whether there is nothing to come for such a session, nor anything left.
    pub(super) fn check_ended(&self, request: &SessionRequest) -> Result<(), OpenError> {
        if !request.is_without_broadcast()
            || request.topics().is_empty()
            || !request.patterns().is_empty()
        {
            return Ok(());
        }
        let slot = |name| self.topic_slots.get(name).copied();
        let slots: Option<Vec<u32>> = request.topics().iter().map(slot).collect();
        let Some(slots) = slots else { return Ok(()) };
        if !slots.iter().all(|slot| self.topics.at(*slot).is_some_and(TopicState::has_ended)) {
            return Ok(());
        }
        // As it would be for a client that is new here, or was forgotten.
        let unknown = Log::new(self.forgotten_clients);
        let client = request
            .client()
            .map(|id| View::Log(self.client(id).map_or(&unknown, |client| &client.log)));
        let (resume, cursors) =
            self.resume(request.last_event_id(), request.start(), &slots, client);
        let is_left = match self.sequencer.ids() {
            EventIds::Assigned => resume.replayed() > 0 || resume.may_miss(),
            // Nobody can tell it a place, so that without an event it would come back for ever.
            EventIds::Own => self
                .last_of(&slots, client, &cursors, |frame| has_field(frame, b"data: "))
                .is_some(),
        };
        if is_left { Ok(()) } else { Err(OpenError::TopicsEnded) }
    }

    /// Whether what is replayed ends with something that brings no id, as a comment does. Who gets
    /// that last is to be told its place, or it would come back for the same when its topics have
    /// ended.
    pub(super) fn ends_without_id(
        &self,
        topics: &[u32],
        client: Option<View<'_>>,
        cursors: &Cursors,
    ) -> bool {
        self.sequencer.ids() == EventIds::Assigned
            && self
                .last_of(topics, client, cursors, |_| true)
                .is_some_and(|frame| !has_field(frame, b"id: "))
    }

    /// The newest of what is replayed and is such.
    fn last_of<'a>(
        &'a self,
        topics: &[u32],
        client: Option<View<'a>>,
        cursors: &Cursors,
        is_such: impl Fn(&Frame) -> bool,
    ) -> Option<&'a Frame> {
        let views = topics.iter().filter_map(|&slot| self.topics.at(slot));
        let views = views.map(|topic| topic.view(&self.topics)).zip(cursors.topics.iter().copied());
        let client = client.map(|view| (view, cursors.client));
        let newest = views.chain(client).filter_map(|(view, cursor)| {
            view.find_last_from(cursor, |entry| entry.frame().is_some_and(&is_such))
        });
        newest.max_by_key(|entry| entry.position)?.frame()
    }
}

fn has_field(frame: &Frame, field: &[u8]) -> bool {
    frame.as_ref().split(|byte| *byte == b'\n').any(|line| line.starts_with(field))
}
