//! Which requests get streams, which others get what, and where streams go on.

use super::{Peer, routes, serve};
use actix_web::{HttpResponse, Responder, web};
use futures_util::stream;
use sansse::broker::{Audience, BrokerConfig, SessionConfig};
use sansse::http::{AcceptConfig, Cors, Hosts, ResponseHead};
use sansse::hub::HubBuilder;
use sansse::{Event, Hub};
use sansse_actix::{LastEventId, Sse, Streams};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn what_is_published_by_a_request_reaches_those_who_listen() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let mut peers = [Peer::events(server.address).await, Peer::events(server.address).await];
    for peer in &mut peers {
        peer.wait_for("sansse-notice").await;
        let (head, _) = peer.text().split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        for line in
            ["content-type: text/event-stream", "transfer-encoding: chunked", "cache-control: "]
        {
            assert!(head.contains(&format!("\r\n{line}")), "{line}: {head}");
        }
    }
    let head = "POST /say HTTP/1.1\r\ncontent-length: 5";
    let mut speaker = Peer::ask(server.address, head).await;
    speaker.stream.write_all(b"hello").await.unwrap();
    speaker.wait_for("HTTP/1.1 200 OK").await;
    for peer in &mut peers {
        peer.wait_for("data: hello\n").await;
    }
}

#[tokio::test]
async fn a_peer_that_comes_back_gets_what_it_missed() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let mut peer = Peer::events(server.address).await;
    peer.wait_for("sansse-notice").await;
    hub.publish(Audience::Everyone, &Event::new("first")).unwrap();
    peer.wait_for("data: first\n").await;
    let mut ids = peer.text().lines().filter_map(|line| line.strip_prefix("id: "));
    let id = ids.next_back().unwrap().to_owned();
    drop(peer);
    hub.publish(Audience::Everyone, &Event::new("missed")).unwrap();
    for head in [
        format!("GET /events HTTP/1.1\r\nlast-event-id: {id}"),
        format!("GET /events?lastEventId={id} HTTP/1.1"),
    ] {
        let mut peer = Peer::ask(server.address, &head).await;
        peer.wait_for("data: missed\n").await;
        assert!(!peer.text().contains("data: first\n"));
    }
}

#[tokio::test]
async fn a_peer_that_leaves_closes_its_session_at_once() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let mut peer = Peer::events(server.address).await;
    peer.wait_for("sansse-notice").await;
    assert_eq!(hub.counters().sessions, 1);
    let begun = std::time::Instant::now();
    drop(peer);
    super::until("no session", || hub.counters().sessions == 0).await;
    // By a heartbeat it would be known after 15 s at the earliest.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_response_that_is_dropped_before_it_was_sent_closes_its_session() {
    async fn dropped(hub: web::Data<Hub>, stream: sansse_actix::StreamRequest) -> &'static str {
        let stream = stream.open(&hub, SessionConfig::new());
        assert!(stream.session_id().is_some());
        assert_eq!(hub.counters().sessions, 1);
        "something else"
    }
    let hub = sansse_actix::hub();
    let data = web::Data::new(hub.clone());
    let server = serve(Streams::new(hub.clone()), move |config| {
        config.app_data(data.clone()).route("/events", web::to(dropped));
    });
    Peer::events(server.address).await.wait_for("something else").await;
    assert_eq!(hub.counters().sessions, 0);
}

#[tokio::test]
async fn what_asks_for_no_stream_is_rejected() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    for (head, status, more) in [
        ("PUT /events HTTP/1.1", "405", "allow: GET, HEAD, POST"),
        ("GET /events HTTP/1.1\r\naccept: text/html", "406", ""),
        ("OPTIONS /events HTTP/1.1", "405", "allow: GET, HEAD, POST"),
        ("HEAD /events HTTP/1.1", "200", "content-type: text/event-stream"),
    ] {
        let mut peer = Peer::ask(server.address, head).await;
        peer.wait_for("\r\n\r\n").await;
        assert!(peer.text().starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {}", peer.text());
        assert!(peer.text().contains(more), "{head}: {}", peer.text());
    }
    assert_eq!(hub.counters().sessions, 0);
}

