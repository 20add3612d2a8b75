//! Slow readers and memory: what a slow reader sees, what it costs, and every limit with its default.
//!
//! A session has no queue. It is a place in logs that all sessions share, so that a slow reader costs
//! nothing but its place. One that is further behind than a log reaches meets its
//! [policy](crate::broker::LagPolicy). Here the log keeps four events, and four readers sleep through
//! ten:
//!
//! ```
//! use sansse::broker::{Audience, Broker, BrokerConfig, EndReason, Epoch, LagPolicy};
//! use sansse::broker::{SessionConfig, SessionId, Transmit};
//! use sansse::{Event, EventKey};
//! use std::time::Instant;
//! # let now = Instant::now();
//!
//! let mut config = BrokerConfig::new(Epoch(1));
//! config.retention.events = 4.try_into()?;
//! let mut broker = Broker::new(now, config)?;
//! let mut readers = Vec::new();
//! for policy in [
//!     LagPolicy::Close,
//!     LagPolicy::SkipToOldest,
//!     LagPolicy::SkipToNewest,
//!     LagPolicy::KeepNewestPerKey,
//! ] {
//!     let session = broker.open(now, SessionConfig::new().with_lag(policy))?.session;
//!     assert_eq!(read(&mut broker, now, session).0.len(), 1, "the first notice");
//!     readers.push(session);
//! }
//! for price in 1..=10 {
//!     let key = EventKey::new(if price % 2 == 0 { "even" } else { "odd" })?;
//!     broker.publish(now, Audience::Everyone, &Event::new(price.to_string()).with_key(key))?;
//! }
//! let gap = |lost| format!(r#"{{"stream":"gap","replayed":0,"lost":{lost},"reason":"lag"}}"#);
//!
//! // It is cut off. It comes back, and is told of the gap then.
//! let cut_off = Some(EndReason::Lagged { lost: 6 });
//! assert_eq!(read(&mut broker, now, readers[0]), (vec![], cut_off));
//! assert_eq!(read(&mut broker, now, readers[1]).0, [&gap(6), "7", "8", "9", "10"]);
//! // It goes on with the eleventh.
//! assert_eq!(read(&mut broker, now, readers[2]).0, [gap(10)]);
//! // Of each key the newest. What these superseded is no loss; what was gone before is.
//! assert_eq!(read(&mut broker, now, readers[3]).0, [&gap(6), "9", "10"]);
//!
//! /// Returns the data of all that a session has now, and why it ended, if it did.
//! fn read(
//!     broker: &mut Broker,
//!     now: Instant,
//!     session: SessionId,
//! ) -> (Vec<String>, Option<EndReason>) {
//!     let mut read = Vec::new();
//!     loop {
//!         let frame = match broker.poll_transmit(now, session) {
//!             Some(Transmit::Frame(frame)) => frame.payload(),
//!             Some(Transmit::Ended(reason)) => return (read, reason),
//!             None => return (read, None),
//!         };
//!         let text = String::from_utf8_lossy(&frame);
//!         let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
//!         read.extend(data.map(String::from));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which policy
//!
//! | Events are | Policy | A reader that is too far behind |
//! | --- | --- | --- |
//! | lines of a chat, orders: each counts | [`Close`](crate::broker::LagPolicy::Close), the default | is cut off, comes back, and is told how many are missing; the page then loads its state anew |
//! | a feed, where the last hour is enough | [`SkipToOldest`](crate::broker::LagPolicy::SkipToOldest) | stays, and goes on with the oldest that is kept, behind a notice |
//! | a picture of now | [`SkipToNewest`](crate::broker::LagPolicy::SkipToNewest) | stays, and goes on with the next one |
//! | states of many things, such as prices | [`KeepNewestPerKey`](crate::broker::LagPolicy::KeepNewestPerKey), with [keys](crate::EventKey), and a [compact](crate::broker::Retention::compact) log | gets the newest of each |
//!
//! A [`Lag`](crate::broker::Lag) sets closer bounds than the log's, such as 100 events. It is set for the
//! hub ([`SessionDefaults::lag`](crate::broker::SessionDefaults::lag)), for a
//! [topic](crate::Hub::set_lag), or for [a session](crate::broker::SessionConfig::with_lag), of which the
//! last wins. A replay is within any bounds.
//!
//! Two more things can happen to a reader that takes *nothing*:
//!
//! - After 60 s ([`stall_timeout`](crate::broker::SessionDefaults::stall_timeout)) its session ends as
//!   [`Stalled`](crate::broker::EndReason::Stalled). It comes back when it can, with its id.
//! - A publisher that waits, by [`publish_when_room`](crate::Hub::publish_when_room), is as fast as the
//!   slowest reader that reads, and waits 3 s for one that does not: [`Pace`](crate::broker::Pace).
//!
//! What is published **to one session or client** never pushes out what that session has yet to take. It
//! is refused with [`NoRoom`](crate::broker::PublishError::NoRoom), or waits.
//!
//! # Every limit, with its default
//!
//! This is compiled and run with the tests, so that it is true:
//!
//! ```
//! use sansse::answer::AnswerConfig;
//! use sansse::broker::{BrokerConfig, Epoch, LagPolicy};
//! use std::time::Duration;
//!
//! let config = BrokerConfig::new(Epoch(1));
//! const MIB: usize = 1 << 20;
//!
//! // Kept of the broadcast and of each topic: the first of the three that is reached.
//! assert_eq!(config.retention.events.get(), 8_192);
//! assert_eq!(config.retention.bytes.get(), 4 * MIB); // A larger event is refused.
//! assert_eq!(config.retention.age, Some(Duration::from_secs(5 * 60)));
//! // Kept for each client, and for each session that is published to alone.
//! assert_eq!(config.private_retention.events.get(), 256);
//! assert_eq!(config.private_retention.bytes.get(), MIB / 4);
//! assert_eq!(config.private_retention.age, Some(Duration::from_secs(5 * 60)));
//! // Kept by all logs of a shard together. The largest log gives way.
//! assert_eq!(config.limits.retained_bytes.get(), 256 * MIB);
//! // Which of them match the patterns in use: at most an eighth of that beside it.
//! assert_eq!(config.limits.pattern_events.get(), 8_192);
//!
//! // How far behind: as far as is kept, and then the connection is cut.
//! let lag = config.session.lag;
//! assert_eq!((lag.policy, lag.events, lag.bytes), (LagPolicy::Close, None, None));
//! // How long a session may have output and take none.
//! assert_eq!(config.session.stall_timeout, Some(Duration::from_secs(60)));
//! // How far ahead publishers may be that wait: half of what is kept.
//! assert_eq!((config.pace.events, config.pace.bytes), (None, None));
//! assert_eq!(config.pace.patience, Duration::from_secs(3));
//!
//! // How many of each.
//! let limits = &config.limits;
//! assert_eq!(limits.sessions.most.get(), 100_000);
//! assert_eq!(limits.sessions_per_client.most.get(), 256);
//! assert_eq!(limits.sessions_per_address.most.get(), 1_000);
//! assert_eq!((limits.topics, limits.subscribed_topics), (100_000, 100_000));
//! assert_eq!((limits.topics_per_session, limits.permitted_per_session), (64, 256));
//! assert_eq!(limits.subscriptions_per_client, 2_000);
//! assert_eq!(limits.subscriptions_per_address, 16_000);
//! assert_eq!((limits.absent_clients, limits.ended_topics), (100_000, 10_000));
//! assert_eq!(limits.unread_events.get(), 100_000);
//! // An answer holds one batch and one event; its reader may take nothing for 60 s.
//! assert_eq!(AnswerConfig::DEFAULT, AnswerConfig::DEFAULT
//!     .with_batch(64 << 10)
//!     .with_stall_timeout(Some(Duration::from_secs(60))));
//! ```
//!
//! The server of [`serve`](crate::serve::Server) adds 10,000 connections at most, or three quarters of the
//! files that it may open, and [64 MiB](crate::serve::Server::with_max_held_bytes) for all that peers have
//! not finished to send or to take. Of a peer that takes nothing it holds no more than the rest of one
//! event: what lies behind that stays in the log.
//!
//! # How much memory
//!
//! ```text
//!   memory =  sessions × ( 250 B  +  300 B if it has a client of its own  +  the connection )
//!          +  topics × 450 B
//!          +  kept events × ( encoded size + 110 B )     ≤ retained_bytes, plus 110 B each
//!          +  patterns                                   ≤ retained_bytes / 8
//!          +  held for peers                             ≤ 64 MiB   (serve)
//! ```
//!
//! - **A session** with the broadcast and three topics was measured at 250 bytes, with 10,000 of them as
//!   with a million. Each further subscription adds 16 bytes.
//! - **The connection** is what the HTTP stack makes of it. With `sansse-tokio`, an idle stream takes 1.1 kB
//!   of the process in all, session included. hyper and axum hold buffers of their own, and the kernel's
//!   socket buffers count apart: they hold what a slow reader has not taken yet.
//! - **A kept event** is encoded once for all who get it. Its size on the wire counts for the limits;
//!   what the log needs beside that does not, so that for very small events the logs take twice
//!   `retained_bytes`.
//! - **Shards** share the bytes of what is for everyone and for topics. The 110 bytes are spent in each
//!   shard, and each has its own limits: [`with_shards`](crate::hub::HubBuilder::with_shards).
//!
//! So 20,000 readers on tokio with the defaults take 22 MB, and at most 256 MiB of logs of ordinary
//! events, 32 MiB for patterns and 64 MiB for slow peers beside that. For a machine of 512 MiB, set
//! `retained_bytes` to 64 MiB.
//!
//! # Where to see it
//!
//! [`Counters`](crate::broker::Counters) has `retained_bytes`, `pattern_bytes`, `lost`, `superseded` and two
//! distributions: `lag`, in events, and `queue_age`, in microseconds. [Operating](super::operating) says
//! what to watch.
//!
//! # Next
//!
//! - [Resuming](super::resuming): what a reader gets that was cut off and comes back.
//! - [Operating](super::operating): metrics, and what each end of a session means.
//! - [An HTTP stack of your own](super::own_http_stack): write deadlines.
