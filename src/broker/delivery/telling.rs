//! What a peer is told beside events: how its stream begins and goes on, its place, and the end.

use super::resumption::Beginning;
use crate::broker::admission::LastWords;
use crate::broker::sequence::{EventIds, Sequencer};
use crate::broker::sessions::Session;
use crate::encode::Frame;
use crate::event::{Event, EventType};
use crate::notice::Notice;
use alloc::borrow::Cow;
use core::time::Duration;

/// Says to one session, by [`Notice`]s of one type, what is no event. Without a type it tells no
/// place and no gap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Teller<'a> {
    event_type: Option<&'a EventType>,
    sequencer: &'a Sequencer,
}

impl<'a> Teller<'a> {
    /// Says it by notices of this type, or leaves them out.
    pub(crate) const fn new(event_type: Option<&'a EventType>, sequencer: &'a Sequencer) -> Self {
        Self { event_type, sequencer }
    }

    /// Says it as the session chose, or else by notices of the `usual` type.
    pub(crate) fn of(
        session: &'a Session,
        usual: Option<&'a EventType>,
        sequencer: &'a Sequencer,
    ) -> Self {
        Self::new(session.extras().notices(usual), sequencer)
    }

    /// Returns whether peers are told what they miss.
    pub(crate) const fn tells(self) -> bool {
        self.event_type.is_some()
    }

    /// Returns whether peers are told their places.
    pub(crate) fn tells_places(self) -> bool {
        self.tells() && self.sequencer.ids() == EventIds::Assigned
    }

    /// Returns what says this, at the position from which a peer resumes that got no more. `None`:
    /// it resumes from where it is.
    pub(crate) fn notice(self, notice: Notice, place: Option<u64>) -> Option<Frame> {
        self.frame(notice, place, |event| event)
    }

    /// Returns what a session gets before any event; `None` if there is nothing to say.
    ///
    /// It tells the peer its place. Without that, a peer that connects, loses the connection before
    /// the first event and comes back would miss what was published between, and neither side
    /// would know.
    ///
    /// It is compiled apart for sessions that begin when they are opened, which are most, and for those
    /// that begin late. So it becomes a part of what opens, and an open takes 2 % less.
    pub(crate) fn opening<const IS_LATE: bool>(
        self,
        beginning: &Beginning,
        comment: Option<&Cow<'static, str>>,
        retry: Option<Duration>,
    ) -> Option<Frame> {
        let with_rest = |mut event: Event| {
            if let Some(comment) = comment {
                event = event.with_comment(comment.clone());
            }
            if let Some(retry) = retry {
                event = event.with_retry(retry);
            }
            event
        };
        self.frame(beginning.notice(), beginning.place(), with_rest).or_else(|| {
            let event = with_rest(Event::empty());
            (event != Event::empty()).then(|| Frame::new(&event))
        })
    }

    /// Returns what a session gets last of all that ends at this position and is to come back;
    /// `None` if there is nothing to say.
    pub(crate) fn last_words(self, place: u64, words: &LastWords) -> Option<Frame> {
        let with_retry = |event: Event| match words.retry {
            Some(retry) => event.with_retry(retry),
            None => event,
        };
        let Some(event_type) = self.event_type else {
            let event = words.farewell.clone().or(words.retry.map(|_| Event::empty()))?;
            return Some(Frame::new(&with_retry(event)));
        };
        let ending = with_retry(Notice::Ending.to_event(event_type));
        let id = self.tells_places().then(|| self.sequencer.id_of(place));
        let farewell = words.farewell.iter().map(|farewell| (farewell, farewell.id()));
        Some(Frame::of_all(farewell.chain([(&ending, id.as_ref())])))
    }

    fn frame(
        self,
        notice: Notice,
        place: Option<u64>,
        with_rest: impl FnOnce(Event) -> Event,
    ) -> Option<Frame> {
        let event = with_rest(notice.to_event(self.event_type?));
        let id = place.filter(|_| self.tells_places()).map(|place| self.sequencer.id_of(place));
        Some(Frame::with_id(&event, id.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sequence::Epoch;
    use crate::notice::LossReason;

    const TYPE: EventType = Notice::EVENT_TYPE;

    fn sequencer(ids: EventIds) -> Sequencer {
        Sequencer::new(Epoch(1), 9, ids)
    }

    fn text(frame: Option<Frame>) -> alloc::string::String {
        let payload = frame.map(|frame| frame.payload().to_vec()).unwrap_or_default();
        alloc::string::String::from_utf8(payload).unwrap()
    }

    #[test]
    fn a_notice_has_the_id_of_its_place_where_there_are_places() {
        let assigned = sequencer(EventIds::Assigned);
        let told = text(Teller::new(Some(&TYPE), &assigned).notice(Notice::Place, Some(7)));
        assert!(told.starts_with("id: 1-7\nevent: sansse-notice\ndata: {"), "{told}");
        let gap = Notice::Gap { replayed: 0, lost: None, reason: LossReason::Lag };
        let told = text(Teller::new(Some(&TYPE), &assigned).notice(gap, None));
        assert!(told.starts_with("event: sansse-notice\n"), "{told}");
        let own = sequencer(EventIds::Own);
        let told = text(Teller::new(Some(&TYPE), &own).notice(gap, Some(7)));
        assert!(told.starts_with("event: sansse-notice\n"), "{told}");
        assert_eq!(Teller::new(None, &assigned).notice(gap, Some(7)), None);
    }

    #[test]
    fn the_reconnection_time_stands_with_data() {
        let assigned = sequencer(EventIds::Assigned);
        let retry = Some(Duration::from_millis(250));
        let words = LastWords { farewell: Some(Event::new("bye")), retry };
        assert_eq!(
            text(Teller::new(Some(&TYPE), &assigned).last_words(4, &words)),
            "data: bye\n\nretry: 250\nid: 1-4\nevent: sansse-notice\n\
             data: {\"stream\":\"ending\",\"replayed\":0,\"lost\":0,\"reason\":null}\n\n",
        );
        let plain = Teller::new(None, &assigned);
        assert_eq!(text(plain.last_words(4, &words)), "retry: 250\ndata: bye\n\n");
        let words = LastWords { farewell: None, retry };
        assert_eq!(text(plain.last_words(4, &words)), "retry: 250\n\n");
        assert_eq!(plain.last_words(4, &LastWords::default()), None);
    }
}
