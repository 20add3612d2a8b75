//! TLS around the connections of another listener.

use axum::serve::Listener;
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many handshakes may be under way, and how many connections may wait to be served.
const WAITING: usize = 1_024;

/// A listener whose connections have made their handshakes.
///
/// They are made side by side, so that a peer that is slow at it holds up nobody.
pub(crate) struct Secure<L: Listener> {
    listener: L,
    acceptor: TlsAcceptor,
    done: mpsc::Sender<(TlsStream<L::Io>, L::Addr)>,
    ready: mpsc::Receiver<(TlsStream<L::Io>, L::Addr)>,
}

impl<L: Listener> Secure<L> {
    pub(crate) fn new(listener: L, config: Arc<ServerConfig>) -> Self {
        let (done, ready) = mpsc::channel(WAITING);
        Self { listener, acceptor: config.into(), done, ready }
    }
}

impl<L: Listener<Addr: 'static>> Listener for Secure<L> {
    type Io = TlsStream<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, L::Addr) {
        loop {
            tokio::select! {
                // `self` keeps a sender, so that there is no end.
                Some(ready) = self.ready.recv() => return ready,
                (io, address) = self.listener.accept(), if self.done.capacity() > 0 => {
                    let handshake = self.acceptor.accept(io);
                    let Ok(place) = self.done.clone().try_reserve_owned() else { continue };
                    tokio::spawn(async move {
                        // One that fails is the peer's matter.
                        if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, handshake).await {
                            place.send((stream, address));
                        }
                    });
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}
