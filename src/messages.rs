//! Messages out of somebody else's stream of bytes: [`messages`].

use crate::decode::{DecodeError, Decoder, Limits, OwnedMessage, Step};
use crate::event::EventId;
use crate::fault::Fault;
use alloc::boxed::Box;
use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use futures_core::Stream;

/// Reads the messages of an event stream out of a stream of bytes, such as the body of a response
/// that an HTTP client has brought.
///
/// It reads one response. It neither connects nor comes back: for that there is the
/// [`EventSource`](crate::EventSource).
///
/// ```
/// use bytes::Bytes;
/// use sansse::{MessageError, messages};
///
/// # smol::block_on(async {
/// let body = smol::stream::iter([
///     Ok::<_, std::io::Error>(Bytes::from("data: {\"delta\":\"Hel")),
///     Ok(Bytes::from("lo\"}\n\ndata: [DO")),
///     Ok(Bytes::from("NE]\n\n")),
/// ]);
/// let mut messages = messages(body);
/// let mut seen = Vec::new();
/// while let Some(message) = messages.next().await {
///     seen.push(message?.data);
/// }
/// assert_eq!(seen, ["{\"delta\":\"Hello\"}", "[DONE]"]);
/// # Ok::<(), MessageError<std::io::Error>>(())
/// # }).unwrap();
/// ```
///
/// The bytes of a chunk are copied once, and a message is made of them as it is asked for, so that a
/// reader that asks for no more holds the sender back.
pub fn messages<S, B, E>(bytes: S) -> Messages<S>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    Messages { bytes: Some(Box::pin(bytes)), decoder: Decoder::new(), is_cut: false }
}

/// The messages of an event stream; made by [`messages`].
///
/// It is a [`Stream`]. It ends with the bytes, or after their first error. What else the peer sends
/// is passed over: comments are nothing to a reader of messages, and what `retry` says is told by
/// [`reconnection_time`](Self::reconnection_time). A [notice](crate::Notice) of a sansse server is
/// a message as any other.
///
/// ```
/// use sansse::{EventId, Limits, messages};
/// use std::time::Duration;
///
/// # smol::block_on(async {
/// // The rest of a stream of which the first two messages came by an earlier response.
/// let body = smol::stream::iter([Ok::<_, std::io::Error>("retry: 250\nid: 3\ndata: c\n\n")]);
/// let mut messages = messages(body)
///     .with_limits(Limits::DEFAULT.with_max_event(1 << 20))
///     .with_last_event_id(EventId::new("2").unwrap());
/// assert_eq!(messages.last_event_id(), "2");
/// while let Some(message) = messages.next().await {
///     println!("{}", message.unwrap().data);
/// }
/// // What the next request is to say, and when.
/// assert_eq!(messages.last_event_id(), "3");
/// assert_eq!(messages.reconnection_time(), Some(Duration::from_millis(250)));
/// # });
/// ```
#[must_use = "nothing is read unless it is polled"]
pub struct Messages<S> {
    /// None once it has ended. In a box, so that any stream will do and this can be moved.
    bytes: Option<Pin<Box<S>>>,
    decoder: Decoder,
    /// It has ended in the middle of an event, which is yet to be said.
    is_cut: bool,
}

/// How many chunks without a message are read in one poll.
const STEPS: usize = 32;

impl<S> Messages<S> {
    /// Sets how much the peer may make this hold. Default [`Limits::DEFAULT`]: 16 MiB for a line
    /// and for an event, 1,024 bytes for an id.
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.decoder = self.decoder.with_limits(limits);
        self
    }

    /// Sets the last event ID that is known from an earlier response. Messages without an id carry
    /// it, until one brings another. Default none.
    pub fn with_last_event_id(mut self, id: EventId) -> Self {
        self.decoder = self.decoder.with_last_event_id(id);
        self
    }

    /// Returns the last event ID string: what the next request sends as `Last-Event-ID`, if it is
    /// not empty.
    ///
    /// It is that of the last complete block up to the last message that came out, also if that
    /// block had no data.
    pub fn last_event_id(&self) -> &str {
        self.decoder.last_event_id()
    }

    /// Returns how long the peer wants a reader to wait before it comes back, as far as it has said
    /// so by `retry`.
    pub fn reconnection_time(&self) -> Option<Duration> {
        self.decoder.reconnection_time()
    }
}

