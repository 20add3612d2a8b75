//! What this machine is doing, once a second.

use crate::milliseconds;
use serde::Serialize;
use std::thread;
use std::time::{Duration, Instant};
use sysinfo::{CpuRefreshKind, Networks, System};

#[derive(Serialize)]
pub(crate) struct Counters {
    /// Milliseconds since 1970.
    time: u64,
    /// Of each processor, in percent.
    load: Vec<f32>,
    memory: Memory,
    network: Network,
    /// Which node says it, where there may be others or have been; empty otherwise.
    node: String,
    /// How well that is.
    health: &'static str,
}

#[derive(Serialize)]
struct Memory {
    used: u64,
    total: u64,
}

/// Bytes a second, over all interfaces.
#[derive(Serialize)]
struct Network {
    received: u64,
    sent: u64,
}

const INTERVAL: Duration = Duration::from_secs(1);

/// Calls `publish` once a second, for ever.
pub(crate) fn watch(node: &str, health: impl Fn() -> &'static str, publish: impl Fn(&Counters)) {
    let mut system = System::new();
    let mut networks = Networks::new_with_refreshed_list();
    system.refresh_cpu_usage();
    let mut due = Instant::now();
    let mut before = due;
    loop {
        due += INTERVAL;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        system.refresh_cpu_usage();
        system.refresh_memory();
        networks.refresh(true);
        let milliseconds_since = before.elapsed().as_millis().max(1);
        before = Instant::now();
        let per_second = |bytes: u64| {
            u64::try_from(u128::from(bytes) * 1000 / milliseconds_since).unwrap_or(u64::MAX)
        };
        publish(&Counters {
            time: milliseconds(),
            load: system.cpus().iter().map(|cpu| cpu.cpu_usage().round()).collect(),
            memory: Memory { used: system.used_memory(), total: system.total_memory() },
            network: Network {
                received: per_second(networks.values().map(sysinfo::NetworkData::received).sum()),
                sent: per_second(networks.values().map(sysinfo::NetworkData::transmitted).sum()),
            },
            node: node.to_owned(),
            health: health(),
        });
    }
}

/// How this machine is, and what the hub has done so far, in sentences.
pub(crate) fn describe(hub: &sansse::broker::Counters) -> String {
    let mut system = System::new();
    system.refresh_memory();
    system.refresh_cpu_list(CpuRefreshKind::nothing());
    let minutes = System::uptime() / 60;
    let (processors, streams) = (system.cpus().len(), hub.sessions);
    let mebibytes = |bytes: u64| f64::from(u32::try_from(bytes >> 20).unwrap_or(u32::MAX));
    let gibibytes = |bytes| mebibytes(bytes) / 1024.0;
    format!(
        "This machine has been up for {} h {} min. It has {processors} {}, for which {:.2} programs \
         were waiting or at work in the last minute, and uses {:.1} of {:.1} GiB of memory. Since \
         this server began, {} events were published in it and {} delivered, and {streams} {} \
         open now. These words are events of a topic of their own: load the page again while they \
         come, and you get all of them. With the last one the topic ends; the browser asks once \
         more, hears that there is nothing left, and leaves it at that.",
        minutes / 60,
        minutes % 60,
        if processors == 1 { "processor" } else { "processors" },
        System::load_average().one,
        gibibytes(system.used_memory()),
        gibibytes(system.total_memory()),
        hub.published,
        hub.delivered,
        if streams == 1 { "stream is" } else { "streams are" },
    )
}
