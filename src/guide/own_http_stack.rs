//! An HTTP stack of your own: how a session becomes the body of a response, and what the stack has to
//! do for it.
//!
//! [`Hub::accept`](crate::Hub::accept) takes the request's head and gives an
//! [`Answer`](crate::hub::Answer). With the feature `http-body`, the answer is a response for hyper, and
//! for any other stack that takes such a body:
//!
//! ```
//! # #[cfg(feature = "http-body")] mod with_http_body {
//! use sansse::{Hub, broker::SessionConfig, hub::ResponseBody};
//! use sansse_tokio::TokioRuntime;
//!
//! async fn events<B>(hub: Hub, request: http::Request<B>) -> http::Response<ResponseBody> {
//!     hub.accept(&request, SessionConfig::new()).into_response(TokioRuntime)
//! }
//! # }
//! ```
//!
//! For axum there is [`sansse-axum`](super::axum), whose service plain hyper takes too. The program
//! `examples/with_hyper` serves HTTP/1.1, HTTP/2 and TLS by hyper.
//!
//! # What the stack has to do
//!
//! | The stack | or else | Who does it |
//! | --- | --- | --- |
//! | sends the head at once, and each piece of the body as it comes | events wait in a buffer | hyper does. Leave compression out for `text/event-stream`; the head asks proxies for it by `no-transform` and `X-Accel-Buffering: no` |
//! | turns Nagle's algorithm off | an event may wait until the one before is acknowledged | you: `set_nodelay(true)`. The adapters' listeners do |
//! | polls the body only while it has room | memory grows with the slowest reader | any stack with backpressure |
//! | drops the body when the peer has left | the session stays until it stalls, and counts as present | any stack that reads while it writes |
//! | gives up a peer that takes nothing | the connection stays for as long as the peer likes, though its session has [ended](crate::broker::EndReason::Stalled) | you: a write deadline around the socket, such as `sansse_axum::WriteDeadline` |
//! | ends the response as broken where the body ends by an error | the reader takes a part for the whole, and may not come back | hyper does: an aborted chunked coding, or `RST_STREAM` |
//! | lets streams go at a shutdown | a graceful shutdown waits for ever | you: [`Hub::drain`](crate::Hub::drain) before it waits |
//!
//! No duty is left to you that concerns events: what is replayed, heartbeats, and which readers are too
//! slow are the hub's. HEAD is answered by a head alone.
//!
//! # The three answers
//!
//! | Answer | Body |
//! | --- | --- |
//! | [`Stream`](crate::hub::Answer::Stream) | the [`Session`](crate::hub::Session): a `Stream` of `Result<Frame, Cut>` |
//! | [`Events`](crate::hub::Answer::Events) | [`AnswerStream::body`](crate::answer::AnswerStream::body): a `Stream` of bytes. `accept` never gives it; [`Answer::stream`](crate::hub::Answer::stream) does |
//! | [`Response`](crate::hub::Answer::Response) | whole, as it is: a refusal, a preflight's answer, or [come back later](crate::hub::RefuseBy) |
//!
//! A stack whose body is a stream of bytes takes the first two so:
//!
//! ```
//! use bytes::Bytes;
//! use futures_util::{Stream, StreamExt, stream};
//! use sansse::hub::Answer;
//! use std::{error::Error, pin::Pin};
//!
//! type Body = Pin<Box<dyn Stream<Item = Result<Bytes, Box<dyn Error + Send + Sync>>> + Send>>;
//!
//! fn response(answer: Answer, timer: impl sansse::Timer) -> http::Response<Body> {
//!     match answer {
//!         Answer::Stream(head, session) => head.map(|()| {
//!             // `payload` copies nothing: all who get the event share its bytes.
//!             session.map(|frame| Ok(frame?.payload())).boxed() as Body
//!         }),
//!         Answer::Events(head, events) => {
//!             head.map(|()| events.body(timer).map(|bytes| Ok(bytes?)).boxed() as Body)
//!         }
//!         Answer::Response(response) => {
//!             response.map(|bytes| stream::iter([Ok(bytes)]).boxed() as Body)
//!         }
//!     }
//! }
//! ```
//!
//! The error of an item is the end of the body: hand it to the stack as an error. Its own types of
//! requests may differ from the `http` crate's. A stack that has taken the request apart calls
//! [`accept_parts`](crate::Hub::accept_parts), with the method, the URI and the headers.
//!
//! # By bytes
//!
//! A program that writes to sockets itself takes what is pending as one
//! [batch](crate::hub::Session::poll_batch), and gives back what a write did not take. So no buffer is
//! held for a reader that is slow, but the rest of one frame. This writes a session to its end, after
//! the head was written:
//!
//! ```
//! use bytes::{Buf, Bytes};
//! use sansse::Framing;
//! use sansse::broker::{Batch, Filled};
//! use sansse::hub::Session;
//! use std::future::poll_fn;
//! use std::io::{self, ErrorKind};
//! use std::pin::Pin;
//! use std::task::{Poll, ready};
//! use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
//!
//! /// Says whether the stream was ended as a complete one.
//! async fn write<S: AsyncRead + AsyncWrite + Unpin>(
//!     mut session: Session,
//!     mut socket: S,
//! ) -> io::Result<bool> {
//!     let mut batch = Batch::new(Framing::Chunked);
//!     loop {
//!         let filled = poll_fn(|context| {
//!             // A peer that has left shows by a read alone. It has nothing to say.
//!             let mut byte = [0];
//!             let mut read = ReadBuf::new(&mut byte);
//!             if Pin::new(&mut socket).poll_read(context, &mut read).is_ready() {
//!                 return Poll::Ready(Err(io::Error::from(ErrorKind::ConnectionAborted)));
//!             }
//!             session.poll_batch(context, 64 << 10, &mut batch).map(Ok)
//!         });
//!         match filled.await? {
//!             Ok(Filled::More | Filled::All) => {}
//!             Ok(Filled::Ended(_)) => {
//!                 socket.write_all(Framing::Chunked.end()).await?;
//!                 socket.shutdown().await?;
//!                 return Ok(true);
//!             }
//!             // Without the last chunk, by which the reader knows that this is not the end.
//!             Err(_cut) => {
//!                 socket.shutdown().await?;
//!                 return Ok(false);
//!             }
//!         }
//!         let first = poll_fn(|context| {
//!             match Pin::new(&mut socket).poll_write(context, batch.as_slice()) {
//!                 Poll::Pending => Poll::Ready(Ok(0)), // There is no room: it waits below.
//!                 ready => ready,
//!             }
//!         });
//!         let written = first.await?;
//!         // What lies behind this frame goes back to the session.
//!         let mut rest: Bytes = session.handle_partial_write(&batch, written);
//!         while !rest.is_empty() {
//!             let more = poll_fn(|context| {
//!                 let result = Pin::new(&mut socket).poll_write(context, &rest);
//!                 if result.is_ready() {
//!                     return result;
//!                 }
//!                 // A peer that takes nothing for too long is given up with its session.
//!                 ready!(session.poll_ended(context));
//!                 Poll::Ready(Err(ErrorKind::TimedOut.into()))
//!             });
//!             let written = more.await?;
//!             rest.advance(written);
//!             session.handle_progress();
//!         }
//!         socket.flush().await?;
//!     }
//! }
//! # use sansse::{Event, Hub, broker::{Audience, BrokerConfig, Epoch, SessionConfig}};
//! # use tokio::io::AsyncReadExt;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # for is_whole in [true, false] {
//! #     let (hub, drive) = Hub::new(sansse_tokio::TokioRuntime, BrokerConfig::new(Epoch(1)))?;
//! #     tokio::spawn(drive);
//! #     let session = hub.open(SessionConfig::new())?;
//! #     let id = session.id();
//! #     for number in 0..1_000 {
//! #         hub.publish(Audience::Everyone, &Event::new(number.to_string()))?;
//! #     }
//! #     let (near, mut far) = tokio::io::duplex(100);
//! #     let writer = tokio::spawn(write(session, near));
//! #     if is_whole { hub.close_session(id); } else { hub.close(); }
//! #     let mut read = Vec::new();
//! #     far.read_to_end(&mut read).await?;
//! #     assert_eq!(writer.await??, is_whole);
//! #     let text = String::from_utf8(read)?;
//! #     assert_eq!(text.matches("\ndata: ").count(), 1_001, "{text}");
//! #     assert!(text.contains("data: 999\n\n"));
//! #     assert_eq!(text.ends_with("\r\n0\r\n\r\n"), is_whole);
//! # }
//! # let (hub, drive) = Hub::new(sansse_tokio::TokioRuntime, BrokerConfig::new(Epoch(1)))?;
//! # tokio::spawn(drive);
//! # let (near, far) = tokio::io::duplex(100);
//! # drop(far);
//! # let gone = write(hub.open(SessionConfig::new())?, near).await;
//! # assert!(gone.is_err());
//! # assert_eq!(hub.counters().ended.disconnected, 1);
//! # Ok(()) }
//! ```
//!
//! The head before it, and the request, are bytes too: [`http1`](crate::http1) reads the one and writes
//! the other, without a socket. A peer by HTTP/1.0 has no chunks; its
//! [`Framing`](crate::Framing) is `Plain`, and a stream that is cut ends by a reset of the connection.
//!
//! # Streams that end early
//!
//! A session ends in good order where it has got all that it will ever get:
//! [`EndReason::stream_end`](crate::broker::EndReason::stream_end) says for which reasons. All other
//! ends are cuts. By default these include drains, maximum ages and shutdowns: a loop over `fetch`
//! takes a clean end for "that was all" and never comes back. A body waits 100 ms before the error
//! that cuts it off, since stacks drop what they have not written when a body fails.
//!
//! # Shutting down
//!
//! 1. Stop to accept.
//! 2. [`Hub::drain`](crate::Hub::drain): each reader is told when to come back, and its stream ends.
//!    The hub's driver is ready when the last session is gone.
//! 3. Wait for the stack's connections, for no longer than the drain's period and patience. A peer
//!    that takes nothing is given up by the write deadline.
//!
//! A request that comes meanwhile is told to come back by a stream, since an `EventSource` never asks again
//! after a 503: [`RefuseBy`](crate::hub::RefuseBy).
//!
//! # Next
//!
//! - [Behind proxies](super::behind_proxies): what is in front of the stack.
//! - [Slow readers](super::slow_readers): what the hub does about them.
//! - [Operating](super::operating): drains, deploys and limits.
