//! The log of a realm in real servers: Redis, and Valkey.
//!
//! `SANSSE_REDIS_SERVER` and `SANSSE_VALKEY_SERVER` name the programs, `redis-server` and
//! `valkey-server` by default. Tests of a program that is not here say so and pass, unless
//! `SANSSE_ENGINES=1` demands it.
#![cfg(unix)]

/// Each scenario on each engine. A scenario is called with the engine's kind.
macro_rules! on_each_engine {
    ($($test:ident)*) => {
        on_each_engine! { redis = Redis; $($test)* }
        on_each_engine! { valkey = Valkey; $($test)* }
    };
    ($module:ident = $kind:ident; $($test:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[ignore = "needs redis-server and valkey-server; .ci/run runs it"]
                async fn $test() {
                    if $crate::engine::Kind::$kind.is_here() {
                        super::$test($crate::engine::Kind::$kind).await;
                    }
                }
            )*
        }
    };
}

mod appending;
mod backfill;
mod client;
mod cluster;
mod engine;
mod losses;
mod node;
mod presence;
mod reading;
mod refusals;
mod runtimes;
mod sentinels;
mod tls;

use std::time::Duration;

/// For all that one test waits for.
const ALL: Duration = Duration::from_secs(60);

/// For a read that is to get something.
const PATIENCE: Duration = Duration::from_secs(30);
