//! Operating: health, metrics, logs, limits, deploys, and what each end and each refusal asks you to do.
//!
//! A server with a health check, and a shutdown that lets its readers go one after the other:
//!
//! ```no_run
//! use sansse::broker::{BrokerConfig, Drain, SessionConfig};
//! use sansse::{hub::HubBuilder, serve::Server};
//! use sansse_tokio::{TokioAcceptor, TokioRuntime};
//! use std::time::Duration;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let builder = HubBuilder::new(BrokerConfig::new(sansse_tokio::random_epoch()));
//! let (hub, drive) = builder.build(TokioRuntime)?;
//! let driver = tokio::spawn(drive);
//! let listener = TokioAcceptor::new(tokio::net::TcpListener::bind("127.0.0.1:8080").await?);
//! let (streams, draining) = (hub.clone(), hub.clone());
//!
//! let shutdown = async move {
//!     drop(tokio::signal::ctrl_c().await); // A service gets SIGTERM.
//!     let [over, patience, retry, spread] = [5, 5, 12, 8].map(Duration::from_secs);
//!     let drain = Drain::new(over).with_patience(patience).with_retry(retry, spread);
//!     if draining.drain(drain).is_ok() {
//!         let _ = driver.await; // It ends with the last session.
//!     }
//! };
//! let server = Server::new(TokioRuntime, hub);
//! let counters = server.counters();
//! server.serve(listener, shutdown, move |request| {
//!     let answer = match request.uri().path() {
//!         "/healthz" => {
//!             let health = streams.health();
//!             let status = if health.is_ready() { 200 } else { 503 };
//!             let text = format!("{health}, {} open\n", counters.snapshot().open);
//!             let response = http::Response::builder().status(status).body(text.into());
//!             response.expect("the status is valid").into()
//!         }
//!         _ => streams.accept(&request, SessionConfig::new()),
//!     };
//!     async { answer }
//! })
//! .await;
//! # Ok(()) }
//! ```
//!
//! # Health
//!
//! [`Hub::health`](crate::Hub::health) is `ready`, `starting` until its driver was polled, `draining`,
//! `closed`, or `not-driven`. The last one does not heal: restart the process. Let a load balancer send
//! requests only where it is `ready`.
//!
//! # Metrics
//!
//! With the feature `metrics`, [`Hub::record_metrics`](crate::Hub::record_metrics) and
//! [`ServerCounters::record_metrics`](crate::serve::ServerCounters::record_metrics) hand all counts to the
//! recorder of the `metrics` crate. Call both before the recorder is read. Without the feature,
//! [`Hub::counters`](crate::Hub::counters) has the same numbers. A test compares these tables with what is
//! recorded.
//!
//! | The hub | Kind | Unit, labels | What to see in it |
//! | --- | --- | --- | --- |
//! | `sansse_sessions` | gauge | sessions | how many streams are open |
//! | `sansse_sessions_waiting` | gauge | sessions | those of them whose id is [ahead](super::resuming#several-nodes) of this node; many: this node lags |
//! | `sansse_clients` | gauge | clients | those with a session, and those gone for less than the grace time |
//! | `sansse_clients_absent` | gauge | clients | those elsewhere for whom [events are kept](super::resuming#several-nodes); at `absent_clients` the longest absent goes |
//! | `sansse_topics` | gauge | topics and patterns, for each shard | growth without end: names that nobody ends |
//! | `sansse_subscribed_topics` | gauge | the same | those that exist only because somebody subscribed |
//! | `sansse_retained_bytes` | gauge | bytes | what all logs keep; at `retained_bytes` the largest log gives way |
//! | `sansse_pattern_bytes` | gauge | bytes | what patterns in use cost |
//! | `sansse_sessions_opened` | counter | sessions, by `resume`: `live`, `oldest`, `last`, `complete`, `gap`, `unknown`, `other-epoch`, `ahead`, `waiting`, `forged` | `gap`: readers were away for longer than is kept. `other-epoch`: after a restart. `ahead`: a node lags for longer than its readers wait. `waiting`: those that ended before they were decided. `forged`: somebody tries |
//! | `sansse_sessions_refused` | counter | sessions, by `reason`: [below](#refusals) | anything but `topics-ended` |
//! | `sansse_sessions_ended` | counter | sessions, by `reason`: [below](#ends) | `lagged`, `stalled`, `gave-way` |
//! | `sansse_events_published` | counter | events, once for all shards | |
//! | `sansse_bytes_published` | counter | bytes, encoded | |
//! | `sansse_events_delivered` | counter | events, once for each session | the work done |
//! | `sansse_bytes_delivered` | counter | bytes, encoded, without what HTTP adds | |
//! | `sansse_events_replayed` | counter | events | what returning readers cost |
//! | `sansse_events_lost` | counter | events, by `reason`: `closed`, `skipped`, `undelivered` | readers that are too slow, or a retention that is too short |
//! | `sansse_cuts` | counter | how often the log outside lost events, or may have | any: every reader was told of a gap |
//! | `sansse_events_superseded` | counter | events | no loss: a newer one of the key went out |
//! | `sansse_heartbeats` | counter | heartbeats | |
//! | `sansse_panics` | counter | calls of your code that panicked, `of`: `listener`, `waker`, `value` | any: see the log |
//! | `sansse_drivers_lost` | counter | 0 or 1 | 1: restart |
//! | `sansse_queue_age_microseconds_bucket` | counter | deliveries, by `le` in microseconds since the publish | the upper end: readers or this process fall behind |
//! | `sansse_lag_events_bucket` | counter | deliveries, by `le` in events published to the topic since | how near readers come to the retention |
//!
//! A bucket counts the buckets before it too, as Prometheus has it.
//!
//! | The server of `serve` | Kind | Unit, labels | What to see in it |
//! | --- | --- | --- | --- |
//! | `sansse_server_connections` | gauge | connections | those open |
//! | `sansse_server_max_connections` | gauge | connections | how many may be: alarm at 80 % |
//! | `sansse_server_held_bytes` | gauge | bytes | what is held for peers, of 64 MiB by default |
//! | `sansse_server_most_held_bytes` | gauge | bytes | the most that it was |
//! | `sansse_server_connections_accepted` | counter | connections | |
//! | `sansse_server_connections_refused` | counter | connections | those that were too many |
//! | `sansse_server_accept_errors` | counter | errors | too many open files |
//! | `sansse_server_requests` | counter | requests | |
//! | `sansse_server_requests_foreign` | counter | requests | of other hosts or origins, by [`with_hosts`](crate::serve::Server::with_hosts) |
//! | `sansse_server_requests_abandoned` | counter | requests | the peer left before its answer |
//! | `sansse_server_requests_slow` | counter | connections | head or body did not come in time |
//! | `sansse_server_requests_bad` | counter | connections | no valid HTTP, or beyond a limit |
//! | `sansse_server_streams` | counter | streams | sessions and answers |
//! | `sansse_server_answers_failed` | counter | answers | your stream of events failed |
//! | `sansse_server_answers_stalled` | counter | answers | the reader took nothing for 60 s |
//! | `sansse_server_junk_after_stream` | counter | streams | the peer sent bytes behind its request |
//! | `sansse_server_given_up` | counter | connections, by `what`: `request`, `stream`, `answer` | too much is held: more memory, or an attack |
//!
//! A node of a [realm](super::many_nodes) counts too: call
//! `Realm::record_metrics` as well.
//!
//! | Metric | Kind | Counts | What to see in it |
//! | --- | --- | --- | --- |
//! | `sansse_realm_health` | gauge | 1 for the `state` that the node is in: `joining`, `ready`, `stale`, `down`, `ended` | any but `ready` for long |
//! | `sansse_realm_queued_records` | gauge | events that wait to be appended | growth: more is published than the engine takes |
//! | `sansse_realm_queued_bytes` | gauge | bytes of these | of 16 MiB by default |
//! | `sansse_realm_records_appended` | counter | events that the engine has confirmed | |
//! | `sansse_realm_batches_appended` | counter | appends of these | how many events share one |
//! | `sansse_realm_records_applied` | counter | events read from the log, of all nodes | the same rate on each node |
//! | `sansse_realm_records_unreadable` | counter | events of the log that this version cannot read | any: update this node |
//! | `sansse_realm_holes` | counter | times that positions were missing | any: readers were told of a gap |
//! | `sansse_realm_cuts` | counter | times that the engine said that it may have lost something | as after each of its restarts |
//! | `sansse_realm_publishes_refused` | counter | publishes, by `reason`: `busy`, `engine-down`, `unconfirmed` | any |
//! | `sansse_realm_engine_failures` | counter | times that the engine failed | growth: it fails again and again |
//! | `sansse_realm_engine_reconnects` | counter | times that it was there again | |
//!
//! With a [`RealmPresence`](super::many_nodes#who-is-there) the same call hands over what that counts:
//!
//! | Metric | Kind | Counts | What to see in it |
//! | --- | --- | --- | --- |
//! | `sansse_presence_clients` | gauge | clients on all nodes, with those in their grace time | the same on each node |
//! | `sansse_presence_other_nodes` | gauge | nodes that are there, beside this one | one less than there are |
//! | `sansse_presence_records_said` | counter | records of this node | each takes a position |
//! | `sansse_presence_pages_said` | counter | those of them that were pages of its list | growth: others miss what it says, or too much changes at once |
//! | `sansse_presence_records_failed` | counter | records that the engine did not take for certain | as engine failures |
//! | `sansse_presence_lists_unknown` | counter | times that another node's list was not known | growth: the log loses something |
//! | `sansse_presence_nodes_lapsed` | counter | nodes that were given up without a word | any: it was killed, or lost the engine |
//! | `sansse_presence_clients_left_out` | counter | times that a client was not taken up | any: more clients than may be known |
//! | `sansse_presence_records_ignored` | counter | records passed over | any: more nodes than may be known, or newer ones |
//!
//! # Ends
//!
//! Each session ends once, with an [`EndReason`](crate::broker::EndReason). Cut means that the reader is shown
//! that something may follow; early means that [`with_early_end`](crate::hub::HubBuilder::with_early_end) says
//! which, a cut by default.
//!
//! | Reason | On the wire | What it means | What to do |
//! | --- | --- | --- | --- |
//! | `disconnected` | – | the peer left, or its network did | nothing |
//! | `closed` | clean | your code closed the session | nothing |
//! | `topics-ended` | clean | all that it listened to has ended | nothing |
//! | `shutdown` | early | the hub was closed | drain instead, so that readers are told when to come back |
//! | `drained` | early | its turn in a drain came | nothing |
//! | `max-age` | early | it had the [maximum age](crate::broker::SessionDefaults::max_age) | nothing |
//! | `lagged` | cut | further behind than is kept, or than its [lag](crate::broker::Lag) | more retention, fewer events, or another [policy](super::slow_readers#which-policy) |
//! | `stalled` | cut | it took nothing for the stall timeout | nothing for a few; for many, look at the network in front |
//! | `gave-way` | cut | its connection held more than the server has room for | more [held bytes](crate::serve::Server::with_max_held_bytes), smaller events |
//! | `evicted` | cut | a newer session took its place, by [`EvictOldest`](crate::broker::LimitPolicy::EvictOldest) | more sessions for a client |
//! | `lease-expired` | cut | its [lease](crate::broker::SessionConfig::with_lease) was not renewed | renew at `LeaseExpiring`, if it may stay |
//! | `revoked` | cut | your code took its rights | nothing |
//! | `aborted` | cut | it had not taken all when a drain's patience was over, or `abort` was called | more patience, if it is worth that |
//!
//! # Refusals
//!
//! What is for now is answered by a stream that says when to come back, since an `EventSource` never asks again
//! after a status of 429 or 503: [`RefuseBy`](crate::hub::RefuseBy). POST gets the status, as everybody does with
//! `RefuseBy::Status`. The others always get the status.
//!
//! | Reason | Status | For | What it means | What to do |
//! | --- | --- | --- | --- | --- |
//! | `closing` | 503 | now | the hub drains or is closed | nothing; another process takes over |
//! | `joining` | 503 | now | the node of a realm has not read yet what there was | nothing; if it lasts, see to the engine |
//! | `sessions` | 503 | now | as many as [may be](crate::broker::BrokerLimits::sessions) | raise it with the memory, or add a process |
//! | `client` | 429 | now | the client has as many | fewer tabs, or [`EvictOldest`](crate::broker::LimitPolicy::EvictOldest) |
//! | `address` | 429 | now | so many are behind one [address](crate::broker::BrokerLimits::sessions_per_address) | raise it for mobile networks; check that the proxy's own address is not taken for the peer's |
//! | `topics` | 503, 429 | now | too many names are subscribed to, or too many subscriptions of one client or address | [permit](crate::broker::SessionConfig::with_permitted) only names that exist |
//! | `unread-events` | 503 | now | nobody takes the broker's events | only without a hub: poll them |
//! | `not-permitted` | 403 | good | a topic that the session may not have | nothing, or a bug in the page |
//! | `topics-ended` | 204 | good | all that it asks for is over | nothing; [`with_event_when_over`](crate::broker::SessionConfig::with_event_when_over) for readers that take 204 for a failure |
//! | `invalid` | 400, 403, 500 | good | too many topics for one session, a lease in the past, or a configuration that cannot hold | 500 is a bug of your own |
//!
//! # Logs
//!
//! With the feature `tracing`:
//!
//! | Target | Level | What |
//! | --- | --- | --- |
//! | `sansse::hub` | debug | clients and sessions that come and go |
//! | | info | a drain is complete |
//! | | warn | a session lost events, or ended as `lagged`, `stalled` or `gave-way` |
//! | | error | the driver is gone: restart |
//! | `sansse::serve` | info | the limits in force, once |
//! | | warn | a connection could not be accepted, every 10 s at most; too much is held, each after twice as many as before |
//! | `sansse::answer` | warn | an answer's stream failed, with its error |
//! | `sansse::panic` | error | your code panicked |
//!
//! Neither what is published nor last event ids are in a log. Client ids are.
//!
//! # Limits
//!
//! All limits of the hub and their defaults are under [slow
//! readers](super::slow_readers#every-limit-with-its-default). The server's:
//!
//! | Limit | Default | At the limit |
//! | --- | --- | --- |
//! | [connections](crate::serve::Server::with_max_connections) | 10,000, or three quarters of the files that the process may open | told to come back |
//! | [held bytes](crate::serve::Server::with_max_held_bytes) | 64 MiB | the peer that holds most gives way |
//! | [head](crate::http1::ServerConnectionConfig::with_max_head_size), header lines | 16 KiB, 100 | 431 |
//! | [body](crate::http1::ServerConnectionConfig::with_max_body_size) | 1 MiB | 413 |
//! | time for a head, a body, an answer | 10 s, 30 s, 30 s | closed; 408 for a body |
//! | time between two requests | 30 s | closed |
//! | [shutdown](crate::serve::Server::with_shutdown_time) | 10 s | the rest is aborted |
//!
//! **Open files come first.** Each stream is one, and many systems start a service with 1,024: then 768 connections
//! are taken. Raise the limit (`LimitNOFILE=65536` in a unit of systemd, `ulimit -n` in a shell) and set
//! `with_max_connections` for more than 10,000. The log says at the start which limits are in force.
//!
//! # Deploys
//!
//! With `n` readers, a [drain](crate::broker::Drain) over a period lets `n / period` go in a second, and they
//! come back `n / (period + spread)` in a second, if they obey `retry`.
//!
//! 1. Let the load balancer send no more here; the health check says `draining` as soon as the drain begins.
//! 2. Drain. Where another process takes over, no `retry` is needed. Where this one is started anew, the least
//!    `retry` is the period and the patience together, as in the example above.
//! 3. Give the supervisor more time than period, patience and the server's shutdown time together: 20 s there.
//! 4. The new process has another [epoch](crate::broker::Epoch). Readers are told of a gap of unknown size, or
//!    [resume](super::resuming#restarts) where that was provided for.
//!
//! A proxy that answers 502 meanwhile ends every page that comes back just then: [behind
//! proxies](super::behind_proxies) shows how to keep it from that.
//!
//! # A record for the worst case
//!
//! A fault that happens in production alone can be made a test: [`record`](crate::record) writes each call of a
//! hub's brokers.
//!
//! # Next
//!
//! - [Slow readers](super::slow_readers): memory, and every limit of the hub.
//! - [Behind proxies](super::behind_proxies): nginx, HAProxy and Caddy.
//! - [Resuming](super::resuming): what readers see of a restart.
