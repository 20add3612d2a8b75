//! What is read: entries of the log, out of the replies to `XREAD` and `TIME`.

use crate::link::{Refusal, accepted, malformed, number, word};
use bytes::Bytes;
use resp_rs::resp2::Frame;
use sansse::cluster::{Content, Entry, LogError};
use std::time::Duration;

/// Positions stay below this, since scripts of Redis count in doubles.
pub(crate) const LIMIT: u64 = 1 << 53;

/// Returns the command that reads so many entries after a position.
pub(crate) fn xread(log: &Bytes, after: u64, count: u32, wait: Duration) -> Vec<Bytes> {
    let mut words = vec![word("XREAD"), word("COUNT"), number(count.into())];
    // BLOCK 0 waits for ever.
    if !wait.is_zero() {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        words.extend([word("BLOCK"), number(millis)]);
    }
    // Behind all entries that end there, however many positions they take.
    let cursor = Bytes::from(format!("{after}-{}", u64::MAX));
    words.extend([word("STREAMS"), log.clone(), cursor]);
    words
}

/// Reads the entries of a page, the oldest first, from the replies to `XREAD` and to `TIME`, which
/// was asked behind it.
pub(crate) fn entries(read: Frame, time: Frame) -> Result<Vec<Entry>, LogError> {
    let read = accepted(read).map_err(Refusal::into_error)?;
    let now = accepted(time).map_err(Refusal::into_error)?;
    let Frame::Array(streams) = read else {
        return Err(malformed("its answer to XREAD is none"));
    };
    // Nothing came while it waited.
    let Some(streams) = streams else { return Ok(Vec::new()) };
    let now = milliseconds(now).ok_or_else(|| malformed("its answer to TIME is none"))?;
    let mut entries: Vec<Entry> = Vec::new();
    for stream in streams {
        let found = pair(stream).and_then(|(_, entries)| entries.into_array().ok());
        let found = found.ok_or_else(|| malformed("its answer to XREAD is none"))?;
        for frame in found {
            let entry = entry(frame, now)?;
            if entries.last().is_some_and(|last| last.position >= entry.position) {
                return Err(malformed("its entries are not in order"));
            }
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn entry(frame: Frame, now: u64) -> Result<Entry, LogError> {
    let (id, fields) = pair(frame).ok_or_else(|| malformed("its answer to XREAD is none"))?;
    let id = id.as_str().unwrap_or_default().to_owned();
    let spoilt = || malformed(format!("the entry {id:.50} of the log was not written by sansse"));
    let (last, count) = id.split_once('-').ok_or_else(spoilt)?;
    let position = decimal(last).filter(|last| *last < LIMIT).ok_or_else(spoilt)?;
    let count = decimal(count).filter(|count| (1..=position).contains(count)).ok_or_else(spoilt)?;
    let mut fields = fields.into_array().map_err(|_| spoilt())?.into_iter();
    let (mut batch, mut cut, mut time) = (None, None, None);
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let value = value.into_bulk_string().map_err(|_| spoilt())?;
        match name.as_str() {
            Some("d") => batch = Some(value),
            Some("c") => cut = Some(value),
            Some("t") => time = text(&value).and_then(decimal),
            _ => {}
        }
    }
    let age = Duration::from_millis(now.saturating_sub(time.ok_or_else(spoilt)?));
    match (batch, cut) {
        (Some(batch), None) => {
            let content = Content::Batch(batch);
            Ok(Entry { after: position - count, position, age, content })
        }
        (None, Some(cut)) => {
            let base = text(&cut).and_then(|cut| decimal(cut.split(':').next()?));
            let after = base.filter(|base| *base < position).ok_or_else(spoilt)?;
            Ok(Entry { after, position, age, content: Content::Cut })
        }
        _ => Err(spoilt()),
    }
}

/// Reads an answer of the script: two positions.
pub(crate) fn two_positions(reply: Frame) -> Result<(u64, u64), LogError> {
    let numbers = pair(reply)
        .and_then(|(first, second)| Some((decimal(first.as_str()?)?, decimal(second.as_str()?)?)));
    let numbers = numbers.filter(|(first, second)| first.max(second) < &LIMIT);
    numbers.ok_or_else(|| malformed("its answer to the script is none"))
}

fn milliseconds(time: Frame) -> Option<u64> {
    let (seconds, micros) = pair(time)?;
    let seconds = decimal(seconds.as_str()?)?;
    seconds.checked_mul(1000)?.checked_add(decimal(micros.as_str()?)? / 1000)
}

fn pair(frame: Frame) -> Option<(Frame, Frame)> {
    let mut items = frame.into_array().ok()?.into_iter();
    match (items.next(), items.next(), items.next()) {
        (Some(first), Some(second), None) => Some((first, second)),
        _ => None,
    }
}

fn text(bytes: &Bytes) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn decimal(text: &str) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use resp_rs::resp2::parse_frame;
    use sansse::cluster::LogErrorKind;

    fn bulk(text: &str) -> Frame {
        Frame::BulkString(Some(Bytes::from(text.to_owned())))
    }

    fn array(items: impl IntoIterator<Item = Frame>) -> Frame {
        Frame::Array(Some(items.into_iter().collect()))
    }

    fn one(id: &str, fields: &[&str]) -> Frame {
        array([bulk(id), array(fields.iter().map(|field| bulk(field)))])
    }

    fn page(found: impl IntoIterator<Item = Frame>) -> Result<Vec<Entry>, LogError> {
        let read = array([array([bulk("{r}:l"), array(found)])]);
        entries(read, array([bulk("100"), bulk("999999")]))
    }

    #[test]
    fn batches_and_cuts_say_what_is_before_them_and_how_old_they_are() {
        let found = page([
            one("6-6", &["d", "six", "t", "90000"]),
            one("100-1", &["c", "6:node", "t", "100999"]),
            one("103-3", &["t", "200000", "d", "", "new", "x"]),
        ])
        .unwrap();
        let six = Content::Batch(Bytes::from("six"));
        let age = Duration::from_millis;
        let entry = |after, position, age, content| Entry { after, position, age, content };
        assert_eq!(
            found,
            [
                entry(0, 6, age(10_999), six),
                entry(6, 100, age(0), Content::Cut),
                // Written by a server whose clock is ahead.
                entry(100, 103, age(0), Content::Batch(Bytes::new())),
            ]
        );
    }

    #[test]
    fn a_read_that_waits_for_nothing_does_not_wait_for_ever() {
        let words = |wait| {
            let words = xread(&Bytes::from("l"), 7, 9, wait);
            words.iter().map(|word| str::from_utf8(word).unwrap()).collect::<Vec<_>>().join(" ")
        };
        let cursor = "STREAMS l 7-18446744073709551615";
        assert_eq!(words(Duration::ZERO), format!("XREAD COUNT 9 {cursor}"));
        assert_eq!(words(Duration::from_nanos(1)), format!("XREAD COUNT 9 BLOCK 1 {cursor}"));
        assert_eq!(words(Duration::from_secs(5)), format!("XREAD COUNT 9 BLOCK 5000 {cursor}"));
    }

    #[test]
    fn no_entries_are_an_empty_page() {
        let time = || array([bulk("1"), bulk("2")]);
        assert_eq!(entries(Frame::Array(None), time()), Ok(Vec::new()));
        assert_eq!(entries(array([]), time()), Ok(Vec::new()));
    }

    #[test]
    fn entries_of_others_make_no_sense() {
        for (id, fields) in [
            ("6-6", &["x", "y"][..]),
            ("6-6", &["d", "x"]),
            ("6-6", &["d", "x", "t", "-1"]),
            ("6-6", &["d", "x", "c", "0:n", "t", "1"]),
            ("6-7", &["d", "x", "t", "1"]),
            ("6-0", &["d", "x", "t", "1"]),
            ("6", &["d", "x", "t", "1"]),
            ("+6-1", &["d", "x", "t", "1"]),
            ("9007199254740992-1", &["d", "x", "t", "1"]),
            ("6-1", &["c", "6:n", "t", "1"]),
            ("6-1", &["c", "x", "t", "1"]),
            ("6-1", &[]),
        ] {
            let error = page([one(id, fields)]).unwrap_err();
            assert_eq!(error.kind(), LogErrorKind::Malformed, "{id} {fields:?}");
        }
        let twice = || one("6-6", &["d", "x", "t", "1"]);
        assert_eq!(page([twice(), twice()]).unwrap_err().kind(), LogErrorKind::Malformed);
    }

    #[test]
    fn answers_of_any_shape_make_no_sense_and_do_not_panic() {
        let shapes = [
            "+OK\r\n",
            ":1\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "*0\r\n",
            "*1\r\n:1\r\n",
            "*2\r\n:1\r\n:2\r\n",
            "*1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
            "*1\r\n*2\r\n$1\r\na\r\n*1\r\n*2\r\n:1\r\n*-1\r\n",
        ];
        let frames = || shapes.iter().map(|text| parse_frame(Bytes::from(*text)).unwrap().0);
        for first in frames() {
            assert!(two_positions(first.clone()).is_err() || first == array([]));
            for second in frames() {
                if let Ok(found) = entries(first.clone(), second) {
                    assert!(found.is_empty());
                }
            }
        }
        let error = entries(
            Frame::Error(Bytes::from("UNBLOCKED force unblock")),
            Frame::Error(Bytes::from("x")),
        );
        assert_eq!(error.unwrap_err().kind(), LogErrorKind::NotReady);
    }

    #[test]
    fn positions_of_scripts_are_read_within_their_bound() {
        assert_eq!(
            two_positions(array([bulk("1"), bulk("9007199254740991")])).unwrap().1,
            LIMIT - 1
        );
        for text in ["9007199254740992", "-1", "", "1e3", "x"] {
            assert!(two_positions(array([bulk("1"), bulk(text)])).is_err(), "{text}");
        }
    }
}
