//! What the server is told of who asks.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::proxy::{Kind, Proxy};
use crate::{ALL, MACHINE};

#[tokio::test]
#[ignore = "needs nginx, haproxy and caddy; .ci/run runs it"]
async fn the_server_sees_the_name_that_was_asked_for_and_an_address_that_cannot_be_made_up() {
    let _shared = MACHINE.read().await;
    for kind in [Kind::Nginx, Kind::HaProxy, Kind::Caddy] {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let server = listener.local_addr().expect("it is bound");
        let proxy = Proxy::start(kind, server);
        let mut reader = TcpStream::connect(proxy.address()).await.expect("it listens");
        let host = proxy.address();
        let request = format!(
            "GET /events HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 192.0.2.1\r\n\
             Last-Event-ID: 7\r\n\r\n"
        );
        reader.write_all(request.as_bytes()).await.expect("it reads");
        let head = timeout(ALL, head_of(&listener)).await.expect("it asks the server");
        let fields = |name: &str| -> Vec<String> {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines
                .filter(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_owned())
                .collect()
        };
        assert_eq!(fields("x-forwarded-for"), ["127.0.0.1"], "{kind:?}: {head}");
        assert_eq!(fields("host"), [host.to_string()], "{kind:?}: {head}");
        assert_eq!(fields("last-event-id"), ["7"], "{kind:?}: {head}");
    }
}

/// The head of the request of the first connection that has one.
async fn head_of(listener: &TcpListener) -> String {
    let (mut connection, _) = listener.accept().await.expect("descriptors are left");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.expect("the head comes"));
    }
    String::from_utf8(head).expect("it is ASCII")
}
