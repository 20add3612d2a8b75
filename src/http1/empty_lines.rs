//! Empty lines that a peer sends behind a request, and that mean nothing.

/// How many empty lines at a place are read over. One is what RFC 9112, 2.2 asks for, because of old
/// clients that sent it behind a body.
pub(super) const MAX_EMPTY_LINES: u8 = 2;

/// The empty lines behind the request of an event stream, byte by byte as they come.
///
/// The last request of a connection has no other behind it whose beginning would read over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EmptyLines {
    bytes: u8,
}

impl EmptyLines {
    /// Takes bytes of the peer. Returns whether they are empty lines, or the beginning of one, and
    /// not too many with those that came before.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| {
            let expected = if self.bytes.is_multiple_of(2) { b'\r' } else { b'\n' };
            let fits = *byte == expected && self.bytes < 2 * MAX_EMPTY_LINES;
            self.bytes += u8::from(fits);
            fits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pieces: &[&[u8]]) -> bool {
        let mut lines = EmptyLines::default();
        pieces.iter().all(|piece| lines.take(piece))
    }

    #[test]
    fn two_empty_lines_are_read_over_however_they_come() {
        assert!(takes(&[]) && takes(&[b""]) && takes(&[b"\r"]));
        assert!(takes(&[b"\r\n\r\n"]) && takes(&[b"\r", b"\n\r", b"\n"]));
        assert!(!takes(&[b"\r\n\r\n\r"]) && !takes(&[b"\r\n\r\n", b"\r"]));
    }

    #[test]
    fn what_is_no_empty_line_is_not() {
        for bytes in [&b"x"[..], b"\n", b"\r\r", b"\r\nG", b"\n\r"] {
            assert!(!takes(&[bytes]), "{bytes:?}");
        }
    }
}
