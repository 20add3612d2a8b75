//! A record of each shard of a hub.

use super::HubBuilder;
use crate::broker::{Broker, BrokerConfig, ConfigError};
use crate::record::{Entry, RecordedBroker};
use alloc::sync::Arc;
use std::time::Instant;

/// Gets the entries of all shards' records, each with the number of its shard.
pub(super) type Recorder = Arc<dyn Fn(u16, Entry) + Send + Sync>;

pub(super) fn broker(
    now: Instant,
    config: BrokerConfig,
    recorder: Option<Recorder>,
) -> Result<RecordedBroker, ConfigError> {
    let shard = config.shard.get();
    match recorder {
        Some(sink) => RecordedBroker::new(now, config, move |entry| sink(shard, entry)),
        None => Broker::new(now, config).map(Into::into),
    }
}

impl HubBuilder {
    /// Records what is done to each shard, from its beginning on, as a [`RecordedBroker`] does.
    /// Default: nothing is recorded.
    ///
    /// Each shard has a [record](crate::record) of its own, by its number, in the order in which
    /// its lock was taken. `sink` runs under the lock of the shard: it should do no more than send
    /// the entry to a thread that writes, and a call of the hub in it would wait for ever.
    ///
    /// **A record holds everything that was published.**
    ///
    /// ```
    /// # fn example(timer: impl sansse::Timer) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::broker::{BrokerConfig, Epoch};
    /// use sansse::hub::HubBuilder;
    /// use std::fs::File;
    /// use std::io::{BufWriter, Write};
    /// use std::num::NonZeroU16;
    /// use std::sync::mpsc;
    ///
    /// let (sender, entries) = mpsc::sync_channel(10_000);
    /// let (hub, _drive) = HubBuilder::new(BrokerConfig::new(Epoch(0xbeef)))
    ///     .with_shards(NonZeroU16::MIN.saturating_add(1))
    ///     // A full channel must not hold up the shard. A replay says where an entry is missing.
    ///     .record(move |shard, entry| drop(sender.try_send((shard, entry))))
    ///     .build(timer)?;
    /// std::thread::spawn(move || -> std::io::Result<()> {
    ///     let mut files = [File::create("shard-0.record")?, File::create("shard-1.record")?]
    ///         .map(BufWriter::new);
    ///     for (shard, entry) in entries {
    ///         writeln!(files[usize::from(shard)], "{entry}")?;
    ///     }
    ///     Ok(())
    /// });
    /// # Ok(()) }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "record")))]
    pub fn record(mut self, sink: impl Fn(u16, Entry) + Send + Sync + 'static) -> Self {
        self.recorder = Some(Arc::new(sink));
        self
    }
}
