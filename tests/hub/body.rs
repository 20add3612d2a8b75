//! A session, and any answer, as the body of a response in an HTTP stack of one's own.

use super::driving::pass;
use super::kit::time::VirtualTimer;
use super::tasks::{Driver, Probe};
use super::{config, driven, hub, hub_of, say, seconds, topic};
use allocation_counter::measure;
use bytes::Bytes;
use http_body::Body;
use sansse::answer::AnswerError;
use sansse::broker::{Audience, EndReason, SessionConfig};
use sansse::hub::{Answer, BodyError, Cut, ResponseBody, Session};
use sansse::{Event, Fault, Hub};
use std::fmt::Debug;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a body waits before an error.
const REST: Duration = Duration::from_millis(100);

fn poll<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
    probe: &Probe,
) -> Poll<Option<Result<Bytes, B::Error>>> {
    let frame = Pin::new(body).poll_frame(&mut Context::from_waker(&probe.waker()));
    frame.map(|frame| {
        frame.map(|frame| {
            frame.map(|frame| frame.into_data().unwrap_or_else(|_| panic!("trailers")))
        })
    })
}

/// All that is there now, one item a frame of the body.
fn read<B: Body<Data = Bytes, Error: Debug> + Unpin>(body: &mut B, probe: &Probe) -> Vec<Bytes> {
    let mut items = Vec::new();
    while let Poll::Ready(Some(item)) = poll(body, probe) {
        items.push(item.unwrap());
    }
    items
}

/// A session that has taken how its stream begins.
fn begun(hub: &Hub, probe: &Probe) -> Session {
    let mut session = hub.open(SessionConfig::new()).unwrap();
    assert_eq!(read(&mut session, probe).len(), 1);
    session
}

#[test]
fn what_is_pending_together_is_one_frame_without_chunks_around_it() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = begun(&hub, &probe);
    for text in ["a", "b", "c"] {
        say(&hub, text);
    }
    let items = read(&mut session, &probe);
    assert_eq!(items.len(), 1);
    let text = std::str::from_utf8(&items[0]).unwrap();
    assert_eq!(text, "id: beef-1\ndata: a\n\nid: beef-2\ndata: b\n\nid: beef-3\ndata: c\n\n");
    assert!(!session.is_end_stream());
    assert_eq!(session.size_hint().exact(), None);
}

#[test]
fn what_is_pending_beyond_the_limit_is_in_several_frames_in_order() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = begun(&hub, &probe);
    for number in 0..200 {
        say(&hub, format!("{number} {}", "x".repeat(1_000)));
    }
    let items = read(&mut session, &probe);
    assert!((4..8).contains(&items.len()), "{}", items.len());
    assert!(items.iter().all(|item| item.len() <= 64 << 10));
    let joined = String::from_utf8(items.concat()).unwrap();
    let numbers = joined.lines().filter_map(|line| line.strip_prefix("data: "));
    let numbers: Vec<usize> =
        numbers.map(|data| data.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.into_iter().eq(0..200));
}

#[test]
fn a_frame_that_is_alone_or_large_is_shared_by_all_bodies_and_not_copied() {
    let (hub, probe) = (hub(), Probe::new());
    for length in [10, 100_000] {
        let mut sessions = [(); 2].map(|()| begun(&hub, &probe));
        say(&hub, "x".repeat(length));
        let [first, second] =
            sessions.each_mut().map(|session| read(session, &probe).pop().unwrap());
        assert_eq!(first.as_ptr(), second.as_ptr());
    }
}

#[test]
fn a_large_frame_between_small_ones_is_not_copied_and_stays_in_its_place() {
    let (hub, probe) = (hub(), Probe::new());
    let mut sessions = [(); 2].map(|()| begun(&hub, &probe));
    let large = "x".repeat(20_000);
    for text in ["a", "b", &large, "c", "d"] {
        say(&hub, text);
    }
    let [first, second] = sessions.each_mut().map(|session| read(session, &probe));
    assert_eq!(first, second);
    assert_eq!(first.len(), 3);
    assert_eq!(first[1].as_ptr(), second[1].as_ptr());
    assert_ne!(first[0].as_ptr(), second[0].as_ptr());
}

