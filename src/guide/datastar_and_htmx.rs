//! Pages by Datastar and by htmx: how to write the events that each wants, and what their sessions
//! need.
//!
//! Both let the server write the page: the stream carries HTML, and the library puts it in its place.
//! Neither is an `EventSource` in all, so that a few settings decide whether a page survives a restart
//! of the server. [What clients do](super::clients) has the table of what was seen.
//!
//! Two programs show it at work, and are tested in a browser, restarts included: `with-datastar` and
//! `with-htmx` of this project's `examples/`. The second is by htmx 4, and by htmx 2 as well.
//!
//! # Datastar
//!
//! Datastar takes events of two types, and passes over all others, such as notices. The data are lines
//! that begin with a word:
//!
//! ```
//! use sansse::{Event, event_type};
//!
//! /// Puts HTML into the page. Without a selector, it takes the place of the element of its id.
//! fn patch_elements(selector: &str, mode: &str, html: &str) -> Event {
//!     let mut data = format!("selector {selector}\nmode {mode}");
//!     // Each line needs the word before it.
//!     for line in html.lines() {
//!         data.push_str("\nelements ");
//!         data.push_str(line);
//!     }
//!     Event::new(data).with_type(event_type!("datastar-patch-elements"))
//! }
//!
//! /// Sets signals, which are the values that the page's expressions use.
//! fn patch_signals(json: &str) -> Event {
//!     Event::new(format!("signals {json}")).with_type(event_type!("datastar-patch-signals"))
//! }
//!
//! let said = patch_elements("#wall", "prepend", "<li>hello</li>");
//! assert_eq!(said.data(), Some("selector #wall\nmode prepend\nelements <li>hello</li>"));
//! let people = patch_signals(r#"{"people":3}"#);
//! assert_eq!(people.data(), Some(r#"signals {"people":3}"#));
//! ```
//!
//! The modes are `outer`, which is the default, `inner`, `replace`, `prepend`, `append`, `before`,
//! `after` and `remove`.
//!
//! The page asks for its stream like this:
//!
//! ```html
//! <body data-init="@get('/events', { retry: 'always', retryMaxCount: Infinity })">
//! ```
//!
//! - Without `retry: 'always'` a clean end is the end of all, and so are the stream of a
//!   [refusal](crate::hub::RefuseBy::Stream) and a 503. Of the first two the page is told nothing. With it
//!   the page is back after each, and a 204 still ends it.
//! - Without `retryMaxCount` it gives up after ten failures in a row. With the waits growing up to 30 s
//!   that is about two minutes and a half.
//! - A page that is hidden lets go of its stream, and is back with its place when it is seen. With
//!   `openWhenHidden: true` it reads on.
//! - A page sees by the event `datastar-fetch` what happens to its stream: `detail.type` is `retrying`
//!   or `error` where it was lost, and the type of each event that comes.
//! - Signals go with each request, in the query, unless their names begin with `_` or `filterSignals`
//!   leaves them out.
//!
//! # htmx
//!
//! In htmx 4 with its extension `hx-sse`, an event of no type is HTML for the target of the element
//! that has the stream. In htmx 2 with the extension `sse`, the type of the events is what `sse-swap`
//! says, and `message` stands for none:
//!
//! ```html
//! <!-- htmx 4 -->
//! <ol hx-sse:connect="/events" hx-swap="beforeend"></ol>
//!
//! <!-- htmx 2 -->
//! <div hx-ext="sse" sse-connect="/events"><ol sse-swap="message" hx-swap="beforeend"></ol></div>
//! ```
//!
//! So a stream of events of no type serves both. What belongs elsewhere on the page says so by
//! `hx-swap-oob`:
//!
//! ```
//! use sansse::{Event, event_key};
//!
//! let said = Event::new("<li>hello</li>");
//! // Of the numbers only the newest is of use.
//! let people = Event::new(r#"<span id="people" hx-swap-oob="true">3</span>"#)
//!     .with_key(event_key!("people"));
//! ```
//!
//! An event with a type is another matter in each. htmx 2 swaps it where `sse-swap` names it, and
//! `hx-trigger="sse:price"` makes a request of it. htmx 4 never swaps it: it becomes an event of the page
//! on the element that has the stream, so that `hx-trigger="price from:#feed"` makes the request.
//!
//! ```
//! use sansse::{Event, event_type};
//!
//! let price = Event::new("1,902.5").with_type(event_type!("price"));
//! ```
//!
//! Both htmx come back after each end that is no answer of its own: a clean one, a cut, a restart. But
//!
//! - **after a 204 both ask on**, htmx 4 twice a second. Where a stream can be over, name an event that
//!   says so: `hx-sse:close="done"` in htmx 4, `sse-close="done"` in htmx 2;
//! - **a 503 costs htmx 2 its place**, since it makes a new `EventSource`. A hub
//!   [refuses by a stream](crate::hub::RefuseBy::Stream) by default, and a
//!   [proxy](super::behind_proxies) can do so too;
//! - **a hidden page lets go of its stream** in htmx 4, and is back with its place when it is seen. With
//!   `hx-config='{"sse": {"pauseOnBackground": false}}'` it reads on.
//!
//! # What the session needs
//!
//! ```
//! # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
//! use sansse::broker::{BrokerConfig, Epoch, OnUnknownId, SessionConfig, StartAt, StreamEnd};
//! use sansse::hub::HubBuilder;
//! use sansse::{Event, event_type};
//! use std::time::Duration;
//!
//! let mut config = BrokerConfig::new(Epoch(0x5eed));
//! // All of them obey it. A restart takes a page this long.
//! config.reconnect.retry = Some(Duration::from_secs(1));
//! // A page that was there before a restart gets all that was published since. Keep little, then.
//! config.session.on_unknown_id = OnUnknownId::ReplayKept;
//! // A page can see this, and say so when nothing came for long. For htmx it has a type, so that it is
//! // swapped into nothing; for Datastar it is an event of `datastar-patch-signals` with `signals {}`.
//! let heartbeat = Event::new("").with_type(event_type!("heartbeat"));
//! config.session.heartbeat_event = Some(heartbeat);
//! // The default: streams that go on elsewhere are cut off, and no page takes that for the end.
//! let builder = HubBuilder::new(config).with_early_end(StreamEnd::Cut);
//! # let (hub, drive) = builder.build(timer)?;
//!
//! // A page that is loaded begins with what is kept, and one that comes back with what it missed.
//! let session = SessionConfig::new().with_start(StartAt::Oldest);
//! // Where a stream can be over, this takes the place of a 204.
//! let session = session.with_event_when_over(Event::new("").with_type(event_type!("done")));
//! # let _ = hub.open(session)?;
//! # Ok(()) }
//! ```
//!
//! Events are HTML that the library trusts: whatever a user wrote has to be escaped before, as templates
//! do it by themselves.
//!
//! # How the scripts come to the page
//!
//! htmx is on npm as `htmx.org`, with the extension for version 4 in it as `dist/ext/hx-sse.js`, and that for
//! version 2 as `htmx-ext-sse`. Of Datastar npm has only versions from before 1.0, whose events have other names;
//! version 1 is a file that its project publishes, to be served as one's own.
