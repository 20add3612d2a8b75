//! tokio, with as many threads beside the one that waits; with none, that one does it all.

use crate::platform::{Platform, patiently};
use sansse_tokio::{TokioAcceptor, TokioConnector, TokioRuntime};
use std::future::Future;
use std::net::SocketAddr;
use tokio::runtime::Builder;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokio<const THREADS: usize>;

impl<const THREADS: usize> Platform for Tokio<THREADS> {
    type Runtime = TokioRuntime;
    type Listener = TokioAcceptor;
    type Connector = TokioConnector;

    fn run<F: Future>(_: u64, scenario: impl FnOnce(Self) -> F) -> F::Output {
        let mut builder = match THREADS {
            0 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        let runtime = builder.worker_threads(THREADS.max(1)).enable_all().build().unwrap();
        runtime.block_on(async { patiently(&TokioRuntime, scenario(Self)).await })
    }

    fn runtime(&self) -> TokioRuntime {
        TokioRuntime
    }

    fn connector(&self) -> TokioConnector {
        TokioConnector
    }

    fn listen(&self, address: Option<SocketAddr>) -> (TokioAcceptor, SocketAddr) {
        let listener = crate::bind(address);
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        (TokioAcceptor::new(tokio::net::TcpListener::from_std(listener).unwrap()), address)
    }
}
