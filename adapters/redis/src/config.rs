//! Where the engine is, and how a log uses it: [`RedisLogConfig`].

use crate::link::Credentials;
use crate::url;
use sansse::net::Target;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Where the engine is, how to log in, and what the log keeps.
///
/// ```
/// use sansse_redis::RedisLogConfig;
///
/// let config = RedisLogConfig::from_url("rediss://app:secret@redis.example:6380/2")?;
/// assert!(!format!("{config:?}").contains("secret"));
/// # Ok::<(), sansse_redis::RedisLogConfigError>(())
/// ```
///
/// | URL | What it names |
/// | --- | --- |
/// | `redis://user:password@host:6379/0` | a server; by default port 6379 and database 0 |
/// | `redis://host1:6379,host2:6379` | several, one of them the master; or nodes of a cluster |
/// | `redis+sentinel://host1:26379,host2/name/0` | Sentinels that know the master of this name |
/// | `rediss://…`, `rediss+sentinel://…` | the same over TLS |
///
/// User and password stand percent-encoded. A password alone is written `:password@`.
#[derive(Clone)]
pub struct RedisLogConfig {
    pub(crate) targets: Vec<Target>,
    pub(crate) sentinel: Option<Sentinel>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) database: u32,
    pub(crate) kept: u64,
    pub(crate) connect_time: Duration,
    pub(crate) answer_time: Duration,
    pub(crate) connection_name: String,
}

/// Who is asked for the master.
#[derive(Clone, Debug)]
pub(crate) struct Sentinel {
    pub(crate) name: String,
    pub(crate) credentials: Option<Credentials>,
}

impl RedisLogConfig {
    /// How many addresses there may be: more than any Sentinels or cluster need to be found.
    pub const MAX_ADDRESSES: usize = 64;

    /// Reads a URL, as in the table above.
    ///
    /// # Errors
    ///
    /// [`RedisLogConfigError`], which repeats nothing of the URL.
    pub fn from_url(url: &str) -> Result<Self, RedisLogConfigError> {
        url::read(url)
    }

    pub(crate) fn new(targets: Vec<Target>) -> Self {
        Self {
            targets,
            sentinel: None,
            credentials: None,
            database: 0,
            kept: 1_000_000,
            connect_time: Duration::from_secs(5),
            answer_time: Duration::from_secs(5),
            connection_name: "sansse".to_owned(),
        }
    }

    /// Asks Sentinels for the master of this name, instead of taking the addresses for servers. The
    /// addresses of the URL are the Sentinels', and these are added to them.
    ///
    /// # Errors
    ///
    /// [`RedisLogConfigError::MasterName`] for a name that is empty, or has spaces or control
    /// characters, and [`RedisLogConfigError::TooManyAddresses`].
    ///
    /// ```
    /// use sansse::net::Target;
    /// use sansse_redis::RedisLogConfig;
    ///
    /// let config = RedisLogConfig::from_url("redis://:secret@10.0.0.1:26379/2")?
    ///     .with_sentinels("mymaster", [Target::new("10.0.0.2", 26379, false)])?;
    /// # Ok::<(), sansse_redis::RedisLogConfigError>(())
    /// ```
    pub fn with_sentinels(
        mut self,
        name: &str,
        targets: impl IntoIterator<Item = Target>,
    ) -> Result<Self, RedisLogConfigError> {
        if name.is_empty() || name.chars().any(|char| char.is_whitespace() || char.is_control()) {
            return Err(RedisLogConfigError::MasterName);
        }
        self.sentinel = Some(Sentinel { name: name.to_owned(), credentials: None });
        self.targets.extend(targets);
        if self.targets.len() > Self::MAX_ADDRESSES {
            return Err(RedisLogConfigError::TooManyAddresses);
        }
        Ok(self)
    }

    /// Sets with what a node logs in at the server; `None` for the user `default`.
    pub fn with_credentials(mut self, user: Option<&str>, password: &str) -> Self {
        let user = user.map(ToOwned::to_owned);
        self.credentials = Some(Credentials { user, password: password.to_owned() });
        self
    }

