//! The client side of HTTP/1.1: the same response whatever the splits, in the only order there is,
//! and an end or an error at last.

use super::input::{Input, sizes};
use super::kit::received::{self, Received, client_for};
use http::Method;
use sansse::http1::ClientConnectionConfig;

const HEADERS: usize = 4;

/// Two bytes say how the rest is cut and what was asked; the rest is what a server sends.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let mut split = sizes(input.byte());
    let method = if input.byte() % 8 == 1 { Method::HEAD } else { Method::GET };
    let bytes = input.rest();
    let whole = read(&method, bytes, || usize::MAX);
    let said = |received: &Received| format!("{received:?}");
    assert_eq!(said(&read(&method, bytes, || 1)), said(&whole), "by bytes");
    assert_eq!(said(&read(&method, bytes, &mut split)), said(&whole), "in pieces");
    assert!(whole.ended || whole.error.is_some(), "neither an end nor an error");
    assert!(whole.body.len() <= bytes.len(), "more than was sent");
    assert!(method != Method::HEAD || whole.body.is_empty(), "a body where there is none");
}

fn read(method: &Method, bytes: &[u8], next_size: impl FnMut() -> usize) -> Received {
    let config = ClientConnectionConfig::default()
        .with_max_head_size(150)
        .with_max_headers(HEADERS)
        .with_max_interim_responses(1);
    let mut client = client_for(method.clone(), config);
    while client.poll_transmit().is_some() {}
    let received = received::read(&mut client, bytes, next_size);
    if let Some(head) = &received.head {
        assert!(head.headers().len() <= HEADERS, "{head:?}");
        assert!(!head.status().is_informational(), "{head:?}");
    }
    received
}