#[test]
fn joining_allocates_once_and_a_single_frame_not_at_all() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = begun(&hub, &probe);
    let waker = probe.waker();
    let mut context = Context::from_waker(&waker);
    // The first round makes the thread's buffer.
    for (round, allocations) in [(64, None), (64, Some(1)), (1, Some(0)), (64, Some(1))] {
        for _ in 0..round {
            say(&hub, "x".repeat(100));
        }
        let mut item = None;
        let used = measure(|| item = Some(Pin::new(&mut session).poll_frame(&mut context)));
        assert!(matches!(item, Some(Poll::Ready(Some(Ok(_))))));
        if let Some(allocations) = allocations {
            assert_eq!(used.count_total, allocations, "{round} frames");
        }
        assert!(Pin::new(&mut session).poll_frame(&mut context).is_pending());
    }
}

#[test]
fn a_body_that_waits_is_woken_once_when_there_is_more() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = begun(&hub, &probe);
    assert_eq!(probe.take_wakes(), 0);
    say(&hub, "a");
    say(&hub, "b");
    assert_eq!(probe.take_wakes(), 1);
    assert_eq!(read(&mut session, &probe).len(), 1);
}

#[test]
fn a_complete_stream_ends_the_body_in_good_order() {
    let (hub, probe) = (hub(), Probe::new());
    let config = SessionConfig::new().with_topic(topic("t")).topics_only();
    let mut session = hub.open(config).unwrap();
    hub.publish(topic("t"), &Event::new("last")).unwrap();
    hub.end_topic(&topic("t")).unwrap();
    let items = read(&mut session, &probe);
    assert!(std::str::from_utf8(&items.concat()).unwrap().contains("data: last\n"));
    assert_eq!(poll(&mut session, &probe), Poll::Ready(None));
    assert!(session.is_end_stream());
    assert_eq!(session.end_reason(), Some(EndReason::TopicsEnded));
}

#[test]
fn a_stream_that_is_cut_short_ends_the_body_by_an_error_once_its_last_bytes_could_go_out() {
    let (hub, timer) = hub_of(config());
    let probe = Probe::new();
    let mut session = begun(&hub, &probe);
    say(&hub, "last");
    hub.close();
    let Poll::Ready(Some(Ok(bytes))) = poll(&mut session, &probe) else { panic!("nothing") };
    assert!(std::str::from_utf8(&bytes).unwrap().contains("data: last\n"));
    while let Poll::Ready(item) = poll(&mut session, &probe) {
        item.unwrap().unwrap();
    }
    probe.take_wakes();
    timer.advance(REST / 2);
    assert!(poll(&mut session, &probe).is_pending());
    assert!(!session.is_end_stream());
    timer.advance(REST / 2);
    assert_eq!(probe.take_wakes(), 1);
    let Poll::Ready(Some(Err(cut))) = poll(&mut session, &probe) else { panic!("no error") };
    assert_eq!((cut.reason(), cut.fault()), (Some(EndReason::Shutdown), Fault::State));
    assert!(session.is_end_stream());
    assert_eq!(poll(&mut session, &probe), Poll::Ready(None));
}

#[test]
fn a_rest_that_ends_early_is_no_end_of_the_rest() {
    let (hub, timer) = hub_of(config());
    let probe = Probe::new();
    let mut session = begun(&hub, &probe);
    hub.close();
    while let Poll::Ready(item) = poll(&mut session, &probe) {
        item.unwrap().unwrap();
    }
    timer.end_sleeps_early();
    assert!(poll(&mut session, &probe).is_pending());
    timer.advance(REST);
    assert!(matches!(poll(&mut session, &probe), Poll::Ready(Some(Err(_)))));
}

