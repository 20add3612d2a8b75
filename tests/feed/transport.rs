//! HTTP/1.1 over a socket that is not one.

use crate::kit::time::VirtualTimer;
use crate::request;
use crate::tasks::{Polled, Task};
use bytes::Bytes;
use http::{Request, Response};
use sansse::client::ClientConfig;
use sansse::feed::{Http1, Http1Body};
use sansse::net::{Connector, Failure, FailureKind, Socket, Target};
use sansse::{EventSource, Transport};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Both ends of a connection, of which the test is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire {
    pub(super) state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) targets: Vec<Target>,
    /// For which hosts it was secured, and what had been written by then.
    pub(super) secured: Vec<(String, String)>,
    /// Connections fail so.
    pub(super) unreachable: Option<Failure>,
    written: Vec<u8>,
    /// How much is taken before a write waits, or fails.
    room: Option<usize>,
    refuses: bool,
    reads: VecDeque<Result<Bytes, Failure>>,
    waker: Option<Waker>,
    read_calls: usize,
}

impl Wire {
    pub(super) fn bring(&self, bytes: &'static str) {
        self.push(Ok(bytes.into()));
    }

    fn push(&self, read: Result<Bytes, Failure>) {
        let mut state = self.state.lock().unwrap();
        state.reads.push_back(read);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn written(&self) -> String {
        String::from_utf8(self.state.lock().unwrap().written.clone()).unwrap()
    }
}

impl Connector for Wire {
    type Socket = Self;

    fn connect(
        &self,
        target: Target,
    ) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        let mut state = self.state.lock().unwrap();
        state.targets.push(target);
        std::future::ready(state.unreachable.clone().map_or(Ok(self.clone()), Err))
    }

    fn secure(
        &self,
        socket: Self,
        host: &str,
    ) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        let written = std::mem::take(&mut self.state.lock().unwrap().written);
        let secured = (host.to_owned(), String::from_utf8(written).unwrap());
        self.state.lock().unwrap().secured.push(secured);
        std::future::ready(Ok(socket))
    }
}

