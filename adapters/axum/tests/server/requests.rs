//! Which requests get streams, which others get what, and where streams go on.

use super::{Peer, listener, routes, serve};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::stream;
use sansse::Event;
use sansse::broker::{Audience, SessionConfig};
use sansse::http::{Cors, ResponseHead};
use sansse_axum::{EventService, LastEventId, Sse};

#[tokio::test]
async fn what_is_published_by_a_request_reaches_those_who_listen() {
    let hub = sansse_axum::hub();
    let server = serve(listener().await, routes(&hub));
    let mut peers = [Peer::events(server.address).await, Peer::events(server.address).await];
    for peer in &mut peers {
        peer.wait_for("sansse-notice").await;
        assert!(peer.text.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"));
    }
    let head = "POST /say HTTP/1.1\r\ncontent-length: 5";
    let mut speaker = Peer::ask(server.address, head).await;
    tokio::io::AsyncWriteExt::write_all(&mut speaker.stream, b"hello").await.unwrap();
    speaker.wait_for("HTTP/1.1 200 OK").await;
    for peer in &mut peers {
        peer.wait_for("data: hello\n").await;
    }
}

#[tokio::test]
async fn a_peer_that_comes_back_gets_what_it_missed() {
    let hub = sansse_axum::hub();
    let server = serve(listener().await, routes(&hub));
    let mut peer = Peer::events(server.address).await;
    peer.wait_for("sansse-notice").await;
    hub.publish(Audience::Everyone, &Event::new("first")).unwrap();
    peer.wait_for("data: first\n").await;
    let id = peer.text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    let head = format!("GET /events HTTP/1.1\r\nlast-event-id: {id}");
    drop(peer);
    hub.publish(Audience::Everyone, &Event::new("missed")).unwrap();
    let mut peer = Peer::ask(server.address, &head).await;
    peer.wait_for("data: missed\n").await;
    assert!(!peer.text.contains("data: first\n"));
}

#[tokio::test]
async fn a_peer_that_leaves_closes_its_session() {
    let hub = sansse_axum::hub();
    let server = serve(listener().await, routes(&hub));
    let mut peer = Peer::events(server.address).await;
    peer.wait_for("sansse-notice").await;
    assert_eq!(hub.counters().sessions, 1);
    drop(peer);
    super::until("no session", || hub.counters().sessions == 0).await;
}

#[tokio::test]
async fn what_asks_for_no_stream_is_rejected() {
    let hub = sansse_axum::hub();
    let server = serve(listener().await, routes(&hub));
    for (head, status, more) in [
        ("PUT /events HTTP/1.1", "405", "allow: GET, HEAD, POST"),
        ("GET /events HTTP/1.1\r\naccept: text/html", "406", ""),
        ("OPTIONS /events HTTP/1.1", "405", "allow: GET, HEAD, POST"),
        ("HEAD /events HTTP/1.1", "200", "content-type: text/event-stream"),
    ] {
        let mut peer = Peer::ask(server.address, head).await;
        peer.wait_for("\r\n\r\n").await;
        assert!(peer.text.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {}", peer.text);
        assert!(peer.text.contains(more), "{head}: {}", peer.text);
    }
    assert_eq!(hub.counters().sessions, 0);
}

#[tokio::test]
async fn a_head_among_the_extensions_lets_other_origins_read() {
    let hub = sansse_axum::hub();
    let cors = Cors::origins(["https://app.example"]).unwrap();
    let head = ResponseHead::new().with_cors(cors);
    let server = serve(listener().await, routes(&hub).layer(Extension(head)));
    let origin = "origin: https://app.example";
    for (head, status) in [
        (format!("GET /events HTTP/1.1\r\n{origin}"), "200"),
        (format!("GET /events HTTP/1.1\r\naccept: text/html\r\n{origin}"), "406"),
        (
            format!("OPTIONS /events HTTP/1.1\r\naccess-control-request-method: GET\r\n{origin}"),
            "204",
        ),
    ] {
        let mut peer = Peer::ask(server.address, &head).await;
        peer.wait_for("\r\n\r\n").await;
        assert!(peer.text.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {}", peer.text);
        let allowed = "access-control-allow-origin: https://app.example";
        assert!(peer.text.contains(allowed), "{head}: {}", peer.text);
    }
}

#[tokio::test]
async fn the_head_of_the_hub_answers_a_preflight_where_a_request_has_none() {
    use sansse::broker::BrokerConfig;
    use sansse::hub::HubBuilder;
    let head = ResponseHead::new().with_cors(Cors::any_origin());
    let builder = HubBuilder::new(BrokerConfig::new(sansse_axum::random_epoch()));
    let hub = sansse_axum::spawn_hub(builder.with_response_head(head)).unwrap();
    let server = serve(listener().await, routes(&hub));
    let head =
        "OPTIONS /events HTTP/1.1\r\naccess-control-request-method: GET\r\norigin: https://a.b";
    let mut peer = Peer::ask(server.address, head).await;
    peer.wait_for("\r\n\r\n").await;
    assert!(peer.text.starts_with("HTTP/1.1 204 "), "{}", peer.text);
}

#[tokio::test]
async fn a_stream_of_ones_own_ends_in_good_order_and_one_that_fails_does_not() {
    let good = || async { Sse::new(stream::iter([Ok::<_, String>(Event::new("a"))])) };
    let bad = || async {
        Sse::new(stream::iter([Ok(Event::new("a")), Err(String::from("the secret reason"))]))
    };
    let routes = Router::new().route("/good", get(good)).route("/bad", get(bad));
    let server = serve(listener().await, routes);
    let mut peer = Peer::ask(server.address, "GET /good HTTP/1.1\r\nconnection: close").await;
    assert!(peer.end().await, "{}", peer.text);
    assert!(peer.text.contains("data: a\n\n"));
    let mut peer = Peer::ask(server.address, "GET /bad HTTP/1.1\r\nconnection: close").await;
    assert!(!peer.end().await, "{}", peer.text);
    assert!(peer.text.contains("event: error\n"), "{}", peer.text);
    assert!(!peer.text.contains("secret"));
}

#[tokio::test]
async fn the_last_event_id_is_read_from_the_header_and_the_query() {
    let id = |LastEventId(id): LastEventId| async move { format!("{id:?}.") };
    let server = serve(listener().await, Router::new().route("/", get(id)));
    for (head, expected) in [
        ("GET / HTTP/1.1", "Absent."),
        ("GET / HTTP/1.1\r\naccept: text/html\r\nlast-event-id: 7", "Id(EventId(\"7\"))."),
        ("GET /?lastEventId=8 HTTP/1.1", "Id(EventId(\"8\"))."),
        ("GET / HTTP/1.1\r\nlast-event-id: 7\r\nlast-event-id: 8", "Malformed."),
    ] {
        Peer::ask(server.address, head).await.wait_for(expected).await;
    }
}

#[tokio::test]
async fn a_route_may_be_a_service() {
    let hub = sansse_axum::hub();
    let service = EventService::new(hub.clone(), |_| SessionConfig::new());
    let server = serve(listener().await, Router::new().route_service("/events", service));
    let mut peer = Peer::events(server.address).await;
    peer.wait_for("sansse-notice").await;
    hub.publish(Audience::Everyone, &Event::new("hello")).unwrap();
    peer.wait_for("data: hello\n").await;
}
