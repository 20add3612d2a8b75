//! Language models: answers that come in pieces, on both sides, whole or known not to be.
//!
//! An answer belongs to the one who asked. It is a stream of the application's own, which is polled only
//! while its reader takes what came before, and dropped when the reader leaves. `[DONE]` says that it is
//! whole:
//!
//! ```
//! use futures_util::{Stream, StreamExt, stream};
//! use sansse::{Event, hub::Answer};
//! use serde_json::json;
//! use std::io::Error;
//!
//! /// The pieces of an answer, as they come of a model.
//! fn model(question: &str) -> impl Stream<Item = Result<String, Error>> + Send + use<> {
//! #   let _ = question;
//!     // Such as the messages of another service: see below.
//!     stream::iter(["Once ", "upon ", "a time."].map(|piece| Ok(piece.to_owned())))
//! }
//!
//! fn answer(question: &str) -> Answer {
//!     let pieces = model(question).map(|piece| {
//!         let chunk = json!({ "choices": [{ "delta": { "content": piece? } }] });
//!         Ok::<_, Error>(Event::new(chunk.to_string()))
//!     });
//!     // After an error there is no [DONE].
//!     Answer::stream(pieces.chain(stream::iter([Ok(Event::new("[DONE]"))])))
//! }
//! # let Answer::Events(head, events) = answer("") else { panic!() };
//! # assert_eq!(head.headers()["content-type"], "text/event-stream");
//! # let body: Vec<_> = smol::block_on(events.body(sansse_smol::SmolTimer).collect());
//! # let body = body.into_iter().collect::<Result<Vec<_>, _>>().unwrap().concat();
//! # let body = String::from_utf8(body).unwrap();
//! # assert!(body.contains(r#"{"content":"upon "}"#) && body.ends_with("data: [DONE]\n\n"), "{body}");
//! ```
//!
//! A handler of [`serve`](crate::serve) returns it. In axum it is `sansse_axum::Sse`, and elsewhere
//! [`AnswerStream::body`] or [`into_response`]. The program `examples/llm` is both sides of a chat completion.
//!
//! # What the reader gets
//!
//! | When | The reader gets |
//! | --- | --- |
//! | the model thinks | a heartbeat every 15 s, so that no proxy takes the silence for a broken connection |
//! | several pieces are there at once | them in one write |
//! | the reader is slow | the same, later: the model's stream is not polled meanwhile |
//! | the reader leaves | the stream is dropped, and with it whatever it holds, such as the request to the model |
//! | the stream fails | an event of the type `error`, and then a cut. What the error says stays with you, since it may hold a key; [`with_error_event`] tells more |
//! | the reader takes nothing for 60 s | a cut |
//!
//! # Asking a model
//!
//! [`ClientConfig::answer`] is the client's configuration for such streams. It waits as long as a model
//! thinks. It asks again only where the server has not accepted the request, such as by 429, 529, and 503 with
//! `Retry-After`, since what was accepted costs twice. It tells a whole answer from one that was cut off.
//!
//! ```no_run
//! use bytes::Bytes;
//! use sansse::SourceEvent;
//! use sansse::client::{ClientConfig, ClientError, CloseReason, Sentinel};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let key = "";
//! let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"Why?"}]}"#;
//! let request = http::Request::post("http://127.0.0.1:8090/v1/chat/completions")
//!     .header("content-type", "application/json")
//!     .header("authorization", format!("Bearer {key}"))
//!     .body(Bytes::from(body))?;
//! let mut config = ClientConfig::answer(sansse_tokio::random_seed());
//! config.sentinel = Some(Sentinel::Data("[DONE]".into()));
//!
//! let mut source = sansse_tokio::connect_with(request, config);
//! while let Some(event) = source.next().await {
//!     match event {
//!         SourceEvent::Message(piece) => print!("{}", piece.data),
//!         SourceEvent::Retrying { error, wait, .. } => eprintln!("{error}; again in {wait:?}"),
//!         SourceEvent::Closed(CloseReason::Finished) => println!(),
//!         SourceEvent::Closed(CloseReason::Failed(ClientError::Truncated(by))) => {
//!             eprintln!("the answer is not whole: {by}");
//!         }
//!         SourceEvent::Closed(reason) => eprintln!("no answer: {reason}"),
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! | The service ends by | Set |
//! | --- | --- |
//! | the data `[DONE]`, as chat completions do | `Sentinel::Data("[DONE]".into())`; the message is not delivered |
//! | an event of a type, such as `message_stop` | `Sentinel::EventType(event_type!("message_stop"))`; the message is delivered |
//! | the proper end of the body | nothing |
//! | an event that lacks its blank line | [`complete_last_event`](crate::client::ClientConfig::complete_last_event) |
//!
//! A service that answers by an error, such as 400 with JSON, ends the source.
//! [`ClientError::answer`](crate::client::ClientError::answer) has the status and the body. Dropping the source
//! drops the connection, which tells the service that nobody listens.
//!
//! # With an HTTP client of your own
//!
//! Where a response is there already, [`messages`](crate::messages()) reads it: of hyper, of reqwest (by
//! `response.messages()` of `sansse-reqwest`), or of anything that is a stream of bytes. It looks for no
//! sentinel, so that the loop does:
//!
//! ```
//! # smol::block_on(async {
//! type Chunk = Result<&'static str, std::io::Error>;
//! let body = smol::stream::iter([
//!     Chunk::Ok("data: {\"delta\":\"Hel"),
//!     Chunk::Ok("lo\"}\n\ndata: [DONE]\n\n"),
//! ]);
//! let (mut messages, mut is_whole) = (sansse::messages(body), false);
//! let mut pieces = Vec::new();
//! while let Some(message) = messages.next().await {
//!     match message?.data {
//!         done if done == "[DONE]" => is_whole = true,
//!         piece => pieces.push(piece),
//!     }
//! }
//! assert!(is_whole, "or the answer was cut off");
//! assert_eq!(pieces, ["{\"delta\":\"Hello\"}"]);
//! # Ok::<(), sansse::MessageError<std::io::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # An answer that survives a reload
//!
//! An answer of the kind above is gone with its connection. One that a page can come back for is a
//! [topic](crate::broker::Audience::Topic) of a hub: the model's task publishes the pieces and ends the topic,
//! and each reader gets all of it, from the beginning or from where it was.
//!
//! ```
//! use futures_util::StreamExt;
//! use sansse::broker::{BrokerConfig, EndReason, SessionConfig, StartAt, TopicName};
//! use sansse::{Event, Hub, event_type, hub::Answer};
//!
//! fn read(hub: &Hub, request: &http::Request<()>, answer: TopicName) -> Answer {
//!     let config = SessionConfig::new()
//!         .topics_only()
//!         .with_topic(answer)
//!         .with_start(StartAt::Oldest)
//!         // For a page that comes back when it has everything: not an error, but this.
//!         .with_event_when_over(Event::new("").with_type(event_type!("done")));
//!     hub.accept(request, config)
//! }
//! # smol::block_on(async {
//! # let config = BrokerConfig::new(sansse::broker::Epoch(0xbeef));
//! # let (hub, drive) = Hub::new(sansse_smol::SmolTimer, config)?;
//! # smol::spawn(drive).detach();
//!
//! // The task of the model:
//! let answer = TopicName::new("answer/42")?;
//! hub.publish(answer.clone(), &Event::new("forty-"))?;
//! # let request = http::Request::get("/").body(())?;
//! # let Answer::Stream(_, mut first) = read(&hub, &request, answer.clone()) else { panic!() };
//! # let frames = [first.next().await.unwrap()?, first.next().await.unwrap()?];
//! # assert_eq!(frames[1].payload(), "id: beef-1\ndata: forty-\n\n");
//! # drop(first);
//! hub.publish(answer.clone(), &Event::new("two"))?;
//! hub.publish(answer.clone(), &Event::new("[DONE]"))?;
//! hub.end_topic(&answer)?;
//!
//! // A page that lost its connection after the first piece:
//! let request = http::Request::get("/answers/42").header("last-event-id", "beef-1").body(())?;
//! let Answer::Stream(_, mut session) = read(&hub, &request, answer.clone()) else { panic!() };
//! let mut rest = Vec::new();
//! while let Some(frame) = session.next().await {
//!     rest.extend_from_slice(frame?.as_ref());
//! }
//! assert!(rest.ends_with(b"id: beef-2\ndata: two\n\nid: beef-3\ndata: [DONE]\n\n"));
//! assert_eq!(session.end_reason(), Some(EndReason::TopicsEnded), "a clean end");
//! # let request = http::Request::get("/").header("last-event-id", "beef-3").body(())?;
//! # let Answer::Response(over) = read(&hub, &request, answer) else { panic!() };
//! # assert_eq!((over.status().as_u16(), &over.body()[..]), (200, &b"event: done\ndata: \n\n"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! - The whole answer has to be kept: by default 8,192 events, 4 MiB, for 5 minutes since each piece.
//!   [`Hub::set_retention`](crate::Hub::set_retention) sets more for a topic whose model thinks longer.
//! - A reader that is slower than the model meets its [lag](super::slow_readers) only when it is further behind
//!   than is kept. So the whole answer reaches each reader for as long as it fits.
//! - A name is the application's: let a page ask only for topics that are
//!   [permitted](crate::broker::SessionConfig::with_permitted) to it.
//! - At a shutdown, [`letting_topics_end`](crate::broker::Drain::letting_topics_end) completes answers that are
//!   under way.
//!
//! # Stopping the model
//!
//! With `Answer::stream` there is nothing to do: the stream is dropped with its reader. A topic goes on
//! without readers, which is what a reload needs. To stop it, let the page ask by a request of its own, such as
//! DELETE; or count the readers, whose ends [`Hub::ended`](crate::Hub::ended) tells, and stop the task some
//! time after the last.
//!
//! # Next
//!
//! - [Resuming](super::resuming): ids, gaps, and how long a reader may be away.
//! - [Behind proxies](super::behind_proxies): what buffers, and what cuts a silent stream.
//! - [From axum's `Sse`](super::from_axum_sse), which many such answers come from.
//!
//! [`AnswerStream::body`]: crate::answer::AnswerStream::body
//! [`into_response`]: crate::hub::Answer::into_response
//! [`with_error_event`]: crate::answer::AnswerStream::with_error_event
//! [`ClientConfig::answer`]: crate::client::ClientConfig::answer
