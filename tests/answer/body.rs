//! An answer as the body of a response, in an HTTP stack of one's own.

use super::kit::time::VirtualTimer;
use super::seconds;
use futures_core::Stream;
use sansse::answer::{AnswerBody, AnswerConfig, AnswerError, AnswerStream};
use sansse::hub::Answer;
use sansse::{Event, EventType, Fault, Frame};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

type Item = Result<Event, String>;

/// Events that a test brings, one by one.
#[derive(Clone, Default)]
struct Script {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    items: VecDeque<Option<Item>>,
    waker: Option<Waker>,
    polls: usize,
    is_dropped: bool,
}

struct Scripted(Script);

impl Script {
    fn bring(&self, items: impl IntoIterator<Item = Option<Item>>) {
        let waker = {
            let mut state = self.state.lock().unwrap();
            state.items.extend(items);
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    fn polls(&self) -> usize {
        self.state.lock().unwrap().polls
    }

    fn is_dropped(&self) -> bool {
        self.state.lock().unwrap().is_dropped
    }
}

impl Stream for Scripted {
    type Item = Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Item>> {
        let mut state = self.0.state.lock().unwrap();
        state.polls += 1;
        let Some(item) = state.items.pop_front() else {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        Poll::Ready(item)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().is_dropped = true;
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Stage {
    script: Script,
    timer: VirtualTimer,
    body: AnswerBody,
    wakes: Arc<Wakes>,
}

impl Stage {
    fn new(make: impl FnOnce(Scripted) -> AnswerStream) -> Self {
        let (script, timer) = (Script::default(), VirtualTimer::new());
        let body = make(Scripted(script.clone())).body(timer.clone());
        Self { script, timer, body, wakes: Arc::default() }
    }

    fn silent() -> Self {
        let config = AnswerConfig::DEFAULT.with_heartbeat(None);
        Self::new(|events| AnswerStream::new(events).with_config(config))
    }

    fn poll(&mut self) -> Poll<Option<Result<String, AnswerError>>> {
        let waker = self.wakes.clone().into();
        let item = Pin::new(&mut self.body).poll_next(&mut Context::from_waker(&waker));
        item.map(|item| {
            item.map(|item| item.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
        })
    }

    fn text(&mut self) -> String {
        match self.poll() {
            Poll::Ready(Some(Ok(text))) => text,
            other => panic!("{other:?}"),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a script may bring the end, too")]
fn event(data: &'static str) -> Option<Item> {
    Some(Ok(Event::new(data)))
}

#[test]
fn what_is_ready_at_once_is_one_item_and_the_end_is_the_end() {
    let mut stage = Stage::silent();
    assert_eq!(stage.script.polls(), 0, "nothing is asked for before the body is");
    stage.script.bring([event("a"), event("b")]);
    assert_eq!(stage.text(), "data: a\n\ndata: b\n\n");
    assert_eq!(stage.poll(), Poll::Pending);
    stage.script.bring([event("c"), None]);
    assert_eq!(stage.wakes.0.load(Ordering::SeqCst), 1);
    assert_eq!(stage.text(), "data: c\n\n");
    assert!(stage.script.is_dropped(), "nothing of it is needed any more");
    for _ in 0..3 {
        assert_eq!(stage.poll(), Poll::Ready(None));
    }
}

#[test]
fn events_are_asked_for_only_while_the_body_is() {
    let mut stage = Stage::new(|events| {
        AnswerStream::new(events).with_config(AnswerConfig::DEFAULT.with_batch(10))
    });
    stage.script.bring((0..100).map(|_| event("x")));
    for item in 1..=50 {
        assert_eq!(stage.text(), "data: x\n\ndata: x\n\n");
        assert_eq!(stage.script.polls(), 2 * item);
    }
}

#[test]
fn a_body_that_is_dropped_drops_its_events() {
    let mut stage = Stage::silent();
    assert_eq!(stage.poll(), Poll::Pending);
    let script = stage.script.clone();
    drop(stage);
    assert!(script.is_dropped());
}

#[test]
fn heartbeats_fill_the_silence_however_long_it_lasts() {
    let mut stage = Stage::new(AnswerStream::new);
    let heartbeat = String::from_utf8(Frame::new(&Event::heartbeat()).payload().to_vec()).unwrap();
    assert_eq!(stage.text(), heartbeat, "at once, so that the head does not wait");
    for _ in 0..5 {
        assert_eq!(stage.poll(), Poll::Pending);
        stage.timer.advance(seconds(14));
        assert_eq!(stage.poll(), Poll::Pending);
        stage.timer.end_sleeps_early();
        assert_eq!(stage.poll(), Poll::Pending);
        stage.wakes.0.store(0, Ordering::SeqCst);
        stage.timer.advance(seconds(1));
        assert_eq!(stage.wakes.0.load(Ordering::SeqCst), 1);
        assert_eq!(stage.text(), heartbeat);
    }
    // A stack that did not ask for ten minutes has a slow reader, which is its own affair.
    stage.script.bring([event("a")]);
    assert_eq!(stage.text(), "data: a\n\n");
    stage.timer.advance(seconds(600));
    stage.script.bring([event("b")]);
    assert_eq!(stage.text(), "data: b\n\n");
}

#[test]
fn many_events_begin_few_sleeps() {
    let mut stage = Stage::new(AnswerStream::new);
    for _ in 0..1_000 {
        stage.script.bring([event("a")]);
        assert_eq!(stage.text(), "data: a\n\n");
        assert_eq!(stage.poll(), Poll::Pending);
        stage.timer.advance(std::time::Duration::from_millis(30));
    }
    // One for each interval of 15 s, of which 30 s have two.
    assert!(stage.timer.begun() <= 4, "{}", stage.timer.begun());
}

#[test]
fn an_error_is_told_without_what_it_says_and_the_body_ends_by_one() {
    let mut stage = Stage::silent();
    stage.script.bring([event("a"), Some(Err("https://upstream/?key=secret".into())), event("b")]);
    assert_eq!(
        stage.text(),
        "data: a\n\nevent: error\ndata: {\"error\":{\"type\":\"server_error\",\
         \"message\":\"The answer is cut off by an error.\"}}\n\n"
    );
    assert!(stage.script.is_dropped());
    let Poll::Ready(Some(Err(error))) = stage.poll() else { panic!("it is not complete") };
    assert_eq!(error, AnswerError::Failed { message: "https://upstream/?key=secret".into() });
    assert_eq!(error.fault(), Fault::Caller);
    assert!(error.to_string().contains("secret"), "this side is told all: {error}");
    assert_eq!(stage.poll(), Poll::Ready(None));
}

#[test]
fn an_application_tells_of_errors_in_its_own_words_or_not_at_all() {
    let mut stage = Stage::new(|events| {
        AnswerStream::with_error_event(events, |error: &String| {
            let data = format!("{} bytes", error.len());
            Some(Event::new(data).with_type(EventType::new("failed").unwrap()))
        })
    });
    stage.script.bring([Some(Err("1234".into()))]);
    assert_eq!(stage.text(), "event: failed\ndata: 4 bytes\n\n");
    assert!(matches!(stage.poll(), Poll::Ready(Some(Err(AnswerError::Failed { .. })))));

    let mut stage = Stage::new(|events| AnswerStream::with_error_event(events, |_| None));
    stage.script.bring([Some(Err("1234".into()))]);
    assert!(matches!(stage.poll(), Poll::Ready(Some(Err(AnswerError::Failed { .. })))));
}

#[test]
fn an_answer_has_the_head_of_an_event_stream() {
    let Answer::Events(head, _) = Answer::stream(Scripted(Script::default())) else {
        panic!("it is no stream of events")
    };
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-type"], "text/event-stream");
    assert_eq!(head.headers()["cache-control"], "no-cache, no-transform");
}
