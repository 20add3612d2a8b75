//! The chunked transfer coding: [`ChunkedDecoder`] says which bytes are content.

use core::fmt;
use core::ops::Range;

/// How many bytes of chunk extensions one body may have: 4 KiB.
///
/// They are ignored, and nobody is known to send any. Without a limit a peer
/// could send megabytes that count as no content at all.
const MAX_EXTENSIONS: usize = 4 * 1024;

/// How many bytes of trailer fields one body may have: 8 KiB, of which the
/// same is true.
const MAX_TRAILERS: usize = 8 * 1024;

/// How many digits a chunk size may have, with leading zeros: all that fit 64 bits.
const MAX_DIGITS: u8 = 16;

/// Takes the chunked coding (RFC 9112, 7.1) off a body, one call at a time.
///
/// It keeps no bytes: each step names the part of its input that is content.
/// Extensions and trailer fields are read over up to a limit.
///
/// For a server, it is strict: where the grammar names CRLF it wants CRLF,
/// since a line end that one party sees and another does not is how requests
/// are smuggled (RFC 9112, 11.2). For a client, it is lenient: a line may end
/// with LF alone, and white space may stand behind the size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChunkedDecoder {
    state: State,
    is_lenient: bool,
    extensions: usize,
    trailers: usize,
}

/// What [`ChunkedDecoder::step`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// How many bytes of the input are done with, content included.
    pub(super) consumed: usize,
    /// Which of them are content; perhaps none.
    pub(super) content: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size {
        size: u64,
        digits: u8,
    },
    /// White space after the size, which only an extension may follow, or for those who are lenient
    /// the line end.
    BeforeExtension {
        size: u64,
    },
    Extension {
        size: u64,
    },
    SizeLineFeed {
        size: u64,
    },
    Content {
        left: u64,
    },
    ContentReturn,
    ContentLineFeed,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLineFeed,
    LastLineFeed,
    Done,
}

impl ChunkedDecoder {
    pub(super) const fn strict() -> Self {
        let state = State::Size { size: 0, digits: 0 };
        Self { state, is_lenient: false, extensions: 0, trailers: 0 }
    }

    pub(super) const fn lenient() -> Self {
        Self { is_lenient: true, ..Self::strict() }
    }

    /// Whether the last chunk and the trailer section are over.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Reads `input` up to the end of its first piece of content, or to its
    /// own end, or to the end of the body.
    pub(super) fn step(&mut self, input: &[u8]) -> Result<Step, ChunkedError> {
        let mut position = 0;
        while let Some(byte) = input.get(position) {
            if self.is_done() {
                break;
            }
            if let State::Content { left } = self.state {
                let available = input.len() - position;
                let taken = usize::try_from(left).map_or(available, |left| left.min(available));
                let left = left - taken as u64;
                self.state = if left == 0 { State::ContentReturn } else { State::Content { left } };
                let end = position + taken;
                return Ok(Step { consumed: end, content: position..end });
            }
            self.state = self.after(*byte)?;
            position += 1;
        }
        Ok(Step { consumed: position, content: position..position })
    }

