//! A proxy that opens tunnels for one user.

use sansse::net::{Proxies, Proxy};
use sansse_tls::rustls;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

pub(crate) struct Tunnels {
    address: SocketAddr,
    scheme: &'static str,
    /// The heads of the requests.
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Tunnels {
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// One that is itself reached by TLS.
    pub(crate) async fn start_secure(config: rustls::ServerConfig) -> Self {
        Self::start_with(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = asked.clone();
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (tls, seen) = (tls.clone(), seen.clone());
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => tunnel(tls.accept(socket).await.unwrap(), seen).await,
                        None => tunnel(socket, seen).await,
                    }
                });
            }
        });
        Self { address, scheme, asked, task }
    }

    /// The user whom it serves is `user:secret`.
    pub(crate) fn proxies(&self, userinfo: &str) -> Proxies {
        let url = format!("{}://{userinfo}@{}", self.scheme, self.address);
        Proxies::all(Proxy::new(&url).unwrap())
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Tunnels {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn tunnel(mut client: impl AsyncRead + AsyncWrite + Unpin, asked: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    asked.lock().unwrap().push(head.clone());
    if !head.contains("proxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n") {
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        client.write_all(answer).await.unwrap();
        let _ = client.shutdown().await;
        return;
    }
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
    let Ok(mut host) = TcpStream::connect(target).await else {
        client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await.unwrap();
        return;
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    client.flush().await.unwrap();
    // However that ends.
    let _ = copy_bidirectional(&mut client, &mut host).await;
}