impl<S, B, E> Messages<S>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    /// Returns the next message; `None` at the end of the stream. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// [`MessageError`]. After [`MessageError::Dropped`] the stream goes on; after the others it has
    /// ended.
    pub async fn next(&mut self) -> Option<Result<OwnedMessage, MessageError<E>>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl<S, B, E> Stream for Messages<S>
where
    S: Stream<Item = Result<B, E>>,
    B: AsRef<[u8]>,
{
    type Item = Result<OwnedMessage, MessageError<E>>;

    /// `None` is the end. `Pending` may change when the stream of bytes wakes the task.
    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        for _ in 0..STEPS {
            // A message is made where it goes to: its way through another function costs as much.
            while let Some(step) = this.decoder.poll_step() {
                match step {
                    Step::Message => {
                        return Poll::Ready(Some(Ok(this.decoder.message().into_owned())));
                    }
                    Step::Error(error) => {
                        return Poll::Ready(Some(Err(MessageError::Dropped(error))));
                    }
                    Step::Comment | Step::Retry(_) => {}
                }
            }
            let Some(bytes) = &mut this.bytes else {
                let is_cut = core::mem::take(&mut this.is_cut);
                return Poll::Ready(is_cut.then_some(Err(MessageError::Unfinished)));
            };
            let Poll::Ready(chunk) = bytes.as_mut().poll_next(context) else {
                return Poll::Pending;
            };
            match chunk {
                Some(Ok(chunk)) => this.decoder.handle_data(chunk.as_ref()),
                Some(Err(error)) => {
                    this.bytes = None;
                    return Poll::Ready(Some(Err(MessageError::Bytes(error))));
                }
                None => {
                    this.bytes = None;
                    this.decoder.handle_eof();
                    this.is_cut = this.decoder.is_inside_block();
                }
            }
        }
        // Chunks without a message come faster than they are read: it is the turn of others.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S> fmt::Debug for Messages<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("last_event_id", &self.last_event_id())
            .field("has_ended", &self.bytes.is_none())
            .finish_non_exhaustive()
    }
}

/// Why a message did not come out of [`Messages`].
///
/// ```
/// use sansse::{Fault, MessageError, messages};
///
/// # smol::block_on(async {
/// let body = smol::stream::iter([Ok::<_, std::io::Error>("data: whole\n\ndata: cut of")]);
/// let mut messages = messages(body);
/// assert_eq!(messages.next().await.unwrap().unwrap().data, "whole");
/// let error = messages.next().await.unwrap().unwrap_err();
/// assert!(matches!(error, MessageError::Unfinished));
/// assert_eq!(error.fault(), Fault::Peer);
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError<E> {
    /// The stream of bytes failed. What came before the failure has come out; nothing follows.
    Bytes(E),
    /// An event was beyond a limit and is lost; the stream goes on.
    Dropped(DecodeError),
    /// The bytes ended in the middle of an event, which is dropped ([WHATWG HTML,
    /// 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)):
    /// the answer was cut short, whatever its transport says.
    Unfinished,
}

impl<E> MessageError<E> {
    /// Returns whose fault it is: the transport's, a limit's, or the peer's.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Bytes(_) => Fault::Transport,
            Self::Dropped(_) => Fault::Limit,
            Self::Unfinished => Fault::Peer,
        }
    }
}

impl<E: fmt::Display> fmt::Display for MessageError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(error) => write!(f, "the stream of bytes failed: {error}"),
            Self::Dropped(error) => write!(f, "an event was lost: {error}"),
            Self::Unfinished => f.write_str("the stream ended in the middle of an event"),
        }
    }
}

