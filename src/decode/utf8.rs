//! The bytes of a stream as text: "UTF-8 decode" of the
//! [Encoding Standard](https://encoding.spec.whatwg.org/#utf-8-decode), over any split of the bytes.

use super::line_ends::LineEnds;
use alloc::string::String;

/// The state between two chunks: the beginning of a character.
#[derive(Clone, Debug, Default)]
pub(super) struct Utf8 {
    partial: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Appends what `bytes` stand for to `text`, each maximal subpart of an ill-formed sequence as
    /// one U+FFFD. An unfinished character at the end waits for the next call.
    #[inline]
    pub(super) fn decode(&mut self, mut bytes: &[u8], text: &mut String, line_ends: &mut LineEnds) {
        if self.length > 0 {
            bytes = self.complete(bytes, text);
        }
        let place = text.len();
        let noted = line_ends.noted();
        // First, since it takes long enough for the next bytes to come from memory meanwhile. An
        // unfinished character holds no line end.
        line_ends.extend(place, bytes);
        let (whole, rest) = bytes.split_at(last_character(bytes));
        if let Ok(whole) = simdutf8::basic::from_utf8(whole) {
            text.push_str(whole);
        } else {
            replace(whole, text);
            line_ends.truncate(noted);
            line_ends.extend(place, &text.as_bytes()[place..]);
        }
        if !rest.is_empty() {
            self.begin(rest, text);
        }
    }

    /// The stream has ended, and nothing completes an unfinished character.
    pub(super) fn finish(&mut self, text: &mut String) {
        if self.length > 0 {
            self.length = 0;
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }

    /// Completes the unfinished character, and gives back the bytes that do not belong to it.
    #[cold]
    fn complete<'a>(&mut self, bytes: &'a [u8], text: &mut String) -> &'a [u8] {
        for (taken, &byte) in bytes.iter().enumerate() {
            self.partial[self.length] = byte;
            match str::from_utf8(&self.partial[..=self.length]) {
                Ok(character) => {
                    text.push_str(character);
                    self.length = 0;
                    return &bytes[taken + 1..];
                }
                Err(error) if error.error_len().is_none() => self.length += 1,
                Err(_) => {
                    self.finish(text);
                    return &bytes[taken..];
                }
            }
        }
        &[]
    }

    /// Begins a character with bytes that are too few for one.
    #[cold]
    fn begin(&mut self, bytes: &[u8], text: &mut String) {
        match str::from_utf8(bytes) {
            Err(error) if error.error_len().is_none() => {
                self.partial[..bytes.len()].copy_from_slice(bytes);
                self.length = bytes.len();
            }
            _ => replace(bytes, text),
        }
    }
}

/// Where the last character begins, if its first byte promises more bytes than there are;
/// the length of `bytes` otherwise.
///
/// A first byte begins a sequence whatever stands before it, so that a text may be cut there.
#[inline]
fn last_character(bytes: &[u8]) -> usize {
    if bytes.last().is_none_or(u8::is_ascii) {
        return bytes.len();
    }
    for (place, byte) in bytes.iter().enumerate().rev().take(3) {
        let length = match byte {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => break,
        };
        if bytes.len() - place < length {
            return place;
        }
        break;
    }
    bytes.len()
}

#[cold]
fn replace(bytes: &[u8], text: &mut String) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(parts: &[&[u8]]) -> String {
        let mut utf8 = Utf8::default();
        let mut text = String::new();
        for part in parts {
            utf8.decode(part, &mut text, &mut LineEnds::default());
        }
        utf8.finish(&mut text);
        text
    }

    /// All sequences of up to four bytes that differ in kind, in all splits.
    #[test]
    fn any_split_of_any_sequence_is_decoded_as_the_whole() {
        const KINDS: [u8; 20] = [
            b'a', b'\n', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1,
            0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xff,
        ];
        for a in KINDS {
            for b in KINDS {
                for c in KINDS {
                    for d in KINDS {
                        let bytes = [a, b, c, d];
                        let whole = String::from_utf8_lossy(&bytes);
                        for split in 0..8 {
                            let mut parts = [&bytes[..0]; 4];
                            let mut start = 0;
                            let mut part = 0;
                            for end in 1..=4 {
                                if end == 4 || split & 1 << (end - 1) != 0 {
                                    parts[part] = &bytes[start..end];
                                    part += 1;
                                    start = end;
                                }
                            }
                            assert_eq!(decode(&parts), whole, "{parts:x?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_character_is_there_with_its_last_byte() {
        let mut utf8 = Utf8::default();
        let mut text = String::new();
        utf8.decode(b"a\xf0\x9f", &mut text, &mut LineEnds::default());
        assert_eq!(text, "a");
        utf8.decode(b"\x98", &mut text, &mut LineEnds::default());
        assert_eq!(text, "a");
        utf8.decode(b"\x80", &mut text, &mut LineEnds::default());
        assert_eq!(text, "a\u{1f600}");
    }
}
