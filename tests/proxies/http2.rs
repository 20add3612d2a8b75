//! Many streams over one connection of HTTP/2, by TLS, as browsers have them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sansse::Event;
use sansse::broker::{SessionConfig, TopicName};
use tokio::time::Instant;

use crate::curl::Curl;
use crate::proxy::{Kind, Proxy, free_address};
use crate::upstream::{Stack, Upstream, config};
use crate::{MACHINE, milliseconds, until};

const STREAMS: usize = 10;

#[tokio::test]
#[ignore = "needs nginx and curl; .ci/run runs it"]
async fn nginx_carries_many_streams_over_one_connection() {
    many_streams_share_a_connection(Kind::Nginx).await;
}

#[tokio::test]
#[ignore = "needs haproxy and curl; .ci/run runs it"]
async fn haproxy_carries_many_streams_over_one_connection() {
    many_streams_share_a_connection(Kind::HaProxy).await;
}

#[tokio::test]
#[ignore = "needs caddy and curl; .ci/run runs it"]
async fn caddy_carries_many_streams_over_one_connection() {
    many_streams_share_a_connection(Kind::Caddy).await;
}

async fn many_streams_share_a_connection(kind: Kind) {
    let _alone = MACHINE.write().await;
    let topic = TopicName::new("answer").expect("it is valid");
    let session = SessionConfig::new().with_topic(topic.clone()).topics_only();
    let upstream = Upstream::start_with(Stack::Serve, config(), session).await;
    let certificate = Certificate::new(kind);
    let (proxy, port) = certificate.start(kind, &upstream);

    let left = Curl::start(certificate.arguments(port).iter().map(String::as_str));
    until("all streams are open", || upstream.sessions() == STREAMS as u64).await;
    drop(left);
    let seen = until("all sessions end", || upstream.sessions() == 0).await;
    assert!(seen < Duration::from_secs(1), "{seen:?}");

    let mut curl = Curl::start(certificate.arguments(port).iter().map(String::as_str));
    until("all streams are open", || upstream.sessions() == STREAMS as u64).await;
    let mut longest = Duration::ZERO;
    for number in 0..20 {
        let began = Instant::now();
        let event = Event::new(number.to_string());
        upstream.hub().publish(topic.clone(), &event).expect("the hub is open");
        for _ in 0..STREAMS {
            longest = longest.max(curl.line(&format!("data: {number}")).await - began);
        }
    }
    upstream.hub().end_topic(&topic).expect("it has not ended");
    let (mut ended, mut connections) = (0, 0);
    while let Some((_, line)) = curl.next().await {
        if let Some(number) = line.strip_prefix("by HTTP/2, connections made: ") {
            ended += 1;
            connections += number.parse::<usize>().expect("it is a number");
        }
    }
    assert_eq!((ended, connections), (STREAMS, 1));
    println!(
        "| {} | {STREAMS} streams over one connection | {} | {} |",
        kind.title(),
        milliseconds(longest),
        milliseconds(seen)
    );
    assert!(longest < Duration::from_millis(100), "{longest:?}");
    drop(proxy);
}

/// A certificate of this machine's own, with its key, as a file.
struct Certificate {
    file: String,
}

impl Certificate {
    fn new(kind: Kind) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let made = made.expect("the address is valid");
        let name = format!("proxies-{kind:?}-{}.pem", std::process::id());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&file, made.cert.pem() + &made.signing_key.serialize_pem())
            .expect("the target directory can be written");
        Self { file: file.to_str().expect("the target directory has a name in UTF-8").to_owned() }
    }

    /// Starts a proxy with TLS, as its configuration says how; returns the port, too.
    fn start(&self, kind: Kind, upstream: &Upstream) -> (Proxy, u16) {
        let Self { file } = self;
        let port = free_address().port();
        let changes = match kind {
            Kind::Nginx | Kind::PlainNginx => vec![
                ("# listen 8443 ssl http2;", format!("listen 127.0.0.1:{port} ssl http2;")),
                ("# ssl_certificate /etc/ssl/events.pem;", format!("ssl_certificate {file};")),
                (
                    "# ssl_certificate_key /etc/ssl/events.key;",
                    format!("ssl_certificate_key {file};"),
                ),
            ],
            Kind::HaProxy => vec![(
                "# bind :8443 ssl crt /etc/ssl/events.pem alpn h2,http/1.1",
                format!("bind 127.0.0.1:{port} ssl crt {file} alpn h2,http/1.1"),
            )],
            Kind::Caddy => vec![
                ("\nhttp://", "\nhttps://".to_owned()),
                ("\tbind 127.0.0.1\n", format!("\tbind 127.0.0.1\n\ttls {file} {file}\n")),
                // The other port may be another program's.
                ("\tadmin off\n", "\tadmin off\n\tauto_https disable_redirects\n".to_owned()),
            ],
        };
        let changes: Vec<_> = changes.iter().map(|(line, place)| (*line, place.as_str())).collect();
        let proxy = Proxy::start_changed(kind, upstream.address(), &changes);
        let port = if kind == Kind::Caddy { proxy.address().port() } else { port };
        (proxy, port)
    }

    /// What `curl` is to be told, so that it reads all streams at a time.
    fn arguments(&self, port: u16) -> Vec<String> {
        let mut arguments =
            ["--no-progress-meter", "--http2", "--parallel", "--cacert", &self.file, "--write-out"]
                .map(str::to_owned)
                .to_vec();
        arguments.push("by HTTP/%{http_version}, connections made: %{num_connects}\\n".to_owned());
        arguments.extend(
            (0..STREAMS).map(|stream| format!("https://127.0.0.1:{port}/events?stream={stream}")),
        );
        arguments
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}
