//! The log of a realm in real servers: Redis, and Valkey.
//!
//! `SANSSE_REDIS_SERVER` and `SANSSE_VALKEY_SERVER` name the programs, `redis-server` and
//! `valkey-server` by default. Tests of a program that is not here say so and pass, unless
//! `SANSSE_ENGINES=1` demands it.
#![cfg(unix)]

/// Each scenario on each engine. A scenario is called with the engine's kind.
macro_rules! on_each_engine {
    ($($test:ident)*) => {
        $crate::on_each_engine! { redis = Redis; $($test)* }
        $crate::on_each_engine! { valkey = Valkey; $($test)* }
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

use on_each_engine;

mod appending;
mod client;
mod engine;
//mod losses;
mod node;
mod reading;
//mod refusals;

use std::time::Duration;

/// For all that one test waits for.
const ALL: Duration = Duration::from_secs(60);

/// For a read that is to get something.
const PATIENCE: Duration = Duration::from_secs(30);
