//! The lines of a record, read one after the other: [`Lines`].

use super::VERSION;
use super::error::{RecordError, RecordErrorKind};
use alloc::string::ToString;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How long lines may be where nobody says it.
pub(super) const MAX_LINE: usize = 64 << 20;

/// Owns what was not read yet, and which line and which call come next.
#[derive(Clone, Debug)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    /// The number of the line that was read last, from 1 on.
    number: usize,
    /// How many calls were read.
    calls: u64,
}

/// A line that tells a version beside anything else.
pub(super) trait Head: DeserializeOwned {
    fn version(&self) -> u32;
}

/// A line that tells a call.
pub(super) trait Numbered: DeserializeOwned {
    /// Which of the record, from 1 on.
    fn number(&self) -> u64;
}

impl<'a> Lines<'a> {
    /// Reads the first line, which is `H` in any version, and `S` in this one.
    pub(super) fn begin<H: Head, S: DeserializeOwned>(
        record: &'a [u8],
    ) -> Result<(S, Self), RecordError> {
        let mut lines = Self { rest: record, number: 1, calls: 0 };
        match lines.read_start::<H, S>() {
            Ok(start) => Ok((start, lines)),
            Err(fault) => Err(lines.end(fault)),
        }
    }

    /// Returns the next call. `None` at the end, and after an error.
    pub(super) fn next_call<C: Numbered>(
        &mut self,
        max_line: usize,
    ) -> Option<Result<C, RecordError>> {
        self.number += 1;
        let call = self.read_call(max_line).transpose()?;
        Some(call.map_err(|fault| self.end(fault)))
    }

    /// Returns the number of the line that was read last.
    pub(super) const fn number(&self) -> usize {
        self.number
    }

    /// Ends the record with a fault of the line that was read last.
    pub(super) const fn end(&mut self, fault: RecordErrorKind) -> RecordError {
        self.rest = &[];
        fault.at(self.number)
    }

    fn read_start<H: Head, S: DeserializeOwned>(&mut self) -> Result<S, RecordErrorKind> {
        let line = self.next_line(MAX_LINE)?.ok_or(RecordErrorKind::Empty)?;
        // Another version may have anything else in it.
        match line.read::<H>()?.version() {
            VERSION => line.read(),
            found => Err(RecordErrorKind::Version { found }),
        }
    }

    fn read_call<C: Numbered>(&mut self, max_line: usize) -> Result<Option<C>, RecordErrorKind> {
        let Some(line) = self.next_line(max_line)? else { return Ok(None) };
        let call: C = line.read()?;
        self.calls += 1;
        if call.number() != self.calls {
            return Err(RecordErrorKind::Missing { number: self.calls });
        }
        Ok(Some(call))
    }

    fn next_line(&mut self, limit: usize) -> Result<Option<Line<'a>>, RecordErrorKind> {
        let all = self.rest;
        if all.is_empty() {
            return Ok(None);
        }
        let end = memchr::memchr(b'\n', &all[..all.len().min(limit.saturating_add(1))]);
        let (text, has_end) = match end {
            Some(end) => {
                self.rest = &all[end + 1..];
                (&all[..end], true)
            }
            None if all.len() > limit => return Err(RecordErrorKind::TooLong { limit }),
            None => {
                self.rest = &[];
                (all, false)
            }
        };
        Ok(Some(Line { text, has_end }))
    }
}

struct Line<'a> {
    text: &'a [u8],
    has_end: bool,
}

impl<'a> Line<'a> {
    fn read<T: Deserialize<'a>>(&self) -> Result<T, RecordErrorKind> {
        serde_json::from_slice(self.text).map_err(|error| {
            if error.is_eof() && !self.has_end {
                RecordErrorKind::Cut
            } else {
                RecordErrorKind::Malformed { column: error.column(), message: error.to_string() }
            }
        })
    }
}