    /// The transition on one byte that is no content.
    fn after(&mut self, byte: u8) -> Result<State, ChunkedError> {
        if self.is_lenient && byte == b'\n' {
            self.state = self.state.after_return();
        }
        Ok(match (self.state, byte) {
            (State::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == MAX_DIGITS {
                    return Err(ChunkedError::SizeTooLarge);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err(ChunkedError::Size),
            (State::Size { size, .. } | State::Extension { size }, b'\r') => {
                State::SizeLineFeed { size }
            }
            (State::BeforeExtension { size }, b'\r') if self.is_lenient => {
                State::SizeLineFeed { size }
            }
            (State::Size { size, .. } | State::BeforeExtension { size }, b';') => {
                State::Extension { size }
            }
            (State::Size { size, .. } | State::BeforeExtension { size }, b' ' | b'\t') => {
                self.count_extension()?;
                State::BeforeExtension { size }
            }
            (State::Size { .. } | State::BeforeExtension { .. }, _) => {
                return Err(ChunkedError::Size);
            }
            (State::Extension { .. }, _) if is_control(byte) => {
                return Err(ChunkedError::Extension);
            }
            (State::Extension { size }, _) => {
                self.count_extension()?;
                State::Extension { size }
            }
            (State::SizeLineFeed { size: 0 } | State::TrailerLineFeed, b'\n') => {
                State::TrailerStart
            }
            (State::SizeLineFeed { size }, b'\n') => State::Content { left: size },
            (State::ContentReturn, b'\r') => State::ContentLineFeed,
            (State::ContentLineFeed, b'\n') => State::Size { size: 0, digits: 0 },
            (State::TrailerStart, b'\r') => State::LastLineFeed,
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => {
                self.count_trailer()?;
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerStart | State::TrailerName, _) => return Err(ChunkedError::Trailer),
            (State::TrailerValue, b'\r') => State::TrailerLineFeed,
            (State::TrailerValue, _) if is_control(byte) => return Err(ChunkedError::Trailer),
            (State::TrailerValue, _) => {
                self.count_trailer()?;
                State::TrailerValue
            }
            (State::LastLineFeed, b'\n') => State::Done,
            (
                State::SizeLineFeed { .. }
                | State::ContentReturn
                | State::ContentLineFeed
                | State::TrailerLineFeed
                | State::LastLineFeed,
                _,
            ) => return Err(ChunkedError::LineEnd),
            (state @ (State::Content { .. } | State::Done), _) => state,
        })
    }

    fn count_extension(&mut self) -> Result<(), ChunkedError> {
        self.extensions += 1;
        if self.extensions > MAX_EXTENSIONS { Err(ChunkedError::ExtensionsTooLong) } else { Ok(()) }
    }

    fn count_trailer(&mut self) -> Result<(), ChunkedError> {
        self.trailers += 1;
        if self.trailers > MAX_TRAILERS { Err(ChunkedError::TrailersTooLong) } else { Ok(()) }
    }
}

impl State {
    /// The state after the CR that may stand here, before an LF.
    const fn after_return(self) -> Self {
        match self {
            Self::Size { size, digits: 1.. }
            | Self::BeforeExtension { size }
            | Self::Extension { size } => Self::SizeLineFeed { size },
            Self::ContentReturn => Self::ContentLineFeed,
            Self::TrailerStart => Self::LastLineFeed,
            Self::TrailerValue => Self::TrailerLineFeed,
            state => state,
        }
    }
}

/// A body that is not coded as RFC 9112, 7.1 says, by the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkedError {
    /// A chunk begins with no size, or something that is neither an extension
    /// nor a line end stands behind it.
    Size,
    /// A chunk size has more than 16 digits.
    SizeTooLarge,
    /// CR and LF do not stand where they must.
    LineEnd,
    /// A chunk extension holds a control character.
    Extension,
    /// The chunk extensions of the body take more than 4 KiB.
    ExtensionsTooLong,
    /// A trailer line is no header field.
    Trailer,
    /// The trailer fields take more than 8 KiB.
    TrailersTooLong,
}

impl fmt::Display for ChunkedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "a chunk has no valid size",
            Self::SizeTooLarge => "a chunk size has too many digits",
            Self::LineEnd => "a line end is missing or out of place in the chunked coding",
            Self::Extension => "a chunk extension holds a control character",
            Self::ExtensionsTooLong => "the chunk extensions are too long",
            Self::Trailer => "a trailer line is no header field",
            Self::TrailersTooLong => "the trailer fields are too long",
        })
    }
}

impl core::error::Error for ChunkedError {}

fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// A character of names (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    /// The content and what was left over, read `size` bytes at a time.
    fn decoded(
        mut decoder: ChunkedDecoder,
        input: &[u8],
        size: usize,
    ) -> Result<(Vec<u8>, usize, bool), ChunkedError> {
        let mut content = Vec::new();
        let mut position = 0;
        while position < input.len() && !decoder.is_done() {
            let piece = &input[position..(position + size).min(input.len())];
            let step = decoder.step(piece)?;
            assert!(step.consumed > 0, "a step takes something");
            content.extend_from_slice(&piece[step.content.clone()]);
            position += step.consumed;
        }
        Ok((content, input.len() - position, decoder.is_done()))
    }

    #[track_caller]
    fn reads_as(decoder: &ChunkedDecoder, input: &str, content: &str, left_over: usize) {
        for size in [1, 2, 3, 7, usize::MAX / 2] {
            assert_eq!(
                decoded(decoder.clone(), input.as_bytes(), size),
                Ok((content.into(), left_over, true)),
                "in pieces of {size}"
            );
        }
    }

    #[track_caller]
    fn refuses_as(decoder: &ChunkedDecoder, input: &str, error: ChunkedError) {
        for size in [1, 2, 3, 7, usize::MAX / 2] {
            let outcome = decoded(decoder.clone(), input.as_bytes(), size);
            assert_eq!(outcome, Err(error), "{input:?} in pieces of {size}");
        }
    }

    #[track_caller]
    fn reads(input: &str, content: &str, left_over: usize) {
        reads_as(&ChunkedDecoder::strict(), input, content, left_over);
        reads_as(&ChunkedDecoder::lenient(), input, content, left_over);
    }

    /// By those who are strict.
    #[track_caller]
    fn refuses(input: &str, error: ChunkedError) {
        refuses_as(&ChunkedDecoder::strict(), input, error);
    }

    /// By everybody.
    #[track_caller]
    fn all_refuse(input: &str, error: ChunkedError) {
        refuses(input, error);
        refuses_as(&ChunkedDecoder::lenient(), input, error);
    }

    #[test]
    fn content_is_joined_and_what_follows_the_end_is_left() {
        reads("3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", 0);
        reads("0\r\n\r\nGET", "", 3);
        reads("1\r\n\r\r\n1\r\n\n\r\n000\r\n\r\n", "\r\n", 0);
    }

    #[test]
    fn extensions_and_trailers_are_read_over() {
        reads("1;a=b;c=\"d\"\r\nx\r\n0 ; e\r\nName: value\r\nother:\r\n\r\n", "x", 0);
    }

    #[test]
    fn a_size_is_hexadecimal_digits_and_nothing_else() {
        for input in ["\r\n", ";a\r\n", " 1\r\n", "+1\r\n", "-1\r\n", "0x1\r\n", "g\r\n", "1g\r\n"]
        {
            all_refuse(input, ChunkedError::Size);
        }
        refuses("1 \r\n", ChunkedError::Size);
        refuses("1\n", ChunkedError::Size);
        all_refuse("\n", ChunkedError::Size);
        all_refuse("1 2\r\n", ChunkedError::Size);
        all_refuse("10000000000000000\r\n", ChunkedError::SizeTooLarge);
        all_refuse("00000000000000001\r\n", ChunkedError::SizeTooLarge);
        let largest = b"ffffffffffffffff\r\nab";
        assert_eq!(decoded(ChunkedDecoder::strict(), largest, 9).unwrap().0, b"ab");
    }

    #[test]
    fn a_client_reads_lines_that_end_with_lf_alone_and_spaces_behind_a_size() {
        let lenient = ChunkedDecoder::lenient();
        for input in [
            "3\nabc\n0\n\n",
            "3 \t\r\nabc\r\n0 \r\n\r\n",
            "3  \nabc\r\n0  ; e\nName: value\n\n",
            "1\r\na\n2;x\nbc\r\n0\r\nName:\n\r\n",
        ] {
            reads_as(&lenient, input, "abc", 0);
        }
        reads_as(&lenient, "1\n\n\n1\n\r\n0\n\n", "\n\r", 0);
        refuses_as(&lenient, "1\na0", ChunkedError::LineEnd);
        refuses_as(&lenient, "0\nname\n", ChunkedError::Trailer);
        let endless = String::from("1") + &" ".repeat(MAX_EXTENSIONS + 1);
        refuses_as(&lenient, &endless, ChunkedError::ExtensionsTooLong);
    }

    #[test]
    fn a_lone_cr_is_no_line_end_and_to_a_server_neither_is_a_lone_lf() {
        for input in ["1\rx", "1\r\nxy", "1\r\nx\r0", "0\r\n\rx", "0\r\na:\rb", "1;\rx"] {
            all_refuse(input, ChunkedError::LineEnd);
        }
        refuses("1\r\nx\n", ChunkedError::LineEnd);
        refuses("0\r\n\n", ChunkedError::Trailer);
        refuses("0\r\na:b\n", ChunkedError::Trailer);
        refuses("1;a\n", ChunkedError::Extension);
    }

    #[test]
    fn trailers_are_header_fields() {
        for input in ["0\r\n a: b\r\n", "0\r\na : b\r\n", "0\r\na\r\n", "0\r\n: b\r\n", "0\r\na:\0"]
        {
            all_refuse(input, ChunkedError::Trailer);
        }
    }

    #[test]
    fn what_is_read_over_is_limited_for_the_whole_body() {
        let fits = format!("1;{}\r\nx\r\n", "e".repeat(MAX_EXTENSIONS / 2));
        reads(&(fits.repeat(2) + "0\r\n\r\n"), "xx", 0);
        all_refuse(&(fits.repeat(2) + "0;e\r\n\r\n"), ChunkedError::ExtensionsTooLong);
        all_refuse(&(String::from("1") + &" ".repeat(5000)), ChunkedError::ExtensionsTooLong);
        let trailers = |size| format!("0\r\n{}:\r\na:{}\r\n\r\n", "n".repeat(9), "v".repeat(size));
        reads(&trailers(MAX_TRAILERS - 10), "", 0);
        all_refuse(&trailers(MAX_TRAILERS - 9), ChunkedError::TrailersTooLong);
    }
}
