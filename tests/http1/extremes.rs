//! Each limit of a connection at its extremes: nothing panics, and no time wraps.

use crate::kit::base_instant;
use bytes::Bytes;
use http::{Request, Response};
use sansse::http1::{
    ClientConnection, ClientConnectionConfig, ServerConnection, ServerConnectionConfig,
};
use std::collections::BTreeSet;
use std::time::Duration;

const TIMES: [Duration; 4] =
    [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1 << 40), Duration::MAX];
const NUMBERS: [usize; 3] = [0, 1, usize::MAX];

type Server = ServerConnectionConfig;
type Client = ClientConnectionConfig;

/// A setter, by its name.
type Setter<C, V> = (&'static str, fn(C, V) -> C);

const SERVER_TIMES: [Setter<Server, Duration>; 5] = [
    ("with_head_time", Server::with_head_time),
    ("with_body_time", Server::with_body_time),
    ("with_idle_time", Server::with_idle_time),
    ("with_write_time", Server::with_write_time),
    ("with_linger_time", Server::with_linger_time),
];

const SERVER_NUMBERS: [Setter<Server, usize>; 3] = [
    ("with_max_head_size", Server::with_max_head_size),
    ("with_max_headers", Server::with_max_headers),
    ("with_max_body_size", Server::with_max_body_size),
];

const CLIENT_NUMBERS: [Setter<Client, usize>; 4] = [
    ("with_max_head_size", Client::with_max_head_size),
    ("with_max_headers", Client::with_max_headers),
    ("with_max_interim_responses", Client::with_max_interim_responses),
    ("with_max_unread", Client::with_max_unread),
];

#[test]
fn no_limit_is_forgotten_here() {
    let server = include_str!("../../src/http1/server/config.rs");
    let client = include_str!("../../src/http1/client/config.rs");
    let of_server = SERVER_TIMES.map(|(name, _)| name).into_iter().chain(names(&SERVER_NUMBERS));
    assert_eq!(setters(server), of_server.collect());
    assert_eq!(setters(client), names(&CLIENT_NUMBERS).collect());
}

fn names<C, V>(setters: &[Setter<C, V>]) -> impl Iterator<Item = &'static str> {
    setters.iter().map(|(name, _)| *name)
}

fn setters(source: &str) -> BTreeSet<&str> {
    let setters = source.lines().filter_map(|line| line.trim().strip_prefix("pub const fn "));
    let names = setters.filter_map(|rest| Some(rest.split_once('(')?.0));
    names.filter(|name| name.starts_with("with_")).collect()
}

#[test]
fn a_server_connection_lives_through_each_limit_at_its_extremes() {
    for (_, set) in SERVER_TIMES {
        for time in TIMES {
            serve(set(Server::DEFAULT, time));
        }
    }
    for (_, set) in SERVER_NUMBERS {
        for number in NUMBERS {
            serve(set(Server::DEFAULT, number));
        }
    }
}

/// What connections of a server go through, with times from none to centuries between.
fn serve(config: Server) {
    let requests: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\nabc",
        b"GET / HTTP/1.1\r\nHost: a",
        b"nonsense\r\n\r\n",
    ];
    for (bytes, pause) in requests.iter().flat_map(|bytes| {
        [0, 1, 100_000, 1 << 32].map(|seconds| (*bytes, Duration::from_secs(seconds)))
    }) {
        let mut now = base_instant();
        let mut server = ServerConnection::new(now, config);
        for round in 0..3 {
            for part in bytes.chunks(7) {
                server.handle_data(now, part);
            }
            if server.poll_request().is_some() {
                let _ = match round {
                    0 => server.respond(now, Response::new(Bytes::from_static(b"x"))),
                    1 => server.refuse(now, Response::new(Bytes::new())),
                    _ => server.respond_stream(now, Response::new(())).map(|_| ()),
                };
            }
            now += pause;
            server.handle_timeout(now);
            while server.poll_transmit(now).is_some() {}
            // A deadline is met once, and does not come again for ever.
            for met in 0.. {
                let Some(deadline) = server.poll_timeout().filter(|at| *at <= now) else { break };
                assert!(met < 10, "{deadline:?} comes again and again");
                server.handle_timeout(now);
            }
            if round == 1 {
                server.drain(now);
            }
        }
        server.handle_eof(now);
        now += Duration::from_secs(1 << 33);
        server.handle_timeout(now);
        let _ = (server.wants_data(), server.wants_shutdown(), server.close_reason());
    }
}

#[test]
fn an_exchange_of_a_client_lives_through_each_limit_at_its_extremes() {
    for (_, set) in CLIENT_NUMBERS {
        for number in NUMBERS {
            exchange(set(Client::DEFAULT, number));
        }
    }
}

fn exchange(config: Client) {
    let responses: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n\r\nabc",
        b"nonsense\r\n\r\n",
    ];
    for response in responses {
        let request = Request::get("http://localhost/").body(Bytes::new()).unwrap();
        let mut client = ClientConnection::new(&request, config).unwrap();
        while client.poll_transmit().is_some() {}
        for part in response.chunks(7) {
            client.handle_data(part);
        }
        client.handle_eof();
        while let Some(Ok(_)) = client.poll_response() {}
        let _ = client.wants_data();
    }
}
