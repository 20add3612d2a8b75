//! What the heads of both sides have in common: where they end, how much of them is read, and
//! which fields they hold.

use alloc::vec::Vec;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The limits of one message head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadLimits {
    /// Bytes, from the first of the start line to the last line end.
    pub(super) size: usize,
    /// Header lines.
    pub(super) headers: usize,
}

impl HeadLimits {
    /// Most heads take less than 1 KiB; cookies take some to 8 KiB, where many
    /// servers and proxies draw the line, and a long `Last-Event-ID` fits
    /// beside them. Browsers send about 20 lines.
    pub(super) const DEFAULT: Self = Self { size: 16 * 1024, headers: 100 };
}

/// What can be wrong with the head of a request and of a response alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    TooLarge,
    TooManyHeaders,
    HeaderName,
    HeaderValue,
}

/// The search for the end of a head, which looks at each byte once, however
/// they arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    searched: usize,
    lines: usize,
    has_bare_line_feed: bool,
}

impl Search {
    /// How many bytes of `buffer` are the head, its blank line included;
    /// `None` if it goes on. `buffer` begins with the start line and has
    /// only grown since the last call.
    ///
    /// A line may end with LF alone, of which
    /// [`has_bare_line_feed`](Self::has_bare_line_feed) tells.
    ///
    /// What is wrong is found at a certain byte, and by the first such byte,
    /// so that it does not matter how the bytes arrived.
    pub(super) fn end(
        &mut self,
        buffer: &[u8],
        limits: HeadLimits,
    ) -> Result<Option<usize>, HeadError> {
        let within_limit = &buffer[..buffer.len().min(limits.size)];
        while let Some(offset) = memchr::memchr(b'\n', &within_limit[self.searched..]) {
            let end = self.searched + offset + 1;
            self.searched = end;
            let lines = &within_limit[..end];
            self.has_bare_line_feed |= !lines.ends_with(b"\r\n");
            if lines.ends_with(b"\n\r\n") || lines.ends_with(b"\n\n") {
                return Ok(Some(end));
            }
            self.lines += 1;
            if self.lines > limits.headers.saturating_add(1) {
                return Err(HeadError::TooManyHeaders);
            }
        }
        self.searched = within_limit.len();
        if within_limit.len() == limits.size { Err(HeadError::TooLarge) } else { Ok(None) }
    }

    /// Whether a line of those seen ends with LF alone. Wherever one stands, it stands before what
    /// the same call found wrong.
    pub(super) fn has_bare_line_feed(self) -> bool {
        self.has_bare_line_feed
    }

    /// How many header lines were seen.
    pub(super) fn headers(self) -> usize {
        self.lines.saturating_sub(1)
    }
}

/// The fields of a head. Values are copied out of it, so that an application
/// which keeps one for as long as a stream lasts does not keep the whole head.
pub(super) fn header_map(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| HeadError::HeaderName)?;
        let value = HeaderValue::from_bytes(field.value.trim_ascii());
        let value = value.map_err(|_| HeadError::HeaderValue)?;
        headers.try_append(name, value).map_err(|_| HeadError::TooManyHeaders)?;
    }
    Ok(headers)
}

/// What the parser says is wrong with a field; `None` if it is something else.
pub(super) fn field_error(error: httparse::Error) -> Option<HeadError> {
    match error {
        httparse::Error::HeaderName => Some(HeadError::HeaderName),
        httparse::Error::HeaderValue => Some(HeadError::HeaderValue),
        httparse::Error::TooManyHeaders => Some(HeadError::TooManyHeaders),
        _ => None,
    }
}

/// A copy of a head without the lines of which `is_left_out` says so, given
/// their names and values.
pub(super) fn without_fields(
    head: &[u8],
    mut is_left_out: impl FnMut(&[u8], &[u8]) -> bool,
) -> Vec<u8> {
    let mut rest = Vec::with_capacity(head.len());
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").and_then(|value| value.strip_suffix(b"\n"));
        let value = value.map(|value| value.strip_suffix(b"\r").unwrap_or(value));
        if !value.is_some_and(|value| is_left_out(name, value)) {
            rest.extend_from_slice(line);
        }
    }
    rest
}

/// A `Content-Length` (RFC 9110, 8.6). Digits only: no sign, no list, no white
/// space inside.
pub(super) fn content_length(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether `Connection` lists this option (RFC 9110, 7.6.1).
pub(super) fn has_connection_option(headers: &HeaderMap, option: &str) -> bool {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits = HeadLimits { size: 40, headers: 2 };

    #[test]
    fn the_end_is_found_wherever_the_bytes_are_split() {
        let head = b"GET / HTTP/1.1\r\na: b\r\nc:\r\n\r\nrest";
        for step in 1..head.len() {
            let mut search = Search::default();
            let mut length = 0;
            let end = loop {
                length = (length + step).min(head.len());
                if let Some(end) = search.end(&head[..length], LIMITS).unwrap() {
                    break end;
                }
                assert_eq!(search.searched, length, "no byte is looked at twice");
            };
            assert_eq!((end, search.headers()), (head.len() - 4, 2), "in steps of {step}");
        }
    }

    #[test]
    fn a_head_of_exactly_the_limit_fits() {
        let head = b"GET /234567890123456789012 HTTP/1.1\r\n\r\n";
        let limits = |size| HeadLimits { size, headers: 0 };
        assert_eq!(Search::default().end(head, limits(head.len())), Ok(Some(head.len())));
        let error = Search::default().end(head, limits(head.len() - 1));
        assert_eq!(error, Err(HeadError::TooLarge));
    }

    #[test]
    fn the_first_bad_byte_decides_what_is_wrong() {
        let error = |head: &[u8]| {
            let mut search = Search::default();
            (search.end(head, LIMITS).unwrap_err(), search.has_bare_line_feed())
        };
        let too_large = b"GET\n 456789012345678901234567890123456789";
        assert_eq!(error(too_large), (HeadError::TooLarge, true));
        let too_large = b"GET 456789012345678901234567890123456789\n";
        assert_eq!(error(too_large), (HeadError::TooLarge, false));
        let too_many = b"G\r\na:\r\nb:\r\nc:\r\nd:\n";
        assert_eq!(error(too_many), (HeadError::TooManyHeaders, false));
    }

    #[test]
    fn lines_may_end_with_lf_alone_and_that_is_known() {
        for (head, is_bare) in [
            (&b"G\r\na: b\r\n\r\n"[..], false),
            (b"G\na: b\n\n", true),
            (b"G\r\na: b\r\n\n", true),
            (b"G\r\na: b\n\r\n", true),
        ] {
            let mut search = Search::default();
            assert_eq!(search.end(head, LIMITS), Ok(Some(head.len())));
            assert_eq!((search.headers(), search.has_bare_line_feed()), (1, is_bare));
        }
    }

    #[test]
    fn a_length_is_digits_that_fit_64_bits() {
        assert_eq!(content_length(b"18446744073709551615"), Some(u64::MAX));
        for text in ["", "+1", "-1", "1,1", "1 1", "0x1", "18446744073709551616", "1."] {
            assert_eq!(content_length(text.as_bytes()), None, "{text}");
        }
    }
}
