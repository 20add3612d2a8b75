//! A stream that the server cuts off, which its reader is not to take for a whole one.

use sansse::broker::{ClientId, SessionConfig, TopicName};

use crate::MACHINE;
use crate::combinations::with_each_proxy;
use crate::curl::Curl;
use crate::proxy::{Kind, Proxy};
use crate::upstream::{Stack, Upstream, config};

with_each_proxy! { the_end_of_a_stream_passes_as_it_is }

async fn the_end_of_a_stream_passes_as_it_is(kind: Kind, stack: Stack) {
    let _shared = MACHINE.read().await;
    let topic = TopicName::new("answer").expect("it is valid");
    let client = ClientId::new("a").expect("it is valid");
    let session = SessionConfig::new().with_client(client.clone());
    let session = session.with_topic(topic.clone()).topics_only();
    let upstream = Upstream::start_with(stack, config(), session).await;
    let proxy = Proxy::start(kind, upstream.address());

    let mut reader = Curl::start([&*proxy.url()]);
    reader.line("event: sansse-notice").await;
    assert_eq!(upstream.hub().revoke(&client), Ok(1));
    let is_told = reader.exit_code().await != Some(0);
    println!(
        "| {} | {} | {} |",
        kind.title(),
        stack.title(),
        if is_told { "cut off" } else { "ends as if it were whole" }
    );
    match (kind, stack) {
        (Kind::Nginx | Kind::HaProxy, _) | (Kind::PlainNginx, Stack::Serve) => assert!(is_told),
        // By HTTP/1.0 the end of the connection is the end of the body, unless it is reset.
        (Kind::PlainNginx, Stack::Axum) => assert!(!is_told),
        // What Caddy makes of it depends on its version.
        (Kind::Caddy, _) => {}
    }

    let mut reader = Curl::start([&*proxy.url()]);
    reader.line("event: sansse-notice").await;
    upstream.hub().end_topic(&topic).expect("it has not ended");
    assert_eq!(reader.exit_code().await, Some(0));
}
