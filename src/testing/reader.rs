//! What a session's peer would read.

use crate::broker::EndReason;
use crate::decode::{Decoder, Limits, OwnedMessage, Step};
use crate::hub::{Answer, Cut, Session};
use crate::notice::Notice;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use futures_core::Stream;

/// Reads what a [`Session`] gets, as its peer would: each call takes what is there now, and never
/// waits.
///
/// A peer that takes nothing is a reader that is not asked. A peer that leaves is one that is
/// dropped. Whatever the session has, it is read in one go, so that messages, notices and comments
/// wait here until they are asked for.
#[derive(Debug)]
pub struct SessionReader {
    session: Session,
    decoder: Decoder,
    messages: Vec<OwnedMessage>,
    notices: Vec<Notice>,
    comments: Vec<String>,
    end: Option<Result<(), Cut>>,
}

impl SessionReader {
    /// Makes a reader of a session. Nothing is taken yet.
    pub fn new(session: Session) -> Self {
        // What a test publishes is never too long for it.
        let limits = Limits::DEFAULT
            .with_max_line(usize::MAX)
            .with_max_event(usize::MAX)
            .with_max_id(usize::MAX);
        Self {
            session,
            decoder: Decoder::new().with_limits(limits),
            messages: Vec::new(),
            notices: Vec::new(),
            comments: Vec::new(),
            end: None,
        }
    }

    /// Makes a reader of an answer's session, beside the answer's head.
    ///
    /// # Errors
    ///
    /// The answer itself, where it has no session.
    #[expect(clippy::result_large_err, reason = "a test unwraps it")]
    pub fn of(answer: Answer) -> Result<(http::Response<()>, Self), Answer> {
        match answer {
            Answer::Stream(head, session) => Ok((head, Self::new(session))),
            other => Err(other),
        }
    }

    /// Takes the messages that have come since this was last called, without the
    /// [`notices`](Self::notices).
    pub fn messages(&mut self) -> Vec<OwnedMessage> {
        self.read();
        mem::take(&mut self.messages)
    }

    /// Takes what the stream has said of itself since this was last called. Notices of a
    /// [type of the application's](crate::broker::SessionDefaults::notices) are messages here.
    pub fn notices(&mut self) -> Vec<Notice> {
        self.read();
        mem::take(&mut self.notices)
    }

    /// Takes the comments that have come since this was last called. A heartbeat is an empty one.
    pub fn comments(&mut self) -> Vec<String> {
        self.read();
        mem::take(&mut self.comments)
    }

    /// Returns the last event ID string, by which the peer would resume; empty if there is none. It
    /// takes what is there.
    pub fn last_event_id(&mut self) -> &str {
        self.read();
        self.decoder.last_event_id()
    }

    /// Returns the reconnection time that the peer was told; `None` if it was told none. It takes
    /// what is there.
    pub fn reconnection_time(&mut self) -> Option<Duration> {
        self.read();
        self.decoder.reconnection_time()
    }

    /// Returns whether the stream has ended. It takes what is there.
    pub fn is_over(&mut self) -> bool {
        self.read();
        self.end.is_some()
    }

    /// Returns why the session ended; `None` while it has not. It takes what is there.
    pub fn end_reason(&mut self) -> Option<EndReason> {
        self.read();
        self.session.end_reason()
    }

    /// Returns why the stream is cut off; `None` while it goes on, and after an end in good order. It
    /// takes what is there.
    pub fn cut(&mut self) -> Option<Cut> {
        self.read();
        self.end.and_then(Result::err)
    }

    /// Returns the session, such as for its [`id`](Session::id).
    pub const fn session(&self) -> &Session {
        &self.session
    }