    /// Sets with what a node logs in at Sentinels, whose passwords are their own. It comes after
    /// [`with_sentinels`](Self::with_sentinels), or a URL for Sentinels; without these it has no
    /// effect. Default: without.
    pub fn with_sentinel_credentials(mut self, user: Option<&str>, password: &str) -> Self {
        if let Some(sentinel) = &mut self.sentinel {
            let user = user.map(ToOwned::to_owned);
            sentinel.credentials = Some(Credentials { user, password: password.to_owned() });
        }
        self
    }

    /// Sets how many positions the log keeps, hence how many events; 1 at least. Default 1,000,000:
    /// some 300 MB of the engine's memory with events of 250 bytes, and almost three hours at 100
    /// events a second. A browser that was away for longer is told of a gap.
    ///
    /// The engine trims in whole blocks of its own, so that somewhat more is kept. It trims when
    /// something is appended. What counts is the setting of the node that appends.
    pub const fn with_kept(mut self, positions: u64) -> Self {
        self.kept = if positions == 0 { 1 } else { positions };
        self
    }

    /// Sets how long opening one connection may take, TLS and login included, and how long one
    /// Sentinel may take to name the master. Default 5 s: a lost packet or two. When it is checked later whether the master
    /// is still the same, Sentinels have 1 s at most, all together.
    pub const fn with_connect_time(mut self, time: Duration) -> Self {
        self.connect_time = time;
        self
    }

    /// Sets how long an answer may take; for a read, beyond the time that it waits by itself.
    /// Default 5 s. It is a backstop: dropping the future gives a request up at any time.
    pub const fn with_answer_time(mut self, time: Duration) -> Self {
        self.answer_time = time;
        self
    }

    /// Sets the name of the connections in `CLIENT LIST`. Default `sansse`.
    ///
    /// # Errors
    ///
    /// [`RedisLogConfigError::ConnectionName`]: it may have visible ASCII characters alone.
    pub fn with_connection_name(mut self, name: &str) -> Result<Self, RedisLogConfigError> {
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(RedisLogConfigError::ConnectionName);
        }
        name.clone_into(&mut self.connection_name);
        Ok(self)
    }
}

impl fmt::Debug for RedisLogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLogConfig")
            .field("targets", &self.targets)
            .field("sentinel", &self.sentinel)
            .field("credentials", &self.credentials)
            .field("database", &self.database)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

/// What cannot be: a URL, or the name of a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RedisLogConfigError {
    /// The scheme is none of `redis`, `rediss`, `redis+sentinel` and `rediss+sentinel`.
    Scheme,
    /// A host is missing, or is none.
    Host,
    /// A port is no number from 1 to 65,535.
    Port,
    /// There are more than [`RedisLogConfig::MAX_ADDRESSES`].
    TooManyAddresses,
    /// User and password are not percent-encoded UTF-8.
    Credentials,
    /// The database is no number.
    Database,
    /// The name of the master, which the Sentinels know, is missing or cannot be.
    MasterName,
    /// The URL has a query or a fragment, or a longer path, which mean nothing here.
    Rest,
    /// The name of a connection has other characters than visible ASCII.
    ConnectionName,
    /// The name of a realm is empty, is longer than 256 bytes, or has braces or control characters.
    /// Redis Cluster takes what stands in braces for the part of a key that says where it belongs.
    Realm,
}

impl RedisLogConfigError {
    /// Returns whose fault it is: the caller's.
    pub const fn fault(self) -> sansse::Fault {
        sansse::Fault::Caller
    }
}

impl fmt::Display for RedisLogConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => {
                "the URL's scheme is none of redis, rediss, redis+sentinel and rediss+sentinel"
            }
            Self::Host => "the URL has no host, or one that is none",
            Self::Port => "the URL has a port that is none",
            Self::TooManyAddresses => "there are more than 64 addresses",
            Self::Credentials => "the user and the password are to be percent-encoded UTF-8",
            Self::Database => "the URL has a database that is no number",
            Self::MasterName => "the name of the master is missing, or is none",
            Self::Rest => "the URL has more than a host and a database",
            Self::ConnectionName => "the connection's name has other than visible ASCII characters",
            Self::Realm => {
                "the realm's name is empty or too long, or has braces or control characters"
            }
        })
    }
}

impl Error for RedisLogConfigError {}
