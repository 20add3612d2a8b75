//! A server that answers what the test says, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Scripted {
    address: std::net::SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Answers each connection's one request by the next of the answers, and closes it. When they
    /// are used up, nobody is answered.
    pub(crate) async fn new<A: AsRef<[u8]> + Send + 'static>(
        answers: impl IntoIterator<Item = A>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let asked = requests.clone();
        let answers: Vec<A> = answers.into_iter().collect();
        tokio::spawn(async move {
            for answer in answers {
                let (mut peer, _) = listener.accept().await.unwrap();
                let request = read_request(&mut peer).await;
                asked.lock().unwrap().push(request);
                peer.write_all(answer.as_ref()).await.unwrap();
                // What was sent is read before the connection is gone.
                peer.shutdown().await.unwrap();
                let _ = peer.read(&mut [0; 16]).await;
            }
            std::future::pending::<()>().await;
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Reads a head, and the body that it announces.
async fn read_request(peer: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let count = peer.read(&mut bytes).await.unwrap();
        read.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8(read.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = announced.map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return text;
            }
        }
        assert!(count > 0, "no whole request came: {text}");
    }
}
