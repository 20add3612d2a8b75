//! The log of a [realm](sansse::cluster) in Redis or Valkey: many nodes behind a load balancer
//! share one event stream.
//!
//! A hub follows it by [`Realm::join`](sansse::cluster::Realm::join), as the
//! [README](https://docs.rs/crate/sansse-redis/latest) and the guide [many
//! nodes](https://docs.rs/sansse/latest/sansse/guide/many_nodes/index.html) show. By itself it is a
//! [`Log`](sansse::cluster::Log):
//!
//! ```no_run
//! use sansse::broker::{Audience, Epoch, LogRecord};
//! use sansse::cluster::{Append, Batch, Hello, Log, NodeId, Read};
//! use sansse::Event;
//! use sansse_redis::{RedisLog, RedisLogConfig};
//! use sansse_tokio::{TokioConnector, TokioRuntime};
//! use std::time::Duration;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = RedisLogConfig::from_url("redis://127.0.0.1:6379")?;
//! let log = RedisLog::new("try-the-log", config, TokioConnector, TokioRuntime)?;
//! let node = NodeId(0x1234);
//! let head = log.hello(Hello { node, epoch: Epoch(1), seen: 0 }).await?;
//!
//! let mut batch = Batch::new(node);
//! batch.push(&LogRecord::new(Audience::Everyone, Event::new("hello")).into())?;
//! let (count, payload) = (batch.count(), batch.payload());
//! let append = Append { node, number: 1, seen: head.position, count, payload };
//! println!("{:?}", log.append(append).await?);
//!
//! let wait = Duration::from_secs(5);
//! let read = Read { after: head.position, max_bytes: 1 << 20, wait };
//! println!("{:?}", log.read(read).await?);
//! # Ok(()) }
//! ```
//!
//! It is over the library's own seams, [`Connector`](sansse::net::Connector) and
//! [`Timer`](sansse::Timer), and hence the same code on tokio, smol and async-std. TLS comes by the
//! connector: the `DefaultConnector` of the adapters with their feature `tls`, or a `Tls` of
//! `sansse-tls`.
//!
//! Redis 6.2 or later, or Valkey, is needed; one server, a master that Sentinels know, or a Redis
//! Cluster, in which a realm is in one slot. What has to be set there is in the
//! [README](https://docs.rs/crate/sansse-redis/latest).
//!
//! # What is kept
//!
//! A realm has two keys. `{realm}:m` is a hash: the newest position, the epoch, which life of a
//! server wrote last, and each node's last batch. `{realm}:l` is a stream whose entries are whole
//! batches. A script changes both at once, or neither.
//!
//! Each hello and each append compare the life of the server with that before: its run id, and whom
//! it has followed. Where it is another one, or where the server knows less than the node, something
//! may be lost. The script then writes a [cut](sansse::cluster::Content::Cut), with a position beyond
//! the server's clock. No position is given twice.
//!
//! # What goes wrong
//!
//! | The engine | is |
//! | --- | --- |
//! | is not there, closes the connection, or does not answer in time | [`Unreachable`] |
//! | says `READONLY`, `LOADING`, `BUSY`, `TRYAGAIN` or `UNBLOCKED` | [`NotReady`] |
//! | says `CLUSTERDOWN`, `MASTERDOWN` or `NOREPLICAS`; has given the slot away | [`NotReady`] |
//! | is a replica, or not the master any more that Sentinels name | [`NotReady`] |
//! | says `OOM`, `MISCONF` or that no space is left; has used up the positions | [`Full`] |
//! | says `NOAUTH`, `WRONGPASS`, `NOPERM` or `DENIED` | [`Denied`] |
//! | is older than 6.2, or lacks a command or a database | [`Unsupported`] |
//! | has no certificate that is accepted, or the connector no TLS | [`Unsupported`] |
//! | has the realm with another epoch, or from a newer version | [`OtherEpoch`], [`Newer`] |
//! | answers too much, or no RESP; has something else in the realm's keys | [`Malformed`] |
//!
//! [`Unreachable`]: sansse::cluster::LogErrorKind::Unreachable
//! [`NotReady`]: sansse::cluster::LogErrorKind::NotReady
//! [`Full`]: sansse::cluster::LogErrorKind::Full
//! [`Denied`]: sansse::cluster::LogErrorKind::Denied
//! [`Unsupported`]: sansse::cluster::LogErrorKind::Unsupported
//! [`OtherEpoch`]: sansse::cluster::LogErrorKind::OtherEpoch
//! [`Newer`]: sansse::cluster::LogErrorKind::Newer
//! [`Malformed`]: sansse::cluster::LogErrorKind::Malformed
//!
//! # When not to use it
//!
//! For one node that is to keep its stream over a restart, an embedded store needs no server.

#![warn(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod config;
mod entry;
mod line;
mod lines;
mod link;
mod log;
mod page;
mod script;
mod sentinel;
mod url;
mod wire;

pub use config::{RedisLogConfig, RedisLogConfigError};
pub use log::RedisLog;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
