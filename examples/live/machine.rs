//! What this machine is doing, once a second.

use crate::milliseconds;
use serde::Serialize;
use std::thread;
use std::time::{Duration, Instant};
use sysinfo::{Networks, System};

#[derive(Serialize)]
pub(crate) struct Counters {
    /// Milliseconds since 1970.
    time: u64,
    /// Of each processor, in percent.
    load: Vec<f32>,
    memory: Memory,
    network: Network,
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
pub(crate) fn watch(publish: impl Fn(&Counters)) {
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
        });
    }
}
