//! What comes out of a client, for the tests of it and for what fuzzes it.

use bytes::Bytes;
use http::{Method, Request, Response};
use sansse::http1::{ClientConnection, ClientConnectionConfig, ResponseError, ResponsePart};

/// What came out of a client, in the only order in which it may.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) head: Option<Response<()>>,
    pub(crate) body: Vec<u8>,
    pub(crate) ended: bool,
    pub(crate) error: Option<ResponseError>,
}

impl Received {
    /// Takes all that there is.
    #[track_caller]
    pub(crate) fn take(&mut self, client: &mut ClientConnection) {
        while let Some(part) = client.poll_response() {
            assert_eq!(self.error, None, "an error is the last thing");
            match part {
                Ok(ResponsePart::Head(head)) => {
                    assert!(self.head.is_none(), "there is one head");
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

pub(crate) fn client_for(method: Method, config: ClientConnectionConfig) -> ClientConnection {
    let request = Request::builder().method(method).uri("http://a.example/").body(Bytes::new());
    ClientConnection::new(&request.unwrap(), config).unwrap()
}

/// Hands in `bytes` in pieces whose sizes `next_size` gives, as a driver does
/// that takes all that comes, and the end of the connection behind them.
pub(crate) fn read(
    client: &mut ClientConnection,
    mut bytes: &[u8],
    mut next_size: impl FnMut() -> usize,
) -> Received {
    let mut received = Received::default();
    while !bytes.is_empty() && client.wants_data() {
        let (piece, rest) = bytes.split_at(next_size().clamp(1, bytes.len()));
        client.handle_data(piece);
        bytes = rest;
        received.take(client);
    }
    client.handle_eof();
    received.take(client);
    assert!(!client.wants_data(), "nothing is wanted of a connection that is over");
    assert!(client.poll_response().is_none(), "an error is told once");
    received
}
