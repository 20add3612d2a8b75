//! What clients do: how browsers and libraries of others take each end of a stream, and which setting
//! of the server suits each.
//!
//! The standard says what an `EventSource` does. Most other clients do something else, and some take a
//! restart of the server for the end of all. This is what they were seen to do with a
//! [`Hub`](crate::Hub) on this library's own server. A test does it again and compares each cell. The
//! browsers were Chromium 156 and Firefox 153; where no browser is named, a page was in Chromium.
//!
//! | client | clean end | cut | drain | refusal | 204 | 503 | restart | `retry` | hidden page |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | `EventSource` in Chromium | back with id, error | back with id, error | back with id, error | back with id, error | away, error | away, error | back with id, error | obeyed | reads on |
//! | `EventSource` in Firefox | back with id, error | back with id, error | back with id, error | back with id, error | away, error | away, error | back with id, error | obeyed | reads on |
//! | npm eventsource 4.1.1 | back with id, error | back with id, error | back with id, error | back with id, error | away, error | away, error | back with id, error | obeyed | – |
//! | `EventSource` of undici 7.30.2 | back with id, error | back with id, error | back with id, error | back with id, error | away, error | away, error | back with id, error | obeyed | – |
//! | fetch-event-source 2.0.1 | away, silent | back with id, error | back with id, error | away, silent | asks on, error | back with id, error | back with id, error | obeyed | leaves; back with id |
//! | fetch-event-source 2.0.1, `onclose` throws | back with id, error | back with id, error | back with id, error | back with id, error | asks on, error | back with id, error | back with id, error | obeyed | leaves; back with id |
//! | sse.js 2.8.0 | away, silent | away, error | away, error | away, silent | away, silent | away, error | away, error | – | reads on |
//! | sse.js 2.8.0, `autoReconnect` | back with id, silent | back with id, error | back with id, error | back with id, silent | asks on, silent | back with id, error | back with id, error | obeyed | reads on |
//! | Datastar 1.0.1 | away, silent | back with id, error | back with id, error | away, silent | away, silent | away, error | back with id, error | obeyed | leaves; back with id |
//! | Datastar 1.0.1, `retry: 'always'` | back with id, silent | back with id, error | back with id, error | back with id, silent | away, silent | back with id, error | back with id, error | obeyed | leaves; back with id |
//! | htmx 2.0.11, ext-sse 2.2.4 | back with id, error | back with id, error | back with id, error | back with id, error | asks on, error | back without id, error | back with id, error | obeyed | reads on |
//! | htmx 4.0.1, hx-sse | back with id, silent | back with id, error | back with id, error | back with id, silent | asks on, silent | back with id, error | back with id, error | obeyed | leaves; back with id |
//! | httpx-sse 0.4.3 | away, silent | away, error | away, error | away, silent | away, error | away, error | away, error | – | – |
//! | aiohttp-sse-client2 0.3.0 | back with id, error | away, error | away, error | back with id, error | away, error | away, error | away, error | doubled | – |
//!
//! What the client does:
//!
//! - *back with id*: it asks again by itself, with its last event id. It has all that it missed.
//! - *back without id*: it asks again, and has forgotten its place.
//! - *away*: it does not ask again.
//! - *asks on*: it asks again and again, and is answered the same.
//! - *error* or *silent*: whether the program that uses it is told. *Away, silent* is what to look out
//!   for: a page that looks alive and is not.
//!
//! What happens to it:
//!
//! - *Clean end*: the response ends as a complete one does, as after
//!   [`close_session`](crate::Hub::close_session).
//! - *Cut*: the response breaks off, for a chunked one without its last chunk, as after a
//!   [`revoke`](crate::Hub::revoke). A lost connection is the same to most clients.
//! - *Drain*: [`Hub::drain`](crate::Hub::drain) lets it go, and another hub serves at the address.
//! - *Refusal*: it comes back to a hub that is full or closed, and gets [a stream that says so and
//!   ends](crate::hub::RefuseBy::Stream).
//! - *204*: it comes back to a 204, as where [all is over](crate::broker::EndReason::TopicsEnded).
//! - *503*: it comes back to a 503 with `Retry-After`, and would get a stream at its next request.
//! - *Restart*: the server stops, nobody listens for a second, and another process begins.
//! - *`retry`*: whether it waits as long as the stream says. *Doubled*: it waits twice as long.
//! - *Hidden page*: its tab is in the background for a while.
//!
//! A client that never asks a second time meets the refusal, the 204 and the 503 at its first request.
//!
//! # What follows for a server
//!
//! - **End streams by a cut** if they are to go on elsewhere. That is the default,
//!   [`StreamEnd::Cut`](crate::broker::StreamEnd::Cut) of
//!   [`with_early_end`](crate::hub::HubBuilder::with_early_end), and concerns drains, shutdowns and the
//!   maximum age. After it every client is back that comes back at all, but for aiohttp-sse-client2. With
//!   [`StreamEnd::Clean`](crate::broker::StreamEnd::Clean) a restart would freeze the pages of
//!   fetch-event-source, of sse.js and of Datastar without a word.
//! - **End streams cleanly when all is said**: `close_session` and the end of all topics do.
//!   An `EventSource` asks once more then, and the 204 that it gets stops it.
//! - **Where it is over, say so by an event** to clients that ask on after a 204: htmx, sse.js with
//!   `autoReconnect`, fetch-event-source.
//!   [`with_event_when_over`](crate::broker::SessionConfig::with_event_when_over) sends one in place of the
//!   204, and the page closes its source when it comes.
//! - **Refuse by a stream** those that end at a 503: every `EventSource`. It is the default. To
//!   fetch-event-source as it comes, the end of that stream is the end of all, and a 503 is not: a server
//!   that has no other clients refuses by [`RefuseBy::Status`](crate::hub::RefuseBy::Status).
//! - **Do not count on who is present** where pages leave when they are hidden: those of Datastar, of
//!   fetch-event-source and of htmx 4. The [grace
//!   time](crate::broker::BrokerConfig::client_grace) is for this, or let the pages read on: `openWhenHidden: true` for
//!   the first two, `pauseOnBackground: false` for htmx 4.
//! - **A page cannot see a heartbeat** that is a comment. A page that is to notice a connection that
//!   is dead needs [an event](crate::broker::SessionConfig::with_heartbeat_event).
//!
//! # What follows for each client
//!
//! | client | what makes it right |
//! | --- | --- |
//! | every `EventSource` | nothing: the defaults are for it |
//! | fetch-event-source | an `onclose` that throws, so that it is back after each end; and an `onerror` that throws where `onopen` has seen a 204 |
//! | sse.js | `autoReconnect: true`, and an event when all is over |
//! | Datastar | `retry: 'always'`, and `retryMaxCount: Infinity`, since it gives up after ten failures in a row: [Datastar and htmx](super::datastar_and_htmx) |
//! | htmx 2 | an event when all is over, and no 503, which costs it its place: so refuse by a stream |
//! | htmx 4 | an event when all is over |
//! | httpx-sse | a loop around it that keeps the id and the time. httpx gives up after 5 silent seconds: give it a longer time, or the session a [heartbeat](crate::broker::SessionConfig::with_heartbeat) below |
//! | aiohttp-sse-client2 | a loop around it as well: it ends at a cut and at each status that is not 200. It is the maintained successor of aiohttp-sse-client |
