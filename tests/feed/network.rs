//! A transport that does what a test tells it to.

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, Request, Response};
use sansse::Transport;
use sansse::net::{Failure, FailureKind};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// All connections that were asked for.
#[derive(Clone, Default)]
pub(super) struct Network {
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

struct Exchange {
    request: Request<Bytes>,
    head: Option<Result<Response<()>, Failure>>,
    parts: VecDeque<Part>,
    waker: Option<Waker>,
    /// How many chunks were taken.
    taken: usize,
    is_alive: bool,
}

#[derive(Clone)]
enum Part {
    Chunk(Bytes),
    /// As often as it is asked for.
    Endless(Bytes),
    End,
    Failure(Failure),
}

/// What holds a connection; at first for the head, then for the body.
pub(super) struct Held {
    network: Network,
    number: usize,
}

impl Network {
    /// How many requests were sent.
    pub(super) fn sent(&self) -> usize {
        self.lock().len()
    }

    /// The headers of the request of this number, counted from 0.
    pub(super) fn headers(&self, number: usize) -> HeaderMap {
        self.lock()[number].request.headers().clone()
    }

    /// Answers the last request with an event stream.
    pub(super) fn open(&self) {
        let head = Response::builder().header("content-type", "text/event-stream");
        self.answer(Ok(head.body(()).unwrap()));
    }

    pub(super) fn answer(&self, head: Result<Response<()>, Failure>) {
        self.update(|exchange| exchange.head = Some(head));
    }

    /// Bytes of the last answer's body.
    pub(super) fn chunk(&self, bytes: impl Into<Bytes>) {
        let part = Part::Chunk(bytes.into());
        self.update(|exchange| exchange.parts.push_back(part));
    }

    /// The same bytes for ever.
    pub(super) fn flood(&self, bytes: &'static str) {
        self.update(|exchange| exchange.parts.push_back(Part::Endless(bytes.into())));
    }

    pub(super) fn end(&self) {
        self.update(|exchange| exchange.parts.push_back(Part::End));
    }

    pub(super) fn fail(&self, kind: FailureKind) {
        self.update(|exchange| exchange.parts.push_back(Part::Failure(kind.into())));
    }

    /// How many chunks of the last answer were taken.
    pub(super) fn taken(&self) -> usize {
        self.lock().last().unwrap().taken
    }

    /// How many connections are held.
    pub(super) fn alive(&self) -> usize {
        self.lock().iter().filter(|exchange| exchange.is_alive).count()
    }

    fn update(&self, change: impl FnOnce(&mut Exchange)) {
        let mut exchanges = self.lock();
        let exchange = exchanges.last_mut().expect("a request was sent");
        change(exchange);
        let waker = exchange.waker.take();
        drop(exchanges);
        waker.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.exchanges.lock().unwrap()
    }
}

impl Transport for Network {
    type Body = Held;

    fn send(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Held>, Failure>> + Send + 'static {
        let mut exchanges = self.lock();
        exchanges.push(Exchange {
            request,
            head: None,
            parts: VecDeque::new(),
            waker: None,
            taken: 0,
            is_alive: true,
        });
        let mut held = Some(Held { network: self.clone(), number: exchanges.len() - 1 });
        std::future::poll_fn(move |context| {
            let head = {
                let holding = held.as_ref().expect("not polled after it was ready");
                let exchange = &mut holding.network.lock()[holding.number];
                let Some(head) = exchange.head.take() else {
                    exchange.waker = Some(context.waker().clone());
                    return Poll::Pending;
                };
                head
            };
            let body = held.take();
            Poll::Ready(head.map(|head| head.map(|()| body.unwrap())))
        })
    }
}

impl Stream for Held {
    type Item = Result<Bytes, Failure>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let exchange = &mut self.network.lock()[self.number];
        let Some(part) = exchange.parts.pop_front() else {
            exchange.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        if matches!(part, Part::Endless(_)) {
            exchange.parts.push_front(part.clone());
        }
        Poll::Ready(match part {
            Part::Chunk(bytes) | Part::Endless(bytes) => {
                exchange.taken += 1;
                Some(Ok(bytes))
            }
            Part::End => None,
            Part::Failure(failure) => Some(Err(failure)),
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.network.lock()[self.number].is_alive = false;
    }
}
