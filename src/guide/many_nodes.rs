//! Many nodes, and restarts that lose nothing: which engine, what it has to be set to, what a reader is told when
//! something fails, and how large it all becomes.
//!
//! A hub that is alone keeps its stream in memory: a restart forgets it, and a second process knows nothing of it. A
//! [realm](crate::cluster) is a stream whose log an engine keeps. Each process that follows it is a node, and a reader
//! may come back to any of them, with the id of the last event that it got anywhere.
//!
//! | You have | Take | What the log is |
//! | --- | --- | --- |
//! | one process, which is restarted | `RedbLog` of the crate `sansse-redb` | a file |
//! | several processes behind a load balancer | `RedisLog` of the crate `sansse-redis` | two keys in a Redis or Valkey |
//! | a test | [`MemoryLog`](crate::cluster::MemoryLog) | memory |
//! | another database | a [`Log`](crate::cluster::Log) of your own: four methods | |
//!
//! The rest of the program is the same for all of them. With Redis on tokio it takes these crates:
//!
//! ```text
//! cargo add sansse --features cluster
//! cargo add sansse-redis sansse-tokio http
//! cargo add tokio --features macros,net,rt-multi-thread,signal
//! ```
//!
//! ```no_run
//! use sansse::broker::{Audience, BrokerConfig, Epoch, SessionConfig};
//! use sansse::cluster::{Log, NodeConfig, Realm};
//! use sansse::hub::{Answer, HubBuilder};
//! use sansse::{Event, Hub, serve::Server};
//! use sansse_redis::{RedisLog, RedisLogConfig};
//! use sansse_tokio::{TokioAcceptor, TokioConnector, TokioRuntime};
//! use sansse_tokio::{random_node, random_seed, spawn_hub};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
//!     let config = RedisLogConfig::from_url("redis://127.0.0.1:6379")?;
//!     let log = RedisLog::new("chat", config, TokioConnector, TokioRuntime)?;
//!     // The epoch is the realm's, on all nodes and in all their lives. `RedbLog` has it in its file.
//!     node(address, log, Epoch::of_name("chat")).await
//! }
//!
//! async fn node(
//!     address: String,
//!     log: impl Log,
//!     epoch: Epoch,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let hub = spawn_hub(HubBuilder::new(BrokerConfig::new(epoch)))?;
//!     // Another one in each life of each process. A random one will do with any engine.
//!     let node = NodeConfig::new(random_node(), random_seed());
//!     let realm = Realm::join(hub.clone(), log, node, &TokioRuntime)?;
//!
//!     let (publisher, text) = (realm.clone(), format!("hello from {address}"));
//!     tokio::spawn(async move {
//!         // It waits for as long as the engine cannot be used.
//!         if publisher.ready().await {
//!             // Ready when the engine has it. Every node delivers it, this one as well.
//!             let published = publisher.publish(Audience::Everyone, &Event::new(text)).await;
//!             println!("{published:?}");
//!         }
//!     });
//!     // The server answers at once, and says to a balancer that the node is not ready yet.
//!     let listener = TokioAcceptor::new(tokio::net::TcpListener::bind(&address).await?);
//!     let leaving = realm.clone();
//!     let shutdown = async move {
//!         drop(tokio::signal::ctrl_c().await);
//!         leaving.shut_down().await;
//!     };
//!     let server = Server::new(TokioRuntime, hub.clone());
//!     let serving = server.serve(listener, shutdown, move |request| {
//!         let answer = match request.uri().path() {
//!             "/health" => health(&hub, &realm),
//!             _ => hub.accept(&request, SessionConfig::new()),
//!         };
//!         async { answer }
//!     });
//!     serving.await;
//!     Ok(())
//! }
//!
//! /// The node says whether it has what readers come for, and the hub whether it lets them in.
//! fn health(hub: &Hub, realm: &Realm) -> Answer {
//!     let (hub, node) = (hub.health(), realm.health());
//!     let serves = hub.is_ready() && node.serves();
//!     let said = if node.serves() && !serves { hub.to_string() } else { node.to_string() };
//!     let response = http::Response::builder().status(if serves { 200 } else { 503 });
//!     response.body(said.into()).expect("the status is valid").into()
//! }
//! ```
//!
//! Two nodes on one machine, and a reader of the first, who hears of the second:
//!
//! ```text
//! redis-server
//! cargo run -- 127.0.0.1:8081
//! curl -N http://127.0.0.1:8081/
//! cargo run -- 127.0.0.1:8082
//! ```
//!
//! In a file it is the same, but for the first lines of `main`, and for closing the store at its end:
//!
//! ```no_run
//! # use sansse::{broker::Epoch, cluster::Log};
//! # async fn node(_: String, _: impl Log, _: Epoch) -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
//! # async fn example(address: String) -> Result<(), Box<dyn std::error::Error>> {
//! use sansse_redb::{RedbLog, RedbLogConfig};
//!
//! let log = RedbLog::open(RedbLogConfig::new("stream.redb"))?;
//! node(address, log.clone(), log.epoch()).await?;
//! log.close().await;
//! # Ok(()) }
//! ```
//!
//! Publish to the realm, and open sessions at the hub. [`Hub::publish`](crate::Hub::publish) is refused, since the log
//! gives the positions. A realm has the epoch with which it was begun. A node with another one is `down`, with
//! [`OtherEpoch`](crate::cluster::LogErrorKind::OtherEpoch); the README of `sansse-redis` says how to begin a realm anew.
//!
//! # Partition by realm
//!
//! A realm has one total order, and one id resumes all that a session has. Each node reads all of it, whether or not
//! somebody there is interested. So take a realm for each tenant, product or document that nobody reads together with
//! another one, and topics within it. One realm does not get faster by more servers of Redis.
//!
//! # What is safe
//!
//! A publish is `Ok` when the engine has it. What that is worth is up to the engine and its settings:
//!
//! | Engine and setting | The node is killed | The engine is killed | The machine of the engine loses power | Another server takes over |
//! | --- | --- | --- | --- | --- |
//! | a hub alone | all is gone | – | – | – |
//! | `RedbLog`, either `Durability` | nothing is lost | – | nothing is lost, if the disk keeps what it says it keeps | – |
//! | Redis, `appendonly yes`, `appendfsync always` | nothing is lost | nothing is lost | nothing is lost, likewise | what it had not received |
//! | Redis, `appendfsync everysec` | nothing is lost | what a busy disk held up, of two seconds at most | the last second or two | what it had not received |
//! | Redis, snapshots alone (`save`) | nothing is lost | all since the last one | all since the last one | what it had not received |
//! | Redis, `appendonly no`, `save ""` | nothing is lost | all is gone | all is gone | what it had not received |
//!
//! Readers are told of what is lost, and never wrongly that nothing is. With Redis they are told of a gap when the
//! server was started again or another one took over, also where it turns out that nothing is lost: replication is
//! asynchronous, so that no server can say what an earlier one has acknowledged. It writes a
//! [cut](crate::cluster::Content::Cut) into the log, and no setting removes it. [`NodeConfig::lossless`] declares
//! that an engine loses nothing which it has acknowledged. It is true of one Redis, without replicas, with
//! `appendfsync always`; then a cut is no gap for those who stood at its beginning. `RedbLog` needs no cut, and
//! hence no declaration.
//!
//! What the engine loses may be a [revocation](crate::cluster::Realm::revoke). Nodes that had read it have obeyed it; the
//! others never do, and nobody is told which it was. Where that matters, let rights end by themselves: a session with a
//! [lease](crate::broker::SessionConfig::with_lease) listens no longer than until the next renewal, at which you look
//! into your own database. A client that comes again is asked there anyway.
//!
//! # What Redis has to be set to
//!
//! | Setting | Why |
//! | --- | --- |
//! | `maxmemory-policy noeviction` | any other may evict the realm, as a whole. With this one a full engine refuses to append, and the publisher is told |
//! | `appendonly yes`, `appendfsync everysec` | a restart begins with what was there. Without it each restart is a gap for everybody |
//! | `min-replicas-to-write 1`, `min-replicas-max-lag 10` | where there are replicas: a master that is cut off from them stops to acknowledge after 10 s. What it took in that time is lost when another one has taken over |
//! | the clocks of all servers by NTP | a cut is put beyond the clock of the server, so that no position names two events |
//!
//! `maxmemory` has to hold all realms at their full size. Leave the machine some memory beside it: while Redis rewrites
//! its file, what changes is there twice.
//!
//! # What a reader sees
//!
//! | What fails | What an open page sees | What a page sees that comes back | What a publisher gets |
//! | --- | --- | --- | --- |
//! | its node has just been started, and reads what there was | | `refused`, `joining`, and when to come back | the event waits, and then goes its way |
//! | its node was started while the engine is away | | the same, until the engine is back | [`EngineDown`], at once |
//! | its node is killed, or a balancer takes it elsewhere | a lost connection | on another node: all since, once and in order, `complete` | from that node nothing: it does not know what was published |
//! | the node of a file is killed and started again | a lost connection | the same | the same |
//! | the engine is away for a while | nothing: heartbeats go on, events pause | the same, from the memory of the node | [`EngineDown`], at once |
//! | the engine was started again, or another one took over | a gap, `log`, and the connection stays | a gap, `retention`, if it was away at that moment | [`EngineDown`]; [`Unconfirmed`] for what was under way and is not known |
//! | the engine has lost the log | the same | the same, and what is in the memory of the node is replayed | the same |
//! | the engine is full | nothing | nothing; what it missed is read as ever | [`EngineDown`] |
//! | more is published than the engine takes | nothing; events come later | the same | [`Busy`] |
//! | one node is slower than the rest | events come later | | |
//! | one node is so slow that the log was trimmed before it | a gap, `log` | a gap, `retention` | |
//! | a reader was away for longer than its node remembers | | what it missed, read from the log, and `complete`; while the engine is away a gap, `retention` | |
//! | a reader was away for longer than the log goes back | | a gap, `retention`, and what the log has | |
//!
//! A page that was away while the engine lost something is told of a gap as one that was away for too long is: both miss
//! what is kept no more, and nobody can say which of it the engine lost.
//!
//! After [`Unconfirmed`] the event may have been published, now or later, or not. Publish it again only where readers
//! know it by a key or a number of yours.
//!
//! A page comes back with an id that the new node has not seen yet, where that node is some milliseconds behind the
//! other one. Its session then waits until the node has come as far, and misses nothing.
//!
//! # Health
//!
//! Let the balancer ask each node, and send new requests only where [`NodeHealth::serves`] says so:
//!
//! | [`Realm::health`](crate::cluster::Realm::health) | Serves | What it means | What to do |
//! | --- | --- | --- | --- |
//! | `joining` | no | it loads what readers may resume from | wait |
//! | `ready` | yes | | |
//! | `stale`, since when and why | yes | the engine cannot be used now; what is in memory serves on | see to the engine, not to the node |
//! | `down`, since when and why | no | it was started while the engine could not be used | the same |
//! | `ended` | no | it was [shut down](crate::cluster::Realm::shut_down), or its hub was closed | start the process anew |
//!
//! Until its node has been `ready` for the first time, a hub opens no sessions: they would be told that nothing is
//! missing, and miss what was not read yet. A page that asks nevertheless gets the notice
//! [`refused`](crate::Notice::Refused) with the reason `joining`, and comes back.
//! [`Realm::ready`](crate::cluster::Realm::ready) waits for that moment.
//!
//! A node that is `stale` is left in: all nodes lose their engine at once, and sessions that would be moved by that find
//! nothing better elsewhere. A node tries again by itself, after 50 ms at first and 5 s at most, at moments of its own.
//! The state of the hub, which a drain changes, is another question: [operating](super::operating#health). The answer to
//! a balancer is made of both, as in the program above.
//!
//! A server [with hosts](crate::serve::Server::with_hosts) answers 403 to a check that asks for a name which it was not
//! given. Addresses and `localhost` pass, and so does a check without a `Host`. Give it the name that the balancer uses,
//! also where no page ever does, or every node is taken for dead. HAProxy in front of two nodes is in the project's
//! `examples/proxies`.
//!
//! For a deploy, take one node after the other: [drain](crate::Hub::drain) it, which tells its readers to come back
//! spread over a time; then [`Realm::shut_down`](crate::cluster::Realm::shut_down), which appends what waits; then
//! close the log, where it has something to close.
//!
//! # Who is there
//!
//! [`Hub::presence_page`](crate::Hub::presence_page) knows the clients of one node. With a
//! [`RealmPresence`](crate::cluster::RealmPresence) each node knows those of all, with their sessions on all nodes
//! together, and is told who comes and leaves. It is given twice: its
//! [listener](crate::cluster::RealmPresence::listener) to the hub when that is built, and itself to
//! [`Realm::join`](crate::cluster::Realm::join). Without the listener it never hears of the clients of its own node, and
//! tells the others of none:
//!
//! ```
//! use sansse::broker::{BrokerConfig, Epoch};
//! use sansse::cluster::{Log, NodeConfig, PresenceConfig, Realm, RealmConfig, RealmPresence};
//! use sansse::hub::HubBuilder;
//! use sansse::net::Runtime;
//!
//! fn join(
//!     log: impl Log,
//!     epoch: Epoch,
//!     node: NodeConfig,
//!     runtime: &impl Runtime,
//! ) -> Result<Realm, Box<dyn std::error::Error>> {
//!     let presence = RealmPresence::new(PresenceConfig::new());
//!     // The hub says who is here; the log says who is elsewhere.
//!     let builder = HubBuilder::new(BrokerConfig::new(epoch)).on_event(presence.listener());
//!     let (hub, drive) = builder.build(runtime.clone())?;
//!     runtime.spawn(drive);
//!     presence.on_change(|change| {
//!         if change.has_left() {
//!             println!("{} has left", change.client);
//!         }
//!     });
//!     let config = RealmConfig::new(node).with_presence(&presence);
//!     Ok(Realm::join(hub, log, config, runtime)?)
//! }
//! ```
//!
//! | What happens | What is said of its clients |
//! | --- | --- |
//! | a client goes to another node | it stays |
//! | a node is killed | after 15 s they have no session there; 30 s later those leave that are not elsewhere |
//! | a node shuts down | the same, without the 15 s |
//! | a process is started again | they count once, after the 15 s of its earlier life |
//! | the engine is away | each node goes on with its own; of others nobody leaves, until 15 s after it is back |
//! | one node loses the engine | to the others it is as if it were killed, until it is back |
//! | the engine loses something | what was known holds, until the nodes have said it again, some seconds at most |
//!
//! Nodes say it to each other in the realm's log, where no session hears of it. It takes one position in 5 s for each
//! node, and ten a second for each while clients come and go. All nodes need it, or those without are not counted. The
//! settings are those of [`PresenceConfig`](crate::cluster::PresenceConfig), the same on all nodes.
//!
//! # How large it becomes
//!
//! | What | How large | What sets it |
//! | --- | --- | --- |
//! | the log in Redis | 1,000,000 events, with 250 bytes each some 300 MB | `RedisLogConfig::with_kept` |
//! | the log in a file | 1,000,000 events, 256 MiB, 7 days, whichever is reached first; the file takes up to four times as much where each event is published alone | `RedbLogConfig::with_kept`, `with_max_bytes`, `with_max_age` |
//! | what a node loads when it joins | the newest 100,000 events | [`NodeConfig::window`] |
//! | what a node keeps of it in memory | 8,192 events, 4 MiB and 5 minutes for each topic, by default | [`BrokerConfig::retention`](crate::broker::BrokerConfig::retention) |
//! | what waits to be appended | 10,000 events, 16 MiB; beyond it [`Busy`] | [`NodeConfig::queued_records`], [`queued_bytes`](crate::cluster::NodeConfig::queued_bytes) |
//! | one event | 1 MiB | [`NodeConfig::batch_bytes`] |
//! | who is there | 1,000,000 clients of other nodes | [`PresenceConfig::clients`](crate::cluster::PresenceConfig::clients) |
//! | connections to the engine | two for each node and realm, whatever the number of readers, and a third one while it reads for those older than its memory | |
//!
//! A reader that was away for less than what its node has in memory costs the engine nothing. For one that was away
//! for longer the node [reads the log](crate::cluster::Realm::set_backfill), so that the log says what a reader may have
//! missed at most:
//!
//! | What | How large | What sets it |
//! | --- | --- | --- |
//! | what one reader gets of the log | the newest 10,000 events and 4 MiB that are for it; of more it is told that they are missing | [`Backfill::events`](crate::broker::Backfill::events), [`bytes`](crate::broker::Backfill::bytes) |
//! | how long it waits for that | 10 s; then it resumes from memory | [`Backfill::wait`](crate::broker::Backfill::wait) |
//! | how many wait at a time | 16,384 for each shard of the hub; others resume from memory | [`Backfill::sessions`](crate::broker::Backfill::sessions) |
//! | reads under way | 8, of 256 KiB each; on Redis, one after the other, on a third connection that stays while they come | |
//! | pages that stay for other readers | 32 MiB, and 256 MiB with those that readers have not taken yet | |
//!
//! Readers share the pages, wherever in them they stand: ten thousand that come back to one place cost one read of each
//! page. What is published meanwhile waits for them behind that, within the retention of the broker. Watch
//! [`Realm::backfilled`](crate::cluster::Realm::backfilled): where it grows fast, a longer
//! [`BrokerConfig::retention`](crate::broker::BrokerConfig::retention) costs less than the reads.
//!
//! # How fast it is
//!
//! A node appends one batch at a time, and what is published meanwhile is the next one. So a publish takes as long as
//! one answer of the engine when little is published, and the engine does not get more requests when much is. With
//! `RedbLog`, `Durability::Interval` writes at most 20 times a second while little is published. A publish takes one
//! write of the disk, and up to 50 ms more right behind another one. `Durability::EachBatch` writes at once: take it for
//! one publisher that waits for each answer.
//!
//! # What to watch
//!
//! [`Realm::counters`](crate::cluster::Realm::counters) counts what a node has done. Beside `sansse_cuts` of the
//! [metrics](super::operating#metrics) of a hub:
//!
//! | Counter | What to see in it |
//! | --- | --- |
//! | [`cuts`](crate::cluster::NodeCounters::cuts), [`holes`](crate::cluster::NodeCounters::holes) | any: the engine lost something, or may have, and readers were told of it |
//! | [`unreadable`](crate::cluster::NodeCounters::unreadable) | any: a node of a newer version writes what this one cannot read |
//! | [`failures`](crate::cluster::NodeCounters::failures) | growth: the engine fails again and again |
//! | [`refused_busy`](crate::cluster::NodeCounters::refused_busy) | more is published than the engine takes |
//! | [`unconfirmed`](crate::cluster::NodeCounters::unconfirmed) | what may have been published or not |
//! | `RedbLog::counters`, `last_commit` | a disk that is too slow for the interval |
//! | the same, `damaged` | any: a disk or a memory that fails |
//!
//! # Files and their copies
//!
//! One process has the file of a `RedbLog`; another one that opens it gets
//! [`Locked`](crate::cluster::LogErrorKind::Locked). Keep it on a local disk. Copy it while it is closed, or after a
//! kill; a copy of a file that is being written is torn. Who puts an older copy in its place sets
//! `RedbLogConfig::with_older_copy` for the next start: readers have seen positions that the copy does not have, and
//! they are told of a gap. Where the file is gone, a new one has a new epoch, and readers are told that the stream is
//! another one, `restart`.
//!
//! # When not to
//!
//! A dashboard whose pages load their state at each [gap](super::resuming) needs no engine for its restarts. What must
//! never be lost, such as orders, belongs into a database, and the stream says that there is something new.
//!
//! [`EngineDown`]: crate::broker::PublishError::EngineDown
//! [`Busy`]: crate::broker::PublishError::Busy
//! [`Unconfirmed`]: crate::broker::PublishError::Unconfirmed
//! [`NodeConfig::lossless`]: crate::cluster::NodeConfig::lossless
//! [`NodeConfig::window`]: crate::cluster::NodeConfig::window
//! [`NodeConfig::queued_records`]: crate::cluster::NodeConfig::queued_records
//! [`NodeConfig::batch_bytes`]: crate::cluster::NodeConfig::batch_bytes
//! [`NodeHealth::serves`]: crate::cluster::NodeHealth::serves
