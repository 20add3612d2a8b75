//! `https` through proxies that pass on what they cannot read.

mod common;

use bytes::Bytes;
use common::tunnels::Tunnels;
use common::{Authority, PATIENCE, Running, Source, next_data, next_failure, next_open, quick};
use http::Request;
use sansse::client::ReadyState;
use sansse::feed::Http1;
use sansse::net::{FailureKind, Proxies, Proxy};
use sansse::{EventSource, Transport};
use sansse_tls::{Tls, TlsListener, rustls};
use sansse_tokio::{TokioAcceptor, TokioConnector, TokioRuntime};
use tokio::net::TcpListener;
use tokio::time::timeout;

fn source_through(proxies: Proxies, url: &str, tls: rustls::ClientConfig) -> Source {
    let transport = Http1::new(Tls::new(TokioConnector, tls)).with_proxies(proxies);
    source_by(transport, url)
}

fn source_by<T: Transport>(transport: T, url: &str) -> EventSource<T> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    EventSource::new(transport, TokioRuntime, request, quick())
}

#[tokio::test]
async fn a_stream_of_https_comes_through_a_tunnel() {
    let authority = Authority::new();
    let server = Running::start(authority.server()).await;
    let tunnels = Tunnels::start().await;
    let url = format!("https://localhost:{}/events", server.address.port());
    let mut source = source_through(tunnels.proxies("user:secret"), &url, authority.client());
    next_open(&mut source).await;
    server.say("hello");
    assert_eq!(next_data(&mut source).await, "hello");
    let asked = tunnels.asked();
    let authority = format!("localhost:{}", server.address.port());
    assert_eq!(
        asked[..],
        [format!(
            "CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\
             proxy-authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"
        )]
    );
}

#[tokio::test]
async fn the_certificate_has_to_be_the_hosts_through_a_tunnel_too() {
    let server = Running::start(Authority::new().server()).await;
    let tunnels = Tunnels::start().await;
    let client = Authority::new().client();
    let mut source = source_through(tunnels.proxies("user:secret"), &server.url(), client);
    let failure = next_failure(&mut source).await;
    assert_eq!(failure.kind(), FailureKind::Certificate, "{failure}");
    assert_eq!(server.counters.snapshot().requests, 0);
}

#[tokio::test]
async fn a_proxy_that_wants_credentials_ends_the_client_and_one_without_the_host_does_not() {
    let authority = Authority::new();
    let tunnels = Tunnels::start().await;
    // Nobody listens there once it is dropped.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("https://{nobody}/events");
    for (userinfo, kind, state) in [
        ("user:wrong", FailureKind::ProxyRefused, ReadyState::Closed),
        ("user:secret", FailureKind::Connect, ReadyState::Connecting),
    ] {
        let mut source = source_through(tunnels.proxies(userinfo), &url, authority.client());
        let failure = next_failure(&mut source).await;
        assert_eq!((failure.kind(), source.state()), (kind, state), "{failure}");
    }
}

#[tokio::test]
async fn without_tls_nothing_of_https_is_told_to_a_proxy_s_host() {
    let tunnels = Tunnels::start().await;
    let server = Running::start(Authority::new().server()).await;
    let transport = Http1::new(TokioConnector).with_proxies(tunnels.proxies("user:secret"));
    let mut source = source_by(transport, &server.url());
    let failure = next_failure(&mut source).await;
    assert_eq!(failure.kind(), FailureKind::Unsupported, "{failure}");
    assert!(failure.detail().contains("the feature `tls`"), "{failure}");
    assert_eq!(source.next().await, None);
}

/// What plain `http` asks for goes to such a proxy in its own TLS; within that, `https` is too much
/// for this connector.
#[tokio::test]
async fn a_proxy_may_itself_be_reached_by_tls() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // A server that takes whole URLs, as every server must.
    let listener = TlsListener::new(TokioAcceptor::new(listener), authority.server());
    let proxy = Running::start_on(listener, address, |server| server);
    let proxies = Proxies::all(Proxy::new(&format!("https://{address}")).unwrap());
    let url = "http://example.org/events";
    let mut source = source_through(proxies, url, authority.client());
    next_open(&mut source).await;
    proxy.say("hello");
    assert_eq!(timeout(PATIENCE, next_data(&mut source)).await.unwrap(), "hello");

    let tunnels = Tunnels::start_secure(authority.server()).await;
    let url = format!("https://{address}/events");
    let mut source = source_through(tunnels.proxies("user:secret"), &url, authority.client());
    let failure = next_failure(&mut source).await;
    assert_eq!(failure.kind(), FailureKind::Unsupported, "{failure}");
    assert_eq!(source.state(), ReadyState::Closed);
}
