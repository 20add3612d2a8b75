//! A server that is not this project's, and says what the test wants.

use sansse_tls::rustls::{HandshakeKind, ServerConfig};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With `close_notify`.
    Proper,
    /// Without.
    Cut,
}

/// What the server saw of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) request: String,
    pub(crate) handshake: Option<HandshakeKind>,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) name: Option<String>,
}

pub(crate) struct Foreign {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Foreign {
    /// Answers each connection's one request with these bytes.
    pub(crate) async fn start(config: ServerConfig, answer: impl Into<Vec<u8>>, end: End) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, answer) = (TlsAcceptor::from(Arc::new(config)), answer.into());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sees = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let Ok(mut socket) = acceptor.accept(socket).await else { continue };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    match socket.read_u8().await {
                        Ok(byte) => request.push(byte),
                        Err(_) => break,
                    }
                }
                let session = socket.get_ref().1;
                sees.lock().unwrap().push(Seen {
                    request: String::from_utf8(request).unwrap(),
                    handshake: session.handshake_kind(),
                    alpn: session.alpn_protocol().map(<[u8]>::to_vec),
                    name: session.server_name().map(ToOwned::to_owned),
                });
                let _ = socket.write_all(&answer).await;
                let _ = socket.flush().await;
                if end == End::Proper {
                    let _ = socket.shutdown().await;
                }
            }
        });
        Self { address, seen, task }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/events", self.address.port())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        self.task.abort();
    }
}