/// The answer to a request by HEAD is over with its head, and the next request has its turn.
#[tokio::test]
async fn a_connection_goes_on_after_head() {
    let stream = || async { Sse::new(stream::pending::<Result<Event, String>>()) };
    let hub = sansse_actix::hub();
    let routes = routes(&hub);
    let server = serve(Streams::new(hub.clone()), move |config| {
        routes(config);
        config.route("/sse", web::to(stream));
    });
    for path in ["/events", "/sse"] {
        let mut peer = Peer::ask(server.address, &format!("HEAD {path} HTTP/1.1")).await;
        peer.wait_for("\r\n\r\n").await;
        assert!(!peer.text().contains("content-length"), "{}", peer.text());
        peer.stream.write_all(b"PUT /events HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        peer.wait_for("\r\n\r\nHTTP/1.1 405 ").await;
    }
}

fn hub_with(build: impl FnOnce(HubBuilder) -> HubBuilder) -> Hub {
    let builder = HubBuilder::new(BrokerConfig::new(sansse_actix::random_epoch()));
    sansse_actix::spawn_hub(build(builder)).unwrap()
}

#[tokio::test]
async fn a_page_of_another_origin_and_a_request_for_another_host_are_refused() {
    let accept = AcceptConfig::new().with_hosts(Hosts::new().with_name("a").unwrap());
    let hub = hub_with(|builder| builder.with_accept(accept));
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    for (head, status) in [
        ("GET /events HTTP/1.1\r\norigin: http://a", "200"),
        ("GET /events HTTP/1.1\r\norigin: http://evil.example", "403"),
    ] {
        let mut peer = Peer::ask(server.address, head).await;
        peer.wait_for("\r\n\r\n").await;
        assert!(peer.text().starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {}", peer.text());
    }
    let mut stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: evil.example\r\n\r\n").await.unwrap();
    let mut peer = Peer { stream, bytes: Vec::new() };
    peer.wait_for("HTTP/1.1 403 ").await;
}

#[tokio::test]
async fn a_head_in_the_data_or_the_extensions_lets_other_origins_read() {
    use actix_web::HttpMessage;
    use actix_web::dev::Service;
    let hub = sansse_actix::hub();
    let head = ResponseHead::new().with_cors(Cors::origins(["https://app.example"]).unwrap());
    let routes = routes(&hub);
    let server = serve(Streams::new(hub), move |config| {
        routes(config);
        let by_request = head.clone();
        config.service(web::resource("/data").app_data(head.clone()).to(super::events)).service(
            web::resource("/extensions").to(super::events).wrap_fn(move |request, next| {
                request.extensions_mut().insert(by_request.clone());
                next.call(request)
            }),
        );
    });
    let origin = "origin: https://app.example";
    for path in ["/data", "/extensions"] {
        for (head, status) in [
            (format!("GET {path} HTTP/1.1\r\n{origin}"), "200"),
            (format!("GET {path} HTTP/1.1\r\naccept: text/html\r\n{origin}"), "406"),
            (
                format!(
                    "OPTIONS {path} HTTP/1.1\r\naccess-control-request-method: GET\r\n{origin}"
                ),
                "204",
            ),
        ] {
            let mut peer = Peer::ask(server.address, &head).await;
            peer.wait_for("\r\n\r\n").await;
            let text = peer.text();
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {text}");
            let allowed = "access-control-allow-origin: https://app.example";
            assert!(text.contains(allowed), "{head}: {text}");
            if status == "204" {
                assert!(!text.contains("content-length"), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn the_head_of_the_hub_answers_a_preflight_where_a_request_has_none() {
    let head = ResponseHead::new().with_cors(Cors::any_origin());
    let hub = hub_with(|builder| builder.with_response_head(head));
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let head =
        "OPTIONS /events HTTP/1.1\r\naccess-control-request-method: GET\r\norigin: https://a.b";
    let mut peer = Peer::ask(server.address, head).await;
    peer.wait_for("\r\n\r\n").await;
    assert!(peer.text().starts_with("HTTP/1.1 204 "), "{}", peer.text());
}

#[tokio::test]
async fn who_cannot_be_served_for_now_is_told_when_to_come_back() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    hub.close();
    // An `EventSource` obeys a stream alone.
    let mut peer = Peer::ask(server.address, "GET /events HTTP/1.1\r\nconnection: close").await;
    peer.wait_for("retry: ").await;
    peer.end().await;
    assert!(peer.text().starts_with("HTTP/1.1 200 "), "{}", peer.text());
    let head = "POST /events HTTP/1.1\r\ncontent-length: 0";
    let mut peer = Peer::ask(server.address, head).await;
    peer.wait_for("\r\n\r\n").await;
    assert!(peer.text().starts_with("HTTP/1.1 503 "), "{}", peer.text());
    assert!(peer.text().contains("\r\nretry-after: "), "{}", peer.text());
}

#[tokio::test]
async fn what_has_ended_is_answered_by_204_or_an_event_in_its_place() {
    use sansse::broker::TopicName;
    let hub = sansse_actix::hub();
    let topic = TopicName::new("over").unwrap();
    hub.end_topic(&topic).unwrap();
    let data = web::Data::new(hub.clone());
    let over = |event: bool| {
        let topic = TopicName::new("over").unwrap();
        move |hub: web::Data<Hub>, stream: sansse_actix::StreamRequest| {
            let config = SessionConfig::new().topics_only().with_topic(topic.clone());
            let config = if event {
                config.with_event_when_over(Event::new("that was all"))
            } else {
                config
            };
            async move { stream.open(&hub, config) }
        }
    };
    let server = serve(Streams::new(hub), move |config| {
        config
            .app_data(data.clone())
            .route("/over", web::to(over(false)))
            .route("/told", web::to(over(true)));
    });
    let mut peer = Peer::ask(server.address, "GET /over HTTP/1.1").await;
    peer.wait_for("\r\n\r\n").await;
    assert!(peer.text().starts_with("HTTP/1.1 204 "), "{}", peer.text());
    assert!(!peer.text().contains("content-length"), "{}", peer.text());
    let mut peer = Peer::ask(server.address, "GET /told HTTP/1.1").await;
    peer.wait_for("data: that was all\n").await;
    assert!(peer.text().starts_with("HTTP/1.1 200 "), "{}", peer.text());
}

#[tokio::test]
async fn a_stream_of_ones_own_ends_in_good_order_and_one_that_fails_does_not() {
    let good = || async { Sse::new(stream::iter([Ok::<_, String>(Event::new("a"))])) };
    let bad = || async {
        Sse::new(stream::iter([Ok(Event::new("a")), Err(String::from("the secret reason"))]))
    };
    let server = serve(Streams::new(sansse_actix::hub()), move |config| {
        config.route("/good", web::get().to(good)).route("/bad", web::get().to(bad));
    });
    let mut peer = Peer::ask(server.address, "GET /good HTTP/1.1\r\nconnection: close").await;
    assert!(peer.end().await, "{}", peer.text());
    assert!(peer.text().contains("data: a\n\n"));
    let mut peer = Peer::ask(server.address, "GET /bad HTTP/1.1\r\nconnection: close").await;
    assert!(!peer.end().await, "{}", peer.text());
    assert!(peer.text().contains("event: error\n"), "{}", peer.text());
    assert!(!peer.text().contains("secret"));
}

/// The chunked coding is unknown to HTTP/1.0, and actix-http would send it all the same.
#[tokio::test]
async fn a_peer_by_http_1_0_gets_a_plain_stream_until_the_connection_ends() {
    let hub = sansse_actix::hub();
    let server = serve(Streams::new(hub.clone()), routes(&hub));
    let mut peer =
        Peer::ask(server.address, "GET /events HTTP/1.0\r\nconnection: keep-alive").await;
    peer.wait_for("sansse-notice").await;
    hub.publish(Audience::Everyone, &Event::new("hello")).unwrap();
    peer.wait_for("data: hello\n").await;
    hub.close();
    assert!(!peer.end().await);
    let text = peer.text();
    assert!(!text.contains("chunked"), "{text}");
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(!body.contains('\r'), "{text}");
}

#[tokio::test]
async fn the_last_event_id_is_read_from_the_header_and_the_query() {
    let id = |LastEventId(id): LastEventId| async move { format!("{id:?}.") };
    let server = serve(Streams::new(sansse_actix::hub()), move |config| {
        config.route("/", web::get().to(id));
    });
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
async fn a_handler_can_answer_otherwise_than_by_the_rejection() {
    async fn page(
        hub: web::Data<Hub>,
        request: actix_web::HttpRequest,
        stream: Result<sansse_actix::StreamRequest, sansse_actix::StreamRejection>,
    ) -> HttpResponse {
        match stream {
            Ok(stream) => {
                let stream = stream.open(&hub, SessionConfig::new());
                stream.respond_to(&request).map_into_boxed_body()
            }
            Err(_) => HttpResponse::Ok().body("a page"),
        }
    }
    let hub = sansse_actix::hub();
    let data = web::Data::new(hub.clone());
    let server = serve(Streams::new(hub), move |config| {
        config.app_data(data.clone()).route("/events", web::to(page));
    });
    let head = "GET /events HTTP/1.1\r\naccept: text/html";
    Peer::ask(server.address, head).await.wait_for("a page").await;
    Peer::events(server.address).await.wait_for("sansse-notice").await;
}
