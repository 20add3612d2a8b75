//! async-std, with the tasks of its own executor.

use crate::platform::{Platform, patiently};
use sansse_smol::{SmolAcceptor, SmolConnector, SmolRuntime, SmolTimer, Task};
use std::future::Future;
use std::net::SocketAddr;

#[derive(Clone, Copy, Debug)]
pub(crate) struct AsyncStd;

impl Platform for AsyncStd {
    type Runtime = SmolRuntime<fn(Task)>;
    type Listener = SmolAcceptor;
    type Connector = SmolConnector;

    fn run<F: Future>(_: u64, scenario: impl FnOnce(Self) -> F) -> F::Output {
        ::async_std::task::block_on(async { patiently(&SmolTimer, scenario(Self)).await })
    }

    fn runtime(&self) -> Self::Runtime {
        SmolRuntime::new(|task| drop(::async_std::task::spawn(task)))
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

scenarios!(AsyncStd);
processes!(AsyncStd);

#[path = "../client/behaviour/rows/mod.rs"]
mod rows;
