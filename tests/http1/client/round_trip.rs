//! What the server writes, the client reads.

use super::{Received, read};
use crate::kit::base_instant;
use crate::kit::random::Random;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use sansse::http::ResponseHead;
use sansse::http1::{
    ClientConnection, ClientConnectionConfig, ResponseError, ServerConnection,
    ServerConnectionConfig,
};
use sansse::{Event, EventId, Frame, Framing, LastEventId};

fn random_bytes(random: &mut Random, most: usize) -> Vec<u8> {
    (0..random.below(most)).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
}

/// Hands a client's request to a server, in pieces, as HTTP/1.0 on demand.
fn asked(
    random: &mut Random,
    http10: bool,
) -> (ClientConnection, ServerConnection, Request<Bytes>) {
    let now = base_instant();
    let method = Method::try_from(random.pick(&["GET", "POST", "PUT", "HEAD"])).unwrap();
    let most = [10, 10, 10, 10_000][random.below(4)];
    let sent = Bytes::from(random_bytes(random, most));
    let request = Request::builder()
        .method(&method)
        .uri("http://a.example:8080/é?x")
        .header("last-event-id", "7")
        .body(sent.clone())
        .unwrap();
    let mut client = ClientConnection::new(&request, ClientConnectionConfig::default()).unwrap();
    let mut written = Vec::new();
    while let Some(bytes) = client.poll_transmit() {
        written.extend_from_slice(&bytes);
    }
    if http10 {
        let version = written.windows(8).position(|word| word == b"HTTP/1.1").unwrap();
        written[version + 7] = b'0';
    }
    let mut server = ServerConnection::new(now, ServerConnectionConfig::default());
    while !written.is_empty() {
        let rest = written.split_off(written.len().min(1 + random.below(100)));
        server.handle_data(now, &written);
        written = rest;
    }
    let got = server.poll_request().expect("the request is complete");
    assert_eq!((got.method(), got.body()), (&method, &sent));
    assert_eq!(got.uri(), "/%C3%A9?x");
    assert_eq!(got.headers()["host"], "a.example:8080");
    assert_eq!(got.headers()["last-event-id"], "7");
    (client, server, got)
}

/// What a server writes, and what it means by that.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    status: StatusCode,
    body: Vec<u8>,
    until_close: bool,
}

fn answer(random: &mut Random, mut server: ServerConnection, request: &Request<Bytes>) -> Answer {
    let now = base_instant();
    let mut answer = Answer::default();
    let mut frames = Vec::new();
    if request.method() == Method::HEAD || random.below(2) == 0 {
        answer.status = [200, 204, 404, 503][random.below(4)].try_into().unwrap();
        let body = random_bytes(random, 6_000);
        let mut response = Response::new(Bytes::from(body.clone()));
        *response.status_mut() = answer.status;
        server.respond(now, response).unwrap();
        if request.method() != Method::HEAD && answer.status != StatusCode::NO_CONTENT {
            answer.body = body;
        }
    } else {
        let head = ResponseHead::new().response(request.headers());
        let framing = server.respond_stream(now, head).unwrap();
        answer.until_close = framing == Framing::Plain;
        for number in 0..random.below(20) {
            let frame = Frame::new(&Event::new("x".repeat(random.below(300) * (number % 2))));
            frames.extend_from_slice(&framing.bytes(&frame));
            answer.body.extend_from_slice(&frame.payload());
        }
        frames.extend_from_slice(framing.end());
    }
    while let Some(bytes) = server.poll_transmit(now) {
        answer.bytes.extend_from_slice(&bytes);
    }
    answer.bytes.extend_from_slice(&frames);
    answer
}

/// Whatever an id may hold, the server gets what the client had received.
#[test]
fn an_id_with_control_characters_arrives_at_the_server_as_it_was() {
    let now = base_instant();
    let every: String = (1..=0x7f_u8).map(char::from).filter(|c| !"\r\n".contains(*c)).collect();
    for id in ["\u{1}", "a\u{7f}é\u{1f600}", "a\tb", &format!("x{every}x")] {
        let mut config = sansse::client::ClientConfig::new(1);
        config.last_event_id = Some(EventId::new(id.to_owned()).unwrap());
        let request = Request::get("http://a.example/").body(Bytes::new()).unwrap();
        let mut client = sansse::client::Client::new(request, config);
        let (_, request) = client.poll_request(now).expect("the first request is due");
        let mut client =
            ClientConnection::new(&request, ClientConnectionConfig::default()).unwrap();
        let mut server = ServerConnection::new(now, ServerConnectionConfig::default());
        while let Some(bytes) = client.poll_transmit() {
            server.handle_data(now, &bytes);
        }
        let got = server.poll_request().expect("it is a good request");
        let accepted = sansse::http::accept(&got).unwrap();
        assert_eq!(accepted.last_event_id().id().map(EventId::as_str), Some(id));
    }
}

fn read_in_pieces(client: &mut ClientConnection, bytes: &[u8], random: &mut Random) -> Received {
    let largest = 1 + random.below(500);
    read(client, bytes, || 1 + random.below(largest))
}

#[test]
fn what_the_server_answers_the_client_reads() {
    let mut streams_until_close = 0;
    for seed in 0..3_000 {
        let mut random = Random(seed);
        let http10 = random.below(4) == 0;
        let (mut client, server, request) = asked(&mut random, http10);
        let answer = answer(&mut random, server, &request);
        let received = read_in_pieces(&mut client, &answer.bytes, &mut random);
        assert_eq!((received.error, received.ended), (None, true), "seed {seed}");
        assert_eq!(received.head.unwrap().status(), answer.status, "seed {seed}");
        assert_eq!(received.body, answer.body, "seed {seed}");
        assert!(http10 || !answer.until_close, "seed {seed}");
        streams_until_close += usize::from(answer.until_close);
    }
    assert!(streams_until_close > 100, "{streams_until_close}");
}

#[test]
fn an_answer_that_is_cut_off_anywhere_is_never_taken_for_whole() {
    let mut truncated_bodies = 0;
    for seed in 0..3_000 {
        let mut random = Random(seed);
        let (mut client, server, request) = asked(&mut random, false);
        let answer = answer(&mut random, server, &request);
        let cut = random.below(answer.bytes.len());
        let received = read_in_pieces(&mut client, &answer.bytes[..cut], &mut random);
        assert!(!received.ended, "seed {seed}, cut at {cut} of {}", answer.bytes.len());
        let expected = match (cut, received.head) {
            (0, _) => ResponseError::NoResponse,
            (_, None) => ResponseError::TruncatedHead,
            (_, Some(_)) => ResponseError::TruncatedBody,
        };
        assert_eq!(received.error, Some(expected), "seed {seed}, cut at {cut}");
        assert!(answer.body.starts_with(&received.body), "seed {seed}, cut at {cut}");
        truncated_bodies += usize::from(expected == ResponseError::TruncatedBody);
    }
    assert!(truncated_bodies > 1_000, "{truncated_bodies}");
}

#[test]
fn an_id_in_a_header_goes_before_one_beside_the_headers() {
    let mut request =
        Request::get("http://a.example/").header("last-event-id", "7").body(Bytes::new()).unwrap();
    request.extensions_mut().insert(LastEventId::Id(EventId::new("8").unwrap()));
    let mut client = ClientConnection::new(&request, ClientConnectionConfig::default()).unwrap();
    let written = client.poll_transmit().unwrap();
    let text = std::str::from_utf8(&written).unwrap();
    assert_eq!(text.matches("last-event-id").count(), 1, "{text}");
    assert!(text.contains("last-event-id: 7\r\n"), "{text}");
}
