//! smol, with the tasks of its own executor.

use crate::platform::{Platform, patiently};
use sansse_smol::{SmolAcceptor, SmolConnector, SmolRuntime, SmolTimer, Task};
use std::future::Future;
use std::net::SocketAddr;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Smol;

impl Platform for Smol {
    type Runtime = SmolRuntime<fn(Task)>;
    type Listener = SmolAcceptor;
    type Connector = SmolConnector;

    fn run<F: Future>(_: u64, scenario: impl FnOnce(Self) -> F) -> F::Output {
        ::smol::block_on(async { patiently(&SmolTimer, scenario(Self)).await })
    }

    fn runtime(&self) -> Self::Runtime {
        SmolRuntime::new(|task| ::smol::spawn(task).detach())
    }

    fn connector(&self) -> SmolConnector {
        SmolConnector
    }

    fn listen(&self, address: Option<SocketAddr>) -> (SmolAcceptor, SocketAddr) {
        let listener = crate::bind(address);
        let address = listener.local_addr().unwrap();
        (SmolAcceptor::new(listener).unwrap(), address)
    }
}

scenarios!(Smol);
processes!(Smol);

#[path = "../client/behaviour/rows/mod.rs"]
mod rows;