impl Socket for Wire {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, Failure>> {
        let mut state = self.state.lock().unwrap();
        state.read_calls += 1;
        assert!(state.read_calls < 1000, "it spins");
        let Some(read) = state.reads.pop_front() else {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        // The end stays the end.
        if read.as_ref().is_ok_and(Bytes::is_empty) {
            state.reads.push_front(Ok(Bytes::new()));
        }
        Poll::Ready(read.map(|bytes| {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            bytes.len()
        }))
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, Failure>> {
        let mut state = self.state.lock().unwrap();
        let taken = bytes.len().min(state.room.unwrap_or(usize::MAX));
        if taken == 0 && state.refuses {
            return Poll::Ready(Err(FailureKind::Closed.into()));
        }
        if taken == 0 {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        state.room = state.room.map(|room| room - taken);
        state.written.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        panic!("a client does not end its side: some servers take that for the end of all");
    }

    fn reset(&mut self) {
        panic!("only a server has answers to break off");
    }
}

fn send(
    wire: &Wire,
    request: Request<Bytes>,
) -> Task<impl Future<Output = Result<Response<Http1Body<Wire>>, Failure>> + use<>> {
    send_by(Http1::new(wire.clone()), request)
}

pub(super) fn send_by(
    http: Http1<Wire>,
    request: Request<Bytes>,
) -> Task<impl Future<Output = Result<Response<Http1Body<Wire>>, Failure>> + use<>> {
    let mut task = Task::new(async move { http.send(request).await });
    task.run();
    task
}

pub(super) const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[test]
fn a_request_goes_out_and_its_head_and_chunks_come_as_they_arrive() {
    let wire = Wire::default();
    let mut task = send(&wire, request());
    let written = wire.written();
    assert!(written.starts_with("GET /events HTTP/1.1\r\n"), "{written}");
    assert!(written.to_lowercase().contains("host: example.org\r\n"), "{written}");
    assert!(written.ends_with("\r\n\r\n"), "{written}");
    let target = wire.state.lock().unwrap().targets[0].clone();
    assert_eq!((target.host.as_str(), target.port, target.secure), ("example.org", 80, false));

    wire.bring(CHUNKED);
    let response = task.output().expect("the head is there").unwrap();
    assert_eq!(response.status(), 200);
    let mut body = Polled::new(response.into_body());
    assert_eq!(body.drain(), []);
    wire.bring("5\r\nhello\r\n");
    assert_eq!(body.drain(), [Ok(Bytes::from("hello"))]);
    wire.bring("0\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(body.poll(), Poll::Ready(None));
    }
}

#[test]
fn an_end_is_the_end_however_often_it_is_asked_for() {
    let cases = [
        ("HTTP/1.1 200 OK\r\n\r\nabc", None),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", None),
        ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabc", Some(FailureKind::Truncated)),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            Some(FailureKind::Truncated),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd",
            Some(FailureKind::Protocol),
        ),
    ];
    for (bytes, error) in cases {
        let wire = Wire::default();
        let mut task = send(&wire, request());
        wire.bring(bytes);
        wire.bring("");
        let mut body = Polled::new(task.output().unwrap().unwrap().into_body());
        let items = body.drain();
        assert_eq!(items[0], Ok(Bytes::from("abc")), "{bytes}");
        let errors: Vec<FailureKind> =
            items.iter().filter_map(|item| Some(item.as_ref().err()?.kind())).collect();
        assert_eq!(errors, Vec::from_iter(error), "{bytes}");
        for _ in 0..3 {
            assert_eq!(body.poll(), Poll::Ready(None), "{bytes}");
        }
    }
}

#[test]
fn what_is_no_head_is_a_typed_failure() {
    let cases = [
        ("SSH-2.0-server\r\n", FailureKind::Protocol),
        ("<html>", FailureKind::Protocol),
        ("HTTP/1.1 200 OK\r\ncontent-ty", FailureKind::Truncated),
        ("", FailureKind::Closed),
    ];
    for (bytes, kind) in cases {
        let wire = Wire::default();
        let mut task = send(&wire, request());
        wire.bring(bytes);
        wire.bring("");
        let failure = task.output().unwrap().unwrap_err();
        assert_eq!(failure.kind(), kind, "{bytes}");
    }
}

#[test]
fn a_server_may_answer_and_reset_before_it_has_read_a_large_request() {
    let wire = Wire::default();
    wire.state.lock().unwrap().room = Some(1000);
    let large = Request::post("http://example.org/").body(Bytes::from(vec![b'x'; 1 << 20]));
    let mut task = send(&wire, large.unwrap());
    assert_eq!(wire.written().len(), 1000);
    wire.state.lock().unwrap().refuses = true;
    wire.bring("HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno");
    wire.push(Err(FailureKind::Closed.into()));
    let response = task.output().unwrap().unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(Polled::new(response.into_body()).drain(), [Ok(Bytes::from("no"))]);

    // Without an answer it is a failure.
    let wire = Wire::default();
    wire.state.lock().unwrap().room = Some(1000);
    wire.state.lock().unwrap().refuses = true;
    let mut task = send(&wire, request());
    assert_eq!(task.output().map(|result| result.is_err()), None, "a small one is written");
    wire.push(Err(FailureKind::Closed.into()));
    assert_eq!(task.output().unwrap().unwrap_err().kind(), FailureKind::Closed);
}

/// Keeps what answers say, as a jar of cookies does.
struct Listening<T> {
    inner: T,
    heard: Arc<Mutex<Vec<(String, u16)>>>,
}

impl<T: Transport> Transport for Listening<T> {
    type Body = T::Body;

    fn send(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<T::Body>, Failure>> + Send + 'static {
        let (url, heard) = (request.uri().to_string(), self.heard.clone());
        let sending = self.inner.send(request);
        async move {
            let response = sending.await?;
            heard.lock().unwrap().push((url, response.status().as_u16()));
            Ok(response)
        }
    }
}

#[test]
fn a_transport_around_another_sees_each_head_those_of_redirects_too() {
    let wire = Wire::default();
    let heard = Arc::<Mutex<Vec<_>>>::default();
    let transport = Listening { inner: Http1::new(wire.clone()), heard: heard.clone() };
    let timer = VirtualTimer::new();
    let source = EventSource::new(transport, timer, request(), ClientConfig::new(1));
    let mut source = Polled::new(source);
    assert_eq!(source.drain(), []);
    wire.bring("HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\nset-cookie: a=b\r\n\r\n");
    assert_eq!(source.drain(), []);
    wire.bring("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(source.drain().len(), 1, "it is the end");
    let heard = heard.lock().unwrap();
    let [first, second] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(*first, ("http://example.org/events".to_owned(), 302));
    assert_eq!(*second, ("http://example.org/elsewhere".to_owned(), 403));
}
