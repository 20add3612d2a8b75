//! Event streams behind nginx, `HAProxy` and Caddy: how their own errors do not end pages.
//!
//! An `EventSource` comes back by itself after a lost connection and after the end of a stream. It
//! never does after an answer with another status than 200 ([WHATWG HTML,
//! 9.2.2](https://html.spec.whatwg.org/multipage/server-sent-events.html#sse-processing-model)). A
//! [`Hub`](crate::Hub) therefore answers who is to come back by [a
//! stream](crate::hub::RefuseBy::Stream).
//!
//! A proxy in front of the server does not know of that. While the server is started anew, the proxy
//! answers for it by 502, 503 or 504, and that ends every page which comes back just then. Let it
//! answer by the same kind of stream:
//!
//! - **nginx**, beside the location of the stream, which names it:
//!
//!   ```text
//!   location /events {
//!       proxy_pass http://127.0.0.1:8080;
//!       proxy_http_version 1.1;
//!       proxy_set_header Host $http_host;
//!       proxy_read_timeout 1h;
//!       error_page 502 503 504 =200 @come_back;
//!   }
//!   location @come_back {
//!       default_type text/event-stream;
//!       add_header Cache-Control no-cache;
//!       return 200 "retry: 5000\n\n";
//!   }
//!   ```
//! - **`HAProxy`**: `errorfile 503 /etc/haproxy/come-back.http` in the backend of the stream, and the
//!   same for 502 and 504. The file is a whole answer, with CRLF at the ends of the lines of its head:
//!
//!   ```text
//!   HTTP/1.1 200 OK
//!   Content-Type: text/event-stream
//!   Cache-Control: no-cache
//!   Connection: close
//!
//!   retry: 5000
//!   ```
//!
//!   and an empty line.
//! - **Caddy**: in the block of the site,
//!
//!   ```text
//!   handle_errors {
//!       @stream expression `{http.error.status_code} in [502, 503, 504] && {http.request.uri.path} == "/events"`
//!       handle @stream {
//!           header Content-Type text/event-stream
//!           header Cache-Control no-cache
//!           respond "retry: 5000
//!
//!   " 200
//!       }
//!   }
//!   ```
//!
//! Answers of the server itself pass all three unchanged. Pages of other origins need the
//! `Access-Control-Allow-Origin` of the stream here too.