impl<E: core::error::Error> core::error::Error for MessageError<E> {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::task::Waker;

    /// Chunks that are there, and pauses between them.
    struct Chunks(VecDeque<Poll<Result<&'static [u8], &'static str>>>);

    impl Stream for Chunks {
        type Item = Result<&'static [u8], &'static str>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            match self.0.pop_front() {
                Some(next) => next.map(Some),
                None => Poll::Ready(None),
            }
        }
    }

    type Item = Result<String, MessageError<&'static str>>;

    fn read_all(
        chunks: impl IntoIterator<Item = Poll<Result<&'static [u8], &'static str>>>,
        limits: Limits,
    ) -> (Vec<Item>, Messages<Chunks>) {
        let mut messages = messages(Chunks(chunks.into_iter().collect())).with_limits(limits);
        let mut items = Vec::new();
        let mut pauses = 0;
        loop {
            match Pin::new(&mut messages).poll_next(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(item)) => items.push(item.map(|message| message.data)),
                Poll::Ready(None) => return (items, messages),
                Poll::Pending => {
                    pauses += 1;
                    assert!(pauses < 1_000, "no end comes");
                }
            }
        }
    }

    fn chunk(text: &'static str) -> Poll<Result<&'static [u8], &'static str>> {
        Poll::Ready(Ok(text.as_bytes()))
    }

    #[test]
    fn any_split_gives_the_same_messages() {
        let stream: &'static [u8] =
            b"id: 7\r\ndata: a\r\n\r\n: hm\n\nretry: 9\n\ndata: b\rdata\r\r";
        for size in 1..=stream.len() {
            let chunks =
                stream.chunks(size).flat_map(|part| [Poll::Pending, Poll::Ready(Ok(part))]);
            let (items, messages) = read_all(chunks, Limits::default());
            assert_eq!(items, [Ok("a".into()), Ok("b\n".into())], "in chunks of {size}");
            assert_eq!(messages.last_event_id(), "7");
            assert_eq!(messages.reconnection_time(), Some(Duration::from_millis(9)));
        }
    }

    #[test]
    fn what_came_before_a_failure_comes_out_and_nothing_after_it() {
        let chunks =
            [chunk("data: a\n\ndata: b\n\ndata: c"), Poll::Ready(Err("reset")), chunk("\n\n")];
        let (items, _) = read_all(chunks, Limits::default());
        assert_eq!(items, [Ok("a".into()), Ok("b".into()), Err(MessageError::Bytes("reset"))]);
    }

    #[test]
    fn an_event_that_is_not_finished_is_told() {
        for end in ["data: b", "data: b\n", "id: 4\n", "data: b\n\nretry: 1"] {
            let (items, _) = read_all([chunk("data: a\n\n"), chunk(end)], Limits::default());
            assert_eq!(items.last(), Some(&Err(MessageError::Unfinished)), "{end:?}");
        }
        let (items, _) = read_all([chunk("data: a\n\n:\n")], Limits::default());
        assert_eq!(items, [Ok("a".into())]);
    }

    #[test]
    fn an_event_beyond_a_limit_is_told_and_the_stream_goes_on() {
        let limits = Limits::default().with_max_event(3);
        let (items, _) = read_all([chunk("data: four\n\ndata: a\n\n")], limits);
        let error = MessageError::Dropped(DecodeError::EventTooLarge { limit: 3 });
        assert_eq!(items, [Err(error), Ok("a".into())]);
        assert_eq!(error.fault(), Fault::Limit);
    }

    #[test]
    fn chunks_without_a_message_let_other_tasks_have_their_turn() {
        let mut messages = messages(Chunks((0..=STEPS).map(|_| chunk(":\n")).collect()));
        let mut poll =
            || Pin::new(&mut messages).poll_next(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll(), Poll::Pending);
        assert_eq!(poll(), Poll::Ready(None));
    }
}
