//! A peer of a server: HTTP/1.1 or HTTP/2, by hyper, each request on a connection of its own.

use crate::PATIENCE;
use crate::setup::{Served, Stack, is_said_by_the_core};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A response whose body is read bit by bit. The connection ends with it.
pub(crate) struct Peer {
    pub(crate) status: StatusCode,
    /// Those that the core sets, by name.
    pub(crate) headers: Vec<(String, String)>,
    /// What it says about the length of its body.
    pub(crate) length: Option<u64>,
    pub(crate) text: String,
    body: Incoming,
    connection: JoinHandle<()>,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    InGoodOrder,
    Cut,
}

impl Peer {
    /// What answers this request, or that nothing does.
    pub(crate) async fn try_ask<S: Stack>(
        address: SocketAddr,
        request: http::request::Builder,
    ) -> Result<Self, hyper::Error> {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let (response, connection) = if S::HTTP2 {
            use hyper::client::conn::http2::handshake;
            let (mut sender, connection) = handshake(TokioExecutor::new(), io).await?;
            let connection = tokio::spawn(async { drop(connection.await) });
            (sender.send_request(absolute(request, address)).await, connection)
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
            let connection = tokio::spawn(async { drop(connection.await) });
            (sender.send_request(with_host(request)).await, connection)
        };
        let (head, body) = response?.into_parts();
        if S::HTTP2 {
            for name in ["connection", "keep-alive", "transfer-encoding"] {
                assert!(!head.headers.contains_key(name), "{name} is none of HTTP/2");
            }
        }
        let said = head.headers.iter().filter(|(name, _)| is_said_by_the_core(name));
        let mut headers: Vec<_> = said
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        headers.sort();
        let length = head.headers.get("content-length");
        let length = length.map(|value| value.to_str().unwrap().parse().unwrap());
        Ok(Self { status: head.status, headers, length, text: String::new(), body, connection })
    }

    pub(crate) async fn ask<S: Stack>(served: &Served, request: http::request::Builder) -> Self {
        let answer = Self::try_ask::<S>(served.address, request);
        tokio::time::timeout(PATIENCE, answer).await.expect("there is an answer").unwrap()
    }

    /// A reader of all events, once it has its place.
    pub(crate) async fn events<S: Stack>(served: &Served) -> Self {
        let mut peer = Self::ask::<S>(served, Request::get("/events")).await;
        assert_eq!(peer.status, StatusCode::OK);
        peer.wait_for("sansse-notice").await;
        peer
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(one, _)| one == name).map(|(_, value)| &**value)
    }

    /// Reads until this was there.
    pub(crate) async fn wait_for(&mut self, what: &str) {
        while !self.text.contains(what) {
            let end = self.read().await;
            assert_eq!(end, None, "before {what:?} came: {:?}", self.tail());
        }
    }

    /// Reads to the end.
    pub(crate) async fn end(&mut self) -> End {
        loop {
            if let Some(end) = self.read().await {
                return end;
            }
        }
    }

    /// The last id that came.
    pub(crate) fn last_id(&self) -> &str {
        self.text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap()
    }

    async fn read(&mut self) -> Option<End> {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame());
        match frame.await.unwrap_or_else(|_| panic!("nothing comes after {:?}", self.tail())) {
            None => Some(End::InGoodOrder),
            Some(Err(_)) => Some(End::Cut),
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                self.text.push_str(std::str::from_utf8(&data).unwrap());
                None
            }
        }
    }

    fn tail(&self) -> &str {
        let from = self.text.len().saturating_sub(500);
        self.text.get(from..).unwrap_or(&self.text)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

const HOST: &str = "sansse.example";

fn with_host(mut request: Request<Empty<Bytes>>) -> Request<Empty<Bytes>> {
    request.headers_mut().entry("host").or_insert(http::HeaderValue::from_static(HOST));
    request
}

/// HTTP/2 has the host in the target.
fn absolute(mut request: Request<Empty<Bytes>>, _: SocketAddr) -> Request<Empty<Bytes>> {
    let host = request.headers_mut().remove("host");
    let host = host.as_ref().map_or(HOST, |host| host.to_str().unwrap());
    *request.uri_mut() = format!("http://{host}{}", request.uri()).parse().unwrap();
    request
}
