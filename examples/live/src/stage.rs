//! What is published to: the hub, or the log that it follows, in a file or on an engine of many nodes.

use crate::text;
use bytes::Bytes;
use http::{Response, StatusCode};
use sansse::Event;
use sansse::Hub;
use sansse::broker::{Audience, Epoch, Pace, PublishError, TopicName};
use sansse::cluster::{
    JoinError, LogErrorKind, NodeConfig, NodeHealth, NodeId, Realm, RealmConfig, RealmPresence,
};
use sansse::hub::Health;
use sansse_redb::{Durability, RedbLog, RedbLogConfig};
use sansse_redis::{RedisLog, RedisLogConfig};
use sansse_tokio::{
    DefaultConnector, TokioConnector, TokioRuntime, random_epoch, random_node, random_seed,
};
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// How long the program waits at its start for what was published before.
const JOINS_WITHIN: Duration = Duration::from_secs(5);

/// Where the stream is kept beyond the memory of this process.
pub(crate) enum Kept {
    Nowhere,
    /// In a file, of which this is the only user.
    Store(PathBuf),
    /// On a server, under a name, for all nodes that know both.
    Redis {
        url: String,
        realm: String,
    },
}

/// What was opened of that, before the hub is made.
pub(crate) struct Opened {
    log: OpenedLog,
    node: NodeId,
    epoch: Epoch,
}

enum OpenedLog {
    Nothing,
    Store(RedbLog),
    Redis(Box<RedisLog<Connector, TokioRuntime>>),
}

type Connector = DefaultConnector<TokioConnector>;

/// What everything is published to.
#[derive(Clone)]
pub(crate) struct Stage {
    hub: Hub,
    realm: Option<Realm>,
    node: String,
    /// Whether the engine had no room for what was published last. It serves all the same.
    is_full: Arc<AtomicBool>,
}

impl Kept {
    pub(crate) fn open(self) -> Result<Opened, Box<dyn Error>> {
        let node = random_node();
        let (log, epoch) = match self {
            Self::Nowhere => (OpenedLog::Nothing, random_epoch()),
            Self::Store(path) => {
                let config = RedbLogConfig::new(&path).with_durability(Durability::EachBatch);
                let log = RedbLog::open(config)
                    .map_err(|error| format!("--store {}: {error}", path.display()))?;
                let epoch = log.epoch();
                (OpenedLog::Store(log), epoch)
            }
            Self::Redis { url, realm } => {
                let config =
                    RedisLogConfig::from_url(&url).map_err(|error| format!("--redis: {error}"))?;
                let log = RedisLog::new(&realm, config, Connector::default(), TokioRuntime)
                    .map_err(|error| format!("--realm {realm:?}: {error}"))?;
                (OpenedLog::Redis(Box::new(log)), Epoch::of_name(&realm))
            }
        };
        Ok(Opened { log, node, epoch })
    }
}

impl Opened {
    /// The stream's life: a stream that outlives its process keeps it.
    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The beginning of the node's id, by which people tell nodes apart.
    pub(crate) fn node(&self) -> String {
        format!("{:08x}", self.node.0 >> 96)
    }

    /// Whether the stream is kept beyond the memory of this process.
    pub(crate) const fn is_kept(&self) -> bool {
        !matches!(self.log, OpenedLog::Nothing)
    }

    /// Whether other nodes may have it as well.
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self.log, OpenedLog::Redis(_))
    }

    /// Lets the hub follow it.
    pub(crate) fn join(self, hub: Hub, presence: &RealmPresence) -> Result<Stage, JoinError> {
        let node = self.node();
        let config = RealmConfig::new(NodeConfig::new(self.node, random_seed()));
        let config = config.with_presence(presence);
        let realm = match self.log {
            OpenedLog::Nothing => None,
            OpenedLog::Store(log) => Some(Realm::join(hub.clone(), log, config, &TokioRuntime)?),
            OpenedLog::Redis(log) => Some(Realm::join(hub.clone(), *log, config, &TokioRuntime)?),
        };
        Ok(Stage { hub, realm, node, is_full: Arc::default() })
    }
}

impl Stage {
    pub(crate) const fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Whether the stream is kept beyond the memory of this process.
    pub(crate) const fn is_kept(&self) -> bool {
        self.realm.is_some()
    }

    /// Is ready when the stream of before is there, or does not come: pages are served without an
    /// engine as well.
    pub(crate) async fn ready(&self) {
        if let Some(realm) = &self.realm {
            let _ = timeout(JOINS_WITHIN, realm.ready()).await;
        }
    }

    /// Is ready when the event is where it is kept.
    pub(crate) async fn publish(
        &self,
        audience: impl Into<Audience> + Send,
        event: &Event,
    ) -> Result<(), PublishError> {
        match &self.realm {
            Some(realm) => {
                let result = realm.publish(audience, event).await.map(drop);
                let error = || realm.last_error().map(|error| error.kind());
                let is_full = result == Err(PublishError::EngineDown)
                    && realm.health() == NodeHealth::Ready
                    && error() == Some(LogErrorKind::Full);
                self.is_full.store(is_full, Ordering::Relaxed);
                result
            }
            None => self.hub.publish(audience, event).map(drop),
        }
    }

    /// Publishes no faster than the pages take it.
    pub(crate) async fn publish_when_room(
        &self,
        audience: impl Into<Audience> + Clone + Send,
        event: &Event,
    ) -> Result<(), PublishError> {
        match &self.realm {
            Some(_) => {
                self.hub.ready(audience.clone(), Pace::new()).await?;
                self.publish(audience, event).await
            }
            None => self.hub.publish_when_room(audience, event).await.map(drop),
        }
    }

    pub(crate) async fn end_topic(&self, topic: &TopicName) -> Result<(), PublishError> {
        match &self.realm {
            Some(realm) => realm.end_topic(topic).await.map(drop),
            None => self.hub.end_topic(topic).map(drop),
        }
    }

    /// Lets what was published reach what keeps it.
    pub(crate) async fn finish(&self) {
        if let Some(realm) = &self.realm {
            realm.shut_down().await;
        }
    }

    /// How well the node is, in a word.
    pub(crate) fn word(&self) -> &'static str {
        self.state().1
    }

    /// The same, with what is wrong.
    pub(crate) fn explained(&self) -> String {
        match (self.state().1, &self.realm) {
            (word @ ("stale" | "down" | "full"), Some(realm)) => match realm.last_error() {
                Some(error) => format!("{word}: {error}"),
                None => word.to_owned(),
            },
            (word, _) => word.to_owned(),
        }
    }

    /// What a load balancer is to be told: whether to send pages here, and why.
    pub(crate) fn health(&self) -> Response<Bytes> {
        let (is_ready, word) = self.state();
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        text(status, format!("{word}\n"))
    }

    fn state(&self) -> (bool, &'static str) {
        let hub = self.hub.health();
        match (hub, &self.realm) {
            (Health::Ready | Health::Joining, Some(realm)) => {
                let node = realm.health();
                let is_full = node == NodeHealth::Ready && self.is_full.load(Ordering::Relaxed);
                (node.serves(), if is_full { "full" } else { node.as_str() })
            }
            (Health::Ready, None) => (true, "ready"),
            (Health::Starting, _) => (false, "starting"),
            (Health::Draining, _) => (false, "draining"),
            (Health::Closed, _) => (false, "closed"),
            _ => (false, "not-driven"),
        }
    }
}
