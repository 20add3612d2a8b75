//! A network in memory, with virtual time, and with several seeds.

use crate::network::{Conditions, Listener, Network};
use crate::platform::Platform;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::Range;

#[derive(Clone)]
pub(crate) struct Memory(pub(crate) Network);

impl Platform for Memory {
    type Runtime = Network;
    type Listener = Listener;
    type Connector = Network;

    fn run<F: Future>(seed: u64, scenario: impl FnOnce(Self) -> F) -> F::Output {
        let network = Network::new(seed, Conditions::default());
        let running = network.clone();
        running.block_on(async move { scenario(Self(network)).await })
    }

    fn seeds() -> Range<u64> {
        match std::env::var("SANSSE_SEED") {
            Ok(seed) => {
                let seed = seed.parse().expect("SANSSE_SEED is a number");
                seed..seed + 1
            }
            Err(_) => 0..20,
        }
    }

    fn runtime(&self) -> Network {
        self.0.clone()
    }

    fn connector(&self) -> Network {
        self.0.clone()
    }

    fn listen(&self, address: Option<SocketAddr>) -> (Listener, SocketAddr) {
        self.0.listen(address)
    }
}

scenarios!(Memory);

#[path = "../client/behaviour/rows/mod.rs"]
mod rows;
