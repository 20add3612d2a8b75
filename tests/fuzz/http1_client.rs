//! The client side of HTTP/1.1: the same response whatever the splits, in the only order there is,
//! and an end or an error at last.

use super::input::{Input, sizes};
use bytes::Bytes;
use http::{Method, Request, Response};
use sansse::http1::{Client, ClientConfig, ResponseError, ResponsePart};

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

#[derive(Debug, Default)]
struct Received {
    head: Option<Response<()>>,
    body: Vec<u8>,
    ended: bool,
    error: Option<ResponseError>,
}

fn read(method: &Method, mut bytes: &[u8], mut next_size: impl FnMut() -> usize) -> Received {
    let config = ClientConfig::default()
        .with_max_head_size(150)
        .with_max_headers(4)
        .with_max_interim_responses(1);
    let request = Request::builder().method(method).uri("http://a.example/").body(Bytes::new());
    let mut client = Client::new(&request.unwrap(), config).unwrap();
    let mut received = Received::default();
    while client.poll_transmit().is_some() {}
    while !bytes.is_empty() && client.wants_data() {
        let (piece, rest) = bytes.split_at(next_size().clamp(1, bytes.len()));
        client.handle_data(piece);
        bytes = rest;
        received.take(&mut client);
    }
    client.handle_eof();
    received.take(&mut client);
    assert!(!client.wants_data(), "nothing is wanted of a connection that is over");
    assert!(client.poll_response().is_none(), "an error is told once");
    received
}

impl Received {
    fn take(&mut self, client: &mut Client) {
        while let Some(part) = client.poll_response() {
            assert_eq!(self.error, None, "an error is the last thing");
            match part {
                Ok(ResponsePart::Head(head)) => {
                    assert!(self.head.is_none(), "there is one head");
                    assert!(head.headers().len() <= 4, "{head:?}");
                    assert!(!head.status().is_informational(), "{head:?}");
                    self.head = Some(head);
                }
                Ok(ResponsePart::Data(bytes)) => {
                    assert!(self.head.is_some() && !self.ended && !bytes.is_empty());
                    self.body.extend_from_slice(&bytes);
                }
                Ok(ResponsePart::End) => {
                    assert!(self.head.is_some() && !self.ended, "there is one end");
                    self.ended = true;
                }
                Err(error) => {
                    assert!(!self.ended || error == ResponseError::ExcessBytes, "{error}");
                    self.error = Some(error);
                }
            }
        }
    }
}
