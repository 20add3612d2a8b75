//! The head of a response: what it says, and whether it may say so.

use super::error::ResponseError;
use crate::http1::body::BodyReader;
use crate::http1::chunked::ChunkedDecoder;
use crate::http1::head::{Search, content_length, field_error, header_map, without_fields};
use alloc::vec;
use http::header::{self, HeaderMap, HeaderName};
use http::{Response, StatusCode, Version};

/// Judges the first bytes of a response, as soon as they are there: what is no
/// HTTP may never have a line end.
pub(super) fn check_start(bytes: &[u8]) -> Result<(), ResponseError> {
    const NAME: &[u8] = b"HTTP/";
    const LENGTH: usize = NAME.len() + b"1.1 ".len();
    let is_expected = |(position, byte): &(usize, &u8)| match position {
        0..5 => NAME[*position] == **byte,
        5 => **byte == b'1',
        6 => **byte == b'.',
        7 => matches!(byte, b'0' | b'1'),
        _ => **byte == b' ',
    };
    match bytes.iter().take(LENGTH).enumerate().find(|at| !is_expected(at)) {
        None => Ok(()),
        Some((0..5, _)) => Err(ResponseError::NotHttp),
        Some((5..8, _)) => Err(ResponseError::Version),
        Some(_) => Err(ResponseError::StatusLine),
    }
}

/// Reads a complete head that [`check_start`] let pass and whose end `search`
/// found.
///
/// Continued lines are joined in it first.
pub(super) fn parse(head: &mut [u8], search: Search) -> Result<Response<()>, ResponseError> {
    join_continued_lines(head);
    match parse_fields(head, search) {
        Err(ResponseError::HeaderValue) => {
            parse_fields(&without_fields(head, is_dispensable), search)
        }
        outcome => outcome,
    }
}

/// How the end of the body is found (RFC 9112, 6.3). `head_only`: the request
/// was HEAD.
pub(super) fn body_reader(
    response: &Response<()>,
    head_only: bool,
) -> Result<BodyReader, ResponseError> {
    let status = response.status();
    if head_only || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        return Ok(BodyReader::Length { left: 0 });
    }
    let length = announced_length(response.headers())?;
    let mut codings = response.headers().get_all(header::TRANSFER_ENCODING).iter();
    let coding = match (codings.next(), codings.next()) {
        (None, _) => {
            return Ok(length.map_or(BodyReader::UntilClose, |left| BodyReader::Length { left }));
        }
        _ if response.version() == Version::HTTP_10 => return Err(ResponseError::CodingOnHttp10),
        _ if length.is_some() => return Err(ResponseError::LengthAndCoding),
        (Some(_), Some(_)) => return Err(ResponseError::TransferCoding),
        (Some(coding), None) => coding.as_bytes(),
    };
    if coding.eq_ignore_ascii_case(b"chunked") {
        Ok(BodyReader::Chunked(ChunkedDecoder::lenient()))
    } else if coding.eq_ignore_ascii_case(b"identity") {
        Ok(BodyReader::UntilClose)
    } else {
        Err(ResponseError::TransferCoding)
    }
}

/// The length that all `Content-Length` agree on (RFC 9110, 8.6).
fn announced_length(headers: &HeaderMap) -> Result<Option<u64>, ResponseError> {
    let mut agreed = None;
    let values = headers.get_all(header::CONTENT_LENGTH).iter();
    for text in values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        let length = content_length(text.trim_ascii()).ok_or(ResponseError::ContentLength)?;
        if *agreed.get_or_insert(length) != length {
            return Err(ResponseError::ContentLength);
        }
    }
    Ok(agreed)
}

/// Puts spaces in the place of each line end that a line continues, as user
/// agents must (RFC 9112, 5.2). Behind the status line there is nothing to be
/// continued.
fn join_continued_lines(head: &mut [u8]) {
    let mut is_status_line = true;
    let mut position = 0;
    while let Some(offset) = memchr::memchr(b'\n', &head[position..]) {
        let end = position + offset + 1;
        if !is_status_line && matches!(head.get(end), Some(b' ' | b'\t')) {
            let is_bare = head[..end - 1].last() != Some(&b'\r');
            head[end - if is_bare { 1 } else { 2 }..end].fill(b' ');
        }
        is_status_line = false;
        position = end;
    }
}

fn parse_fields(head: &[u8], search: Search) -> Result<Response<()>, ResponseError> {
    let mut fields = vec![httparse::EMPTY_HEADER; search.headers()];
    let mut parsed = httparse::Response::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) => return Err(ResponseError::StatusLine),
        Err(httparse::Error::NewLine) => return Err(ResponseError::HeaderName),
        Err(error) => {
            return Err(field_error(error).map_or(ResponseError::StatusLine, Into::into));
        }
    }
    let (Some(code), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(ResponseError::StatusLine);
    };
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(code).map_err(|_| ResponseError::StatusLine)?;
    *response.version_mut() = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    *response.headers_mut() = header_map(parsed.headers)?;
    Ok(response)
}

/// Whether a field cannot be kept but can be done without.
///
/// A `HeaderValue` holds no control characters, and to refuse the response for
/// one would punish the caller for a header that it may never look at. Where
/// the body ends must be said plainly, though, and RFC 9110, 5.5 has CR and NUL
/// refused.
fn is_dispensable(name: &[u8], value: &[u8]) -> bool {
    let is_unprintable = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    HeaderName::from_bytes(name)
        .is_ok_and(|name| name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING)
        && value.iter().any(is_unprintable)
        && !value.contains(&b'\r')
        && !value.contains(&0)
}
