//! Event streams behind nginx, HAProxy and Caddy: what to put into their configuration, and why.
//!
//! Take one of the three files: [`nginx.conf`](#nginx), [`haproxy.cfg`](#haproxy),
//! [`Caddyfile`](#caddy). Each is a whole configuration. Replace the port 8000, on which the proxy
//! listens, and 127.0.0.1:8080, where the server is. In a configuration that is there already, these
//! are the lines that matter:
//!
//! | What for | nginx | HAProxy | Caddy |
//! | --- | --- | --- | --- |
//! | [pages outlive a restart](#while-the-server-is-away) of the server | `error_page 502 503 504 =200 @come_back`, and that location | `http-error` for each, and `set-status 200` | `handle_errors` |
//! | each event arrives at once | nothing, or `proxy_buffering off` | `option http-no-delay` | nothing |
//! | a stream that was [cut off](#the-end-of-a-stream) looks so | `proxy_http_version 1.1` | nothing | not in 2.6 |
//! | silence is no end | `proxy_read_timeout` of more than 15 s; 60 s is the default | `timeout client` and `timeout server` of more than 15 s | nothing |
//! | there is room for streams, at two connections each | `worker_connections`; the default is full with fewer than 400 streams | `ulimit -n` | `ulimit -n` |
//! | the proxy itself can be reloaded or stopped | `worker_shutdown_timeout` | `hard-stop-after` | `grace_period`, for a stop; a reload leaves streams alone |
//! | a browser has more than six streams | `http2`, with a certificate | `alpn h2,http/1.1`, with a certificate | the name of a host |
//!
//! # While the server is away
//!
//! An `EventSource` comes back by itself after a lost connection and after the end of a stream. It
//! never does after an answer with another status than 200 ([WHATWG HTML,
//! 9.2.2](https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model)). A
//! [`Hub`](crate::Hub) therefore answers who is to come back by [a
//! stream](crate::hub::RefuseBy::Stream).
//!
//! A proxy does not know of that. While the server is started anew, the proxy answers for it by 502,
//! 503 or 504, and that ends every page which comes back just then. With the files below it answers
//! by a stream of one line instead, `retry: 5000`: the page asks again after 5 s, with the id of the
//! last event that it had. Answers of the server itself pass unchanged. Where pages of other origins
//! read the stream, this answer needs the stream's `Access-Control-Allow-Origin` too.
//!
//! # What was seen
//!
//! By nginx 1.22.1, HAProxy 2.6.12 and Caddy 2.6.2, on one machine, with this library's
//! [`serve`](crate::serve) and with axum behind them, and a heartbeat every 0.3 s. Of the two servers,
//! the slower one counts:
//!
//! | | nginx, [`nginx.conf`](#nginx) | nginx, `proxy_pass` alone | HAProxy, [`haproxy.cfg`](#haproxy) | Caddy, [`Caddyfile`](#caddy) |
//! | --- | --- | --- | --- | --- |
//! | from publish to arrival, median of 50 events | 0.2 ms | 0.2 ms | 0.2 ms | 0.2 ms |
//! | the slowest of them | 0.5 ms | 3.7 ms | 0.3 ms | 28 ms |
//! | the last of 200 that are published at once | 1.5 ms | 1.1 ms | 1.2 ms | 1.5 ms |
//! | the only event of a stream | 0.1 ms | 0.1 ms | 0.1 ms | 0.2 ms |
//! | the hub sees that a reader has left after | 5 ms | 6 ms | 606 ms, two heartbeats | 5 ms |
//! | the server is started anew | nothing is lost, nothing comes twice | 502: the page ends | nothing is lost, nothing comes twice | nothing is lost, nothing comes twice |
//! | a stream that the server cuts off | is cut off | is cut off; with axum, it ends as if it were whole | is cut off | ends as if it were whole |
//! | what is on its way to a reader that takes nothing, before the hub ends it as [`Stalled`](crate::broker::EndReason::Stalled) | 7 to 10 MiB | 7 to 25 MiB | 7 to 10 MiB | 7 to 19 MiB |
//! | the slowest of 20 events, to 10 streams over one connection of HTTP/2 | 0.6 ms | | 0.5 ms | 0.9 ms |
//!
//! Without a proxy the median was 0.2 ms as well. These change it:
//!
//! | What is set | What happens |
//! | --- | --- |
//! | HAProxy without `option http-no-delay` | each event comes late, by some 200 ms |
//! | nginx with `gzip on` and `text/event-stream` among the `gzip_types` | it compresses, and holds nothing back |
//! | Caddy with `encode gzip` | it heeds `no-transform` and leaves the stream as it is |
//! | nginx that ignores `X-Accel-Buffering`, and buffers | nothing comes before some KiB have gathered; the hub does not see a reader that takes nothing, not after 64 MiB |
//! | the same with `proxy_buffering off` | all is well |
//!
//! `cargo test --test proxies -- --ignored --nocapture`, in the project's repository, prints the
//! figures anew.
//!
//! # The end of a stream
//!
//! `EventSource` comes back after any end. Other readers, such as a loop over `fetch`, take a body
//! that ends in good order for the whole. So a stream that was cut short [never ends in good
//! order](crate::broker::EndReason::stream_end). The proxies differ in what they make of it. nginx
//! asks the server by HTTP/1.0 unless told otherwise, where the end of the connection is the end of
//! the body. Caddy 2.6 completes what was cut off. Behind these, let readers go by what the stream
//! itself says: a last event of your own, or the [notice](crate::Notice) that the stream is ending.
//!
//! nginx and HAProxy themselves cut off a stream on which nothing came for as long as their timeouts
//! say. Heartbeats prevent that, also where they are events of your own.
//!
//! # Readers that leave, and readers that take nothing
//!
//! nginx and Caddy close the connection to the server when a page goes. HAProxy only finds out when
//! it writes to the page for the second time: with the usual heartbeats after 30 s at most. Until
//! then the page counts as present. A shorter
//! [heartbeat](crate::broker::SessionDefaults::heartbeat) is the remedy, and a page that comes by
//! HTTP/2 is missed at the first heartbeat at the latest.
//!
//! A page that takes nothing fills the buffers of the system on both sides of the proxy first, some
//! MiB. Then the proxy takes nothing from the server either, and the session meets its
//! [lag](crate::broker::Lag) or its [stall timeout](crate::broker::SessionDefaults::stall_timeout),
//! as without a proxy. nginx gives up the page itself after its `send_timeout`, and HAProxy after
//! its `timeout client`.
//!
//! # Who asks
//!
//! To the server, all readers come from the proxy. For [limits by
//! address](crate::broker::BrokerLimits::sessions_per_address), take the address that the proxy
//! vouches for. The files below replace what the page itself has sent under this name. A server that
//! can be reached past the proxy must not trust it.
//!
//! ```
//! use sansse::broker::{AddressKey, SessionConfig};
//!
//! fn config<B>(request: &http::Request<B>) -> SessionConfig {
//!     let address = request.headers().get("x-forwarded-for");
//!     let address = address.and_then(|address| address.to_str().ok());
//!     match address.map(AddressKey::new) {
//!         Some(Ok(address)) => SessionConfig::new().with_address(address),
//!         _ => SessionConfig::new(),
//!     }
//! }
//! # let request = http::Request::get("/").header("x-forwarded-for", "192.0.2.1").body(()).unwrap();
//! # let address = AddressKey::new("192.0.2.1").unwrap();
//! # let expected = SessionConfig::new().with_address(address);
//! # assert_eq!(format!("{:?}", config(&request)), format!("{expected:?}"));
//! ```
//!
//! The guard against pages of strangers, [`Hosts`](crate::http::Hosts), goes by the name that the page
//! asked for. nginx puts the address of its `proxy_pass` in
//! its place, unless `proxy_set_header Host $http_host`
//! stands there.
//!
//! # nginx
//!
#![doc = "```text"]
#![doc = include_str!("../../examples/proxies/nginx.conf")]
#![doc = "```"]
//!
//! # HAProxy
//!
#![doc = "```text"]
#![doc = include_str!("../../examples/proxies/haproxy.cfg")]
#![doc = "```"]
//!
//! # Caddy
//!
#![doc = "```text"]
#![doc = include_str!("../../examples/proxies/Caddyfile")]
#![doc = "```"]