#[test]
fn a_body_that_is_dropped_closes_its_session() {
    let (hub, probe) = (hub(), Probe::new());
    let request = http::Request::get("/").body(()).unwrap();
    let response = hub.accept(&request, SessionConfig::new()).into_response(VirtualTimer::new());
    let (head, mut body) = response.into_parts();
    assert_eq!(head.headers["content-type"], "text/event-stream");
    assert_eq!(read(&mut body, &probe).len(), 1);
    assert_eq!(hub.counters().sessions, 1);
    drop(body);
    assert_eq!(hub.counters().sessions, 0);
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_by_the_hub_and_its_body_ends_by_an_error() {
    let (hub, drive, timer) = driven(config());
    let (mut driver, probe) = (Driver::new(drive), Probe::new());
    let mut session = begun(&hub, &probe);
    say(&hub, "not taken");
    pass(&timer, &mut driver, seconds(61));
    assert_eq!(hub.counters().sessions, 0);
    // If the stack polls after all, it learns that something is missing.
    while let Poll::Ready(item) = poll(&mut session, &probe) {
        item.unwrap().unwrap();
    }
    timer.advance(REST);
    let Poll::Ready(Some(Err(cut))) = poll(&mut session, &probe) else { panic!("no error") };
    assert_eq!(cut.reason(), Some(EndReason::Stalled));
}

#[test]
fn a_plain_response_is_a_whole_body_with_its_length() {
    let probe = Probe::new();
    let request = http::Request::put("/").body(()).unwrap();
    let response = hub().accept(&request, SessionConfig::new()).into_response(VirtualTimer::new());
    let (head, mut body) = response.into_parts();
    assert_eq!(head.status, 405);
    let length = body.size_hint().exact().unwrap();
    assert!(!body.is_end_stream() && body.session().is_none());
    let items = read(&mut body, &probe);
    assert_eq!(items.concat().len() as u64, length);
    assert!(body.is_end_stream());
    assert!(ResponseBody::from(Bytes::new()).is_end_stream());
}

/// Events of an answer, all there at once.
struct Given(std::vec::IntoIter<Result<Event, &'static str>>);

impl futures_core::Stream for Given {
    type Item = Result<Event, &'static str>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next())
    }
}

#[test]
fn an_answer_of_events_is_a_body_that_ends_as_the_answer_does() {
    for fails in [false, true] {
        let (timer, probe) = (VirtualTimer::new(), Probe::new());
        let mut events = vec![Ok(Event::new("a")), Ok(Event::new("b"))];
        if fails {
            events.push(Err("secret"));
        }
        let answer = Answer::stream(Given(events.into_iter()));
        let mut body = answer.into_response(timer.clone()).into_body();
        let items = read(&mut body, &probe);
        assert!(items.concat().starts_with(b"data: a\n\ndata: b\n\n"), "{items:?}");
        timer.advance(REST);
        match poll(&mut body, &probe) {
            Poll::Ready(None) => assert!(!fails),
            Poll::Ready(Some(Err(BodyError::Answer(error)))) => {
                assert!(fails);
                assert_eq!(error, AnswerError::Failed { message: "secret".into() });
            }
            other => panic!("{other:?}"),
        }
        assert!(body.is_end_stream());
        assert!(matches!(poll(&mut body, &probe), Poll::Ready(None)));
    }
}

#[test]
fn an_error_of_a_body_says_what_it_is_of() {
    let (hub, timer) = hub_of(config());
    let probe = Probe::new();
    let mut body = ResponseBody::from(begun(&hub, &probe));
    hub.abort();
    let _ = poll(&mut body, &probe);
    timer.advance(REST);
    let Poll::Ready(Some(Err(error))) = poll(&mut body, &probe) else { panic!("no error") };
    assert!(matches!(error, BodyError::Cut(Cut { .. })));
    assert_eq!(error.fault(), Fault::State);
    assert!(error.to_string().starts_with("the event stream is cut off: "));
}

#[test]
fn a_poll_inside_of_a_poll_of_the_same_thread_is_none_of_the_outer_ones_business() {
    use super::tasks::Calling;
    use std::sync::{Arc, Mutex};
    let (hub, probe) = (hub(), Probe::new());
    let inner = Arc::new(Mutex::new(begun(&hub, &probe)));
    let mut outer = begun(&hub, &probe);
    let got = Arc::new(Mutex::new(Vec::new()));
    let (polled, taken) = (inner.clone(), got.clone());
    let waker = Arc::new(Calling(move || {
        let items = read(&mut *polled.lock().unwrap(), &Probe::new());
        taken.lock().unwrap().extend(items);
    }))
    .into();
    assert!(Pin::new(&mut outer).poll_frame(&mut Context::from_waker(&waker)).is_pending());
    hub.publish(Audience::Everyone, &Event::new("a")).unwrap();
    assert_eq!(got.lock().unwrap().len(), 1);
    assert_eq!(read(&mut outer, &probe).len(), 1);
}