    fn read(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        while self.end.is_none() {
            match Pin::new(&mut self.session).poll_next(&mut context) {
                Poll::Pending => return,
                Poll::Ready(None) => self.end = Some(Ok(())),
                Poll::Ready(Some(Err(cut))) => self.end = Some(Err(cut)),
                Poll::Ready(Some(Ok(frame))) => self.decoder.handle_data(&frame.payload()),
            }
            while let Some(step) = self.decoder.poll_step() {
                match step {
                    Step::Message => {
                        let message = self.decoder.message();
                        let is_notice = message.event_type() == Notice::EVENT_TYPE.as_str();
                        match is_notice.then(|| Notice::parse(message.data())).flatten() {
                            Some(notice) => self.notices.push(notice),
                            None => self.messages.push(message.into_owned()),
                        }
                    }
                    Step::Comment => self.comments.push(self.decoder.comment().to_owned()),
                    Step::Retry(_) | Step::Error(_) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::VirtualRuntime;
    use super::*;
    use crate::broker::{Audience, BrokerConfig, Epoch, SessionConfig};
    use crate::event::Event;
    use crate::hub::Hub;
    use crate::net::Runtime;
    use http::{Request, StatusCode};

    fn make(change: impl FnOnce(&mut BrokerConfig)) -> (Hub, VirtualRuntime) {
        let mut config = BrokerConfig::new(Epoch(0xbeef));
        change(&mut config);
        let runtime = VirtualRuntime::new();
        let (hub, drive) = Hub::new(runtime.clone(), config).unwrap();
        runtime.spawn(drive);
        (hub, runtime)
    }

    fn say(hub: &Hub, data: &'static str) {
        hub.publish(Audience::Everyone, &Event::new(data)).unwrap();
    }

    #[test]
    fn messages_comments_and_the_place_are_those_of_the_wire() {
        let (hub, runtime) = make(|config| config.reconnect.retry = Some(Duration::from_secs(7)));
        let mut reader = SessionReader::new(hub.open(SessionConfig::new()).unwrap());
        say(&hub, "one\ntwo");
        let messages = reader.messages();
        assert_eq!(messages.iter().map(|message| &*message.data).collect::<Vec<_>>(), ["one\ntwo"]);
        assert_eq!(reader.messages(), []);
        assert_eq!(reader.notices(), [Notice::Live]);
        assert_eq!(reader.last_event_id(), "beef-1");
        assert!(!reader.is_over());
        assert_eq!(reader.reconnection_time(), Some(Duration::from_secs(7)));

        runtime.advance(Duration::from_millis(14_999));
        assert!(reader.comments().is_empty());
        runtime.advance(Duration::from_millis(1));
        // A comment that was read with the messages waits until it is asked for.
        assert_eq!(reader.messages(), []);
        say(&hub, "three");
        assert_eq!(reader.comments(), [""]);
        assert_eq!(reader.messages()[0].data, "three");
    }

    #[test]
    fn the_end_comes_with_its_reason_and_dropping_it_is_a_peer_that_leaves() {
        let (hub, _) = make(|_| {});
        let mut reader = SessionReader::new(hub.open(SessionConfig::new()).unwrap());
        say(&hub, "last");
        hub.close_session(reader.session().id());
        assert_eq!(reader.end_reason(), Some(EndReason::Closed));
        assert_eq!((reader.messages().len(), reader.is_over(), reader.cut()), (1, true, None));

        let (hub, runtime) = make(|_| {});
        let other = SessionReader::new(hub.open(SessionConfig::new()).unwrap());
        let ended = hub.ended(other.session().id());
        drop(other);
        assert_eq!(runtime.run(ended), Some(Some(EndReason::Disconnected)));
    }

    #[test]
    fn a_stream_that_is_not_complete_is_cut() {
        let (hub, _) = make(|_| {});
        let mut reader = SessionReader::new(hub.open(SessionConfig::new()).unwrap());
        assert_eq!(reader.cut(), None);
        hub.abort();
        let cut = reader.cut().expect("it is not complete");
        assert_eq!((cut.reason(), reader.is_over()), (Some(EndReason::Aborted), true));
    }

    #[test]
    fn a_peer_that_takes_nothing_stalls_without_a_clock() {
        let (hub, runtime) = make(|config| {
            config.session.stall_timeout = Some(Duration::from_secs(60));
        });
        let stuck = hub.open(SessionConfig::new()).unwrap();
        let ended = hub.ended(stuck.id());
        say(&hub, "not taken");
        runtime.advance(Duration::from_secs(3600));
        assert_eq!(runtime.run(ended), Some(Some(EndReason::Stalled)));
    }

    #[test]
    fn an_answer_is_a_reader_with_a_head_or_the_response() {
        let (hub, _) = make(|_| {});
        let get = Request::get("/").body(()).unwrap();
        let (head, mut reader) = SessionReader::of(hub.accept(&get, SessionConfig::new())).unwrap();
        assert_eq!(head.status(), StatusCode::OK);
        assert!(!reader.is_over());
        let put = Request::put("/").body(()).unwrap();
        let refusal = SessionReader::of(hub.accept(&put, SessionConfig::new())).unwrap_err();
        let Answer::Response(response) = refusal else { panic!("{refusal:?}") };
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
