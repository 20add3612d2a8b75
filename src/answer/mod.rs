//! One answer for one reader, as a stream of events: such as that of a language model, or the
//! progress of a piece of work.
//!
//! A [session](crate::hub::Session) is the other kind of event stream. What is published goes to
//! many of them, they resume, and they may be too slow. An answer belongs to one reader. Its events
//! come from a [`Stream`](futures_core::Stream) of the application's own, which is polled only while
//! the reader takes what came before. So nothing is lost to a slow reader, and nothing piles up for
//! it. When the reader leaves, the stream is dropped.
//!
//! ```
//! use sansse::Event;
//! use sansse::hub::Answer;
//! # use futures_core::Stream;
//! # use std::pin::Pin;
//! # use std::task::{Context, Poll};
//!
//! /// The answer of a model, piece by piece.
//! struct Model {
//!     pieces: std::vec::IntoIter<&'static str>,
//! }
//!
//! impl Stream for Model {
//!     type Item = Result<Event, std::io::Error>;
//!
//!     fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
//!         Poll::Ready(self.pieces.next().map(|piece| Ok(Event::new(piece))))
//!     }
//! }
//!
//! // In a handler of `sansse::serve`:
//! let answer = Answer::stream(Model { pieces: vec!["Once ", "upon ", "a time"].into_iter() });
//! # drop(answer);
//! ```
//!
//! # What the reader gets
//!
//! - The events, with the ids and types that they bring. Those that are ready at the same time go
//!   out in one write.
//! - A heartbeat whenever nothing else was written for a time, [15 s by
//!   default](AnswerConfig::with_heartbeat), so that nobody on the way takes the silence of a model
//!   that thinks for a broken connection.
//! - After the last event, a clean end.
//! - Where the stream fails, an [event that tells so](AnswerStream::new), and then **a cut**: the
//!   answer is not complete, and a reader that does not know the event must not take what it got
//!   for the whole.
//!
//! # In an HTTP stack of one's own
//!
//! [`AnswerStream::body`] is the answer as a stream of bytes, for the body of a response, and with the
//! feature `http-body` the body itself. Below it
//! lies [`AnswerWriter`], the machine that decides all this, without a socket and a clock.

mod stream;
mod writer;

pub use stream::{AnswerBody, AnswerError, AnswerStream};
pub use writer::{AnswerConfig, AnswerEnd, AnswerWriter};

#[cfg(feature = "serve")]
pub(crate) use stream::{AnswerDriver, Output};
