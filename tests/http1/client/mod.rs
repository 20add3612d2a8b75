//! The client side of HTTP/1.1, by bytes.

mod faults;
mod requests;
mod responses;
mod round_trip;
mod splits;

use crate::kit::received::{Received, client_for, read};
use http::Method;
use sansse::http1::ClientConnectionConfig;

/// The response that these bytes are, with their end, to a GET.
#[track_caller]
fn response(bytes: impl AsRef<[u8]>) -> Received {
    let mut client = client_for(Method::GET, ClientConnectionConfig::default());
    read(&mut client, bytes.as_ref(), || usize::MAX)
}

/// The body of a response that ended as it should.
#[track_caller]
fn body_of(bytes: impl AsRef<[u8]>) -> String {
    let received = response(bytes);
    assert_eq!((received.error, received.ended), (None, true));
    String::from_utf8(received.body).expect("the tests answer in UTF-8")
}
