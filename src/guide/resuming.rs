//! Resuming, and what a gap is: what a reader gets that comes back, and what it is told is missing.
//!
//! Each event has an id that names its position in the stream. A reader that comes back sends the last
//! one that it got, and gets what came after it: all of it, once, in order. Where something is kept no
//! more, it is told how many events that is:
//!
//! ```
//! use sansse::broker::{Audience, Broker, BrokerConfig, Epoch, Resumption};
//! use sansse::broker::{SessionConfig, Transmit};
//! use sansse::{Event, LastEventId};
//! # let now = std::time::Instant::now();
//!
//! let mut config = BrokerConfig::new(Epoch(0xbeef));
//! config.retention.events = 3.try_into()?;
//! let mut broker = Broker::new(now, config)?;
//! for word in ["one", "two", "three", "four", "five"] {
//!     broker.publish(now, Audience::Everyone, &Event::new(word))?;
//! }
//! let mut resume = |id: &str| {
//!     let last = LastEventId::from_header(id.as_bytes());
//!     let opened = broker.open(now, SessionConfig::new().with_last_event_id(last)).unwrap();
//!     let first = match broker.poll_transmit(now, opened.session) {
//!         Some(Transmit::Frame(frame)) => frame.payload(),
//!         nothing => panic!("{nothing:?}"),
//!     };
//!     (opened.resumption, String::from_utf8_lossy(&first).into_owned())
//! };
//!
//! let (outcome, first) = resume("beef-3");
//! assert_eq!(outcome, Resumption::Complete { replayed: 2 });
//! assert!(first.contains(r#"{"stream":"complete","replayed":2,"lost":0,"reason":null}"#));
//!
//! // "two" is gone.
//! let (outcome, first) = resume("beef-1");
//! assert_eq!(outcome, Resumption::Gap { replayed: 3 });
//! assert!(first.contains(r#"{"stream":"gap","replayed":3,"lost":1,"reason":"retention"}"#));
//!
//! // Of a process before this one: nobody knows what is missing.
//! let (outcome, first) = resume("dead-3");
//! assert_eq!(outcome, Resumption::OtherEpoch { replayed: 0 });
//! assert!(first.contains(r#"{"stream":"gap","replayed":0,"lost":null,"reason":"restart"}"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A browser does its part by itself: an `EventSource` keeps the last id and sends it as
//! `Last-Event-ID`. [`Hub::accept`](crate::Hub::accept) reads that header, or a parameter of the query
//! where a client cannot set headers.
//!
//! # What is promised
//!
//! 1. **Nothing is lost without a word.** A reader that comes back gets all that is kept after its place,
//!    and is told of what is not. That holds from the first byte on: each stream begins with a
//!    [notice](crate::broker#what-a-peer-is-told) that has an id, so that a reader whose connection breaks
//!    before the first event has a place too.
//! 2. **Once, and in order.** Positions count all publishes, whatever their topics. One id resumes a session
//!    of many topics, and what several subscriptions match comes once.
//! 3. **A stream that is cut never looks complete.** So every reader knows that it is to come back.
//!
//! This is between the hub and a reader that keeps ids as the standard says. It does not cover an event
//! that the page got and did not act upon, and what was published before the process ended: the log lives
//! in memory.
//!
//! # What a reader sees
//!
//! | It comes | [`Resumption`] | The first notice | What is replayed |
//! | --- | --- | --- | --- |
//! | without an id | `Live`, or `Oldest` and `Last` by [`with_start`] | `live`, `kept` | nothing, or as the start says |
//! | with an id of this stream, and all since is kept | `Complete` | `complete` | all since |
//! | the same, and something is gone | `Gap` | `gap`, a number, `retention` | what is kept since; nothing with [`OnGap::StartNow`] |
//! | with an id of an earlier process | `OtherEpoch` | `gap`, `null`, `restart` | as without an id; all that is kept with [`OnUnknownId::ReplayKept`] |
//! | with nonsense, or an own id that is gone | `UnknownId` | `gap`, `null`, `unknown-id` or `malformed-id` | the same |
//! | with a place that was not given out yet | `Ahead` | `gap`, `null`, `ahead` | the same |
//! | the same, where it [waits](#several-nodes) | `Waiting`, then one of these | none before it is decided | as is decided |
//! | with an id whose code is wrong | `Forged` | `gap`, `null`, `forged-id` | nothing |
//!
//! A page that can load its state does so at each gap:
//!
//! ```text
//! source.addEventListener("sansse-notice", event => {
//!   const { stream, lost, reason } = JSON.parse(event.data);
//!   if (lost !== 0) loadEverythingAnew();        // a number, or null where it is not known
//! });
//! ```
//!
//! This library's client takes notices out of the stream and gives
//! [`SourceEvent::Lost`](crate::SourceEvent::Lost) in their place. On the server,
//! [`Session::resumption`](crate::hub::Session::resumption) has the outcome of one session, and
//! [`Counters::resumed`](crate::broker::Counters::resumed) those of all.
//!
//! # How long one may be away
//!
//! As long as the events are kept: by default 5 minutes, 8,192 events and 4 MiB for the broadcast and for
//! each topic, whichever is reached first. [`BrokerConfig::retention`] sets it for all, and
//! [`Hub::set_retention`](crate::Hub::set_retention) for one topic. What is for one client is kept for
//! [30 s](crate::broker::BrokerConfig::client_grace) after its last session. What bounds the bytes that one
//! request can ask for is listed under [what a replay costs](crate::broker#what-a-replay-costs).
//!
//! A page that is loaded for the first time has no id. Let it begin with the last lines by
//! [`StartAt::Last`](crate::broker::StartAt::Last), or with all by
//! [`StartAt::Oldest`](crate::broker::StartAt::Oldest). A page that loads its state by another request opens the
//! stream first, and asks for the state when the stream is open. So nothing falls in between. What comes
//! twice, the page tells by a number or a key in the data.
//!
//! # Restarts
//!
//! Positions begin anew with each process, and the [`Epoch`] tells processes apart: the adapters draw a
//! random one. So after a restart each reader is told of a gap of unknown size, and never wrongly that it
//! has everything. To bridge a restart, in the order of effort:
//!
//! - Keep the stream [in a file, or on a Redis](super::many_nodes). Then readers miss nothing, and are told so.
//! - Let pages load their state at a gap, as above.
//! - Publish again what belongs to the recent past before the first session opens, and set
//!   [`SessionDefaults::on_unknown_id`] to [`OnUnknownId::ReplayKept`]. Readers get all of it, also what they
//!   have; with [keys](crate::EventKey) or ids in the data they can tell.
//! - Publish them again with [ids of their own](#ids-of-your-own), such as those of a database. A reader then goes on
//!   after the one that it has, while that is kept. Set [`EventIds::Own`], so that no reader holds an id of the
//!   process's.
//! - Let one [`Sequencer`] number for all processes of a stream, and each broker
//!   [apply](crate::broker::ShardMut::apply) what it gives. A broker that starts applies the recent events in
//!   the same epoch, and every id is good on every process. What was for single clients is a gap then,
//!   unless it is [kept](#several-nodes).
//!
//! # Several nodes
//!
//! Where several nodes [apply](crate::broker::ShardMut::apply) one log, each can resume a reader of any
//! other. Two settings let that be exact:
//!
//! - [`SessionDefaults::ahead_wait`]: a node is often some milliseconds behind another, so that a reader
//!   that changes between them brings an id of what this node has not applied yet. With `Some(2 s)` its
//!   session opens and waits, with heartbeats and without a word about its place. When the position has
//!   come, it resumes as if it had been opened then, and
//!   [`BrokerEvent::SessionResumed`](crate::broker::BrokerEvent::SessionResumed) tells how. After the time
//!   it is told of a gap, as without the setting.
//! - [`BrokerConfig::keeps_for_absent`]: what is for one client is kept on nodes that have no session of
//!   it, as for a client that has just left.
//!
//! A hub that joins a realm has both (feature `cluster`). What is fed by hand sets them itself:
//!
//! ```
//! use sansse::broker::{BrokerConfig, Epoch};
//! use std::time::Duration;
//!
//! let mut config = BrokerConfig::new(Epoch(0xbeef));
//! config.session.ahead_wait = Some(Duration::from_secs(2));
//! config.keeps_for_absent = true;
//! # assert!(sansse::broker::Broker::new(std::time::Instant::now(), config).is_ok());
//! ```
//!
//! # Ids of your own
//!
//! An event that brings an id keeps it, and a reader can resume from it while it is kept. With
//! [`EventIds::Assigned`], the default, all other events get ids as well. With [`EventIds::Own`] no event
//! gets one, and a reader that breaks off between two ids gets events twice.
//!
//! ```
//! use sansse::broker::{Audience, Broker, BrokerConfig, Epoch, Resumption, SessionConfig};
//! use sansse::{Event, EventId, LastEventId};
//! # let now = std::time::Instant::now();
//!
//! let mut broker = Broker::new(now, BrokerConfig::new(Epoch(0xbeef)))?;
//! for row in [4711, 4712] {
//!     let id = EventId::new(format!("orders:{row}"))?;
//!     broker.publish(now, Audience::Everyone, &Event::new(format!("row {row}")).with_id(id))?;
//! }
//! let last = LastEventId::from_header(b"orders:4711");
//! let opened = broker.open(now, SessionConfig::new().with_last_event_id(last))?;
//! assert_eq!(opened.resumption, Resumption::Complete { replayed: 1 });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An id must come back as it was sent: not empty, at most 1,024 bytes, no space at its ends. Others are
//! [refused](crate::broker::PublishError::UnusableId) when they are published.
//!
//! # Signed ids
//!
//! A plain id is easily made up, and asks for all that is kept. It also tells how much was published to
//! others. With the feature `signed`, [`CursorKeys`] in [`BrokerConfig::cursor_keys`] sign each id: a reader
//! can come back only to a place that it was given, and `hiding_places` encrypts the place. The secret has to
//! be the same on all machines of a stream. An id proves that it was given out, and not to whom: what a
//! reader may hear is for [`with_permitted`](crate::broker::SessionConfig::with_permitted) to say.
//!
//! ```
//! # #[cfg(feature = "signed")] {
//! use sansse::broker::{BrokerConfig, CursorKeys, Epoch};
//!
//! # let secret = [0x5a; 32];
//! let mut config = BrokerConfig::new(Epoch(0xbeef));
//! // 32 random bytes, from the deployment's secrets.
//! config.cursor_keys = Some(CursorKeys::new(&secret)?.for_stream("prices").hiding_places());
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Next
//!
//! - [Slow readers](super::slow_readers): gaps in the middle of a stream.
//! - [Testing](super::testing): a client that loses its connection, in a test.
//! - [Language models](super::language_models): a stream that has an end, resumed.
//!
//! [`Resumption`]: crate::broker::Resumption
//! [`with_start`]: crate::broker::SessionConfig::with_start
//! [`OnGap::StartNow`]: crate::broker::OnGap::StartNow
//! [`OnUnknownId::ReplayKept`]: crate::broker::OnUnknownId::ReplayKept
//! [`BrokerConfig::retention`]: crate::broker::BrokerConfig::retention
//! [`BrokerConfig::keeps_for_absent`]: crate::broker::BrokerConfig::keeps_for_absent
//! [`SessionDefaults::ahead_wait`]: crate::broker::SessionDefaults::ahead_wait
//! [`BrokerConfig::cursor_keys`]: crate::broker::BrokerConfig::cursor_keys
//! [`Epoch`]: crate::broker::Epoch
//! [`SessionDefaults::on_unknown_id`]: crate::broker::SessionDefaults::on_unknown_id
//! [`EventIds::Assigned`]: crate::broker::EventIds::Assigned
//! [`EventIds::Own`]: crate::broker::EventIds::Own
//! [`Sequencer`]: crate::broker::Sequencer
//! [`CursorKeys`]: crate::broker::CursorKeys
