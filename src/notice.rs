//! What a stream says of itself: a [`Notice`] tells a peer its place, and every gap before it.

use crate::encode::decimal;
use crate::event::{Event, EventType};
use alloc::string::String;
use core::fmt;

/// What a server tells a reader about its stream: how it goes on, and whether events are missing.
///
/// A notice is an event of a type of its own, [`Notice::EVENT_TYPE`] unless another is set, with
/// JSON as its data. Its id is a place from which resuming is right. It has data, since some
/// readers pass over an id without data, where [WHATWG HTML,
/// 9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage) says that
/// it counts.
///
/// ```text
/// id: 1c8-17
/// event: sansse-notice
/// data: {"stream":"gap","replayed":3,"lost":12,"reason":"retention"}
/// ```
///
/// | `stream` | what it says | `replayed` | `lost` | `reason` |
/// | --- | --- | --- | --- | --- |
/// | `live` | what is published from now on follows | 0 | 0 | `null` |
/// | `kept` | what is kept follows, all of it or the last events | a number | 0 | `null` |
/// | `complete` | everything since the last event id follows | a number | 0 | `null` |
/// | `gap` | events are missing before what follows | a number | a number, or `null` if nobody knows | a [`LossReason`] |
/// | `place` | nothing is missing; the place is said again | 0 | 0 | `null` |
/// | `ending` | the stream ends now; come back after the reconnection time | 0 | 0 | `null` |
/// | `refused` | there is no stream now; come back after the reconnection time | 0 | 0 | a [`RefusalReason`] |
///
/// `replayed` says how many events from before follow, and is 0 in the middle of a stream. Readers
/// are to pass over keys that they do not know. The [client](crate::client) takes notices out of
/// the stream and reports what they say.
///
/// ```
/// use sansse::{Frame, LossReason, Notice};
///
/// let notice = Notice::Gap { replayed: 0, lost: Some(2), reason: LossReason::Lag };
/// assert_eq!(
///     Frame::new(&notice.to_event(&Notice::EVENT_TYPE)).payload(),
///     "event: sansse-notice\n\
///      data: {\"stream\":\"gap\",\"replayed\":0,\"lost\":2,\"reason\":\"lag\"}\n\n",
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Notice {
    /// The stream begins with what is published from now on.
    Live,
    /// The stream begins with what is kept: all of it, or the last events.
    Kept {
        /// How many events that are.
        replayed: u64,
    },
    /// The stream goes on after the last event id, with nothing missing.
    Complete {
        /// How many events from before follow.
        replayed: u64,
    },
    /// Events are missing before what follows, at the beginning of the stream or in its middle.
    Gap {
        /// How many events from before follow.
        replayed: u64,
        /// How many events are missing; `None` if that is not known. Never 0.
        lost: Option<u64>,
        /// Why they are missing.
        reason: LossReason,
    },
    /// In the middle of the stream, the reader's place is said again. Nothing is missing.
    Place,
    /// The stream ends with this. The reader is to come back after the reconnection time.
    Ending,
    /// There is no stream now, and the body ends with this. The reader is to come back after the
    /// reconnection time.
    Refused {
        /// Why there is none.
        reason: RefusalReason,
    },
}

/// Why events are missing from a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LossReason {
    /// They are kept no more: the reader was away for longer than they were. On the wire
    /// `retention`.
    Retention,
    /// The reader was connected, and further behind than it may be. On the wire `lag`.
    Lag,
    /// The last event id is of an earlier life of the stream, whose events are gone. On the wire
    /// `restart`.
    Restart,
    /// The last event id means nothing to the server. On the wire `unknown-id`.
    UnknownId,
    /// What was sent as the last event id can be none: it is too long, no UTF-8, or was sent twice.
    /// On the wire `malformed-id`.
    MalformedId,
    /// The last event id is not one that the server made. On the wire `forged-id`.
    ForgedId,
    /// The last event id is of a place that the stream has not reached. On the wire `ahead`.
    Ahead,
    /// The log from which the server takes its events has lost them, or may have: a database was
    /// restarted without its data, or another one took over. On the wire `log`.
    Log,
    /// A reason that this version does not know. On the wire any other word, or `null`.
    Other,
}

/// Why a reader gets no stream for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// There are as many sessions as there may be. On the wire `full`.
    Full,
    /// The server is about to go, and lets nobody in. On the wire `draining`.
    Draining,
    /// The server has closed, perhaps to be started again. On the wire `closed`.
    Closed,
    /// The server was just started, and has not read yet what was published before. On the wire
    /// `joining`.
    Joining,
    /// The client has as many sessions as it may have. On the wire `client`.
    Client,
    /// The address has as many sessions as it may have. On the wire `address`.
    Address,
    /// There are as many connections as there may be. On the wire `connections`.
    Connections,
    /// A reason that this version does not know. On the wire any other word, or `null`.
    Other,
}

impl Notice {
    /// The type of notices unless another is set: `sansse-notice`, for which nobody listens by
    /// accident.
    pub const EVENT_TYPE: EventType = crate::event_type!("sansse-notice");

    /// Returns the event of this type that says it, without an id.
    pub fn to_event(&self, event_type: &EventType) -> Event {
        Event::new(self.to_data()).with_type(event_type.clone())
    }

    /// Returns how many events from before follow.
    pub const fn replayed(&self) -> u64 {
        match self {
            Self::Kept { replayed } | Self::Complete { replayed } | Self::Gap { replayed, .. } => {
                *replayed
            }
            Self::Live | Self::Place | Self::Ending | Self::Refused { .. } => 0,
        }
    }

    /// The data, as one line of JSON.
    fn to_data(self) -> String {
        let (stream, replayed) = (self.stream(), self.replayed());
        let (lost, reason) = match self {
            Self::Gap { lost, reason, .. } => (lost, Some(reason.as_str())),
            Self::Refused { reason } => (Some(0), Some(reason.as_str())),
            _ => (Some(0), None),
        };
        let mut data = String::with_capacity(96);
        for part in [r#"{"stream":""#, stream, r#"","replayed":"#] {
            data.push_str(part);
        }
        push_number(&mut data, Some(replayed));
        data.push_str(r#","lost":"#);
        push_number(&mut data, lost);
        data.push_str(r#","reason":"#);
        match reason {
            // A word without characters that JSON would escape.
            Some(word) => ["\"", word, "\"}"].into_iter().for_each(|part| data.push_str(part)),
            None => data.push_str("null}"),
        }
        data
    }

    const fn stream(&self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Kept { .. } => "kept",
            Self::Complete { .. } => "complete",
            Self::Gap { .. } => "gap",
            Self::Place => "place",
            Self::Ending => "ending",
            Self::Refused { .. } => "refused",
        }
    }
}

#[cfg(feature = "client")]
impl Notice {
    /// Reads the data of a message. `None` for anything that is no notice: no JSON object, one that
    /// lacks a key, or one that contradicts itself, such as a gap in which nothing is missing.
    ///
    /// ```
    /// use sansse::Notice;
    ///
    /// let data = r#"{"stream":"kept","replayed":2,"lost":0,"reason":null,"new":[1]}"#;
    /// assert_eq!(Notice::parse(data), Some(Notice::Kept { replayed: 2 }));
    /// assert_eq!(Notice::parse(r#"{"stream":"kept"}"#), None);
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "client")))]
    pub fn parse(data: &str) -> Option<Self> {
        let data: serde_json::Value = serde_json::from_str(data).ok()?;
        let stream = data.get("stream")?.as_str()?;
        let replayed = data.get("replayed")?.as_u64()?;
        let lost = match data.get("lost")? {
            serde_json::Value::Null => None,
            count => Some(count.as_u64()?),
        };
        let reason = match data.get("reason")? {
            serde_json::Value::Null => None,
            reason => Some(reason.as_str()?),
        };
        match (stream, replayed, lost, reason) {
            ("gap", replayed, lost, reason) if lost != Some(0) => {
                Some(Self::Gap { replayed, lost, reason: LossReason::from_word(reason) })
            }
            ("refused", 0, Some(0), reason) => {
                Some(Self::Refused { reason: RefusalReason::from_word(reason) })
            }
            ("kept", replayed, Some(0), None) => Some(Self::Kept { replayed }),
            ("complete", replayed, Some(0), None) => Some(Self::Complete { replayed }),
            ("live", 0, Some(0), None) => Some(Self::Live),
            ("place", 0, Some(0), None) => Some(Self::Place),
            ("ending", 0, Some(0), None) => Some(Self::Ending),
            _ => None,
        }
    }
}

impl LossReason {
    #[cfg(any(feature = "client", test))]
    const ALL: [Self; 9] = [
        Self::Retention,
        Self::Lag,
        Self::Restart,
        Self::UnknownId,
        Self::MalformedId,
        Self::ForgedId,
        Self::Ahead,
        Self::Log,
        Self::Other,
    ];

    /// Returns the word that stands for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Lag => "lag",
            Self::Restart => "restart",
            Self::UnknownId => "unknown-id",
            Self::MalformedId => "malformed-id",
            Self::ForgedId => "forged-id",
            Self::Ahead => "ahead",
            Self::Log => "log",
            Self::Other => "other",
        }
    }

    #[cfg(feature = "client")]
    fn from_word(word: Option<&str>) -> Self {
        let known = Self::ALL.into_iter().find(|reason| Some(reason.as_str()) == word);
        known.unwrap_or(Self::Other)
    }
}

impl RefusalReason {
    #[cfg(any(feature = "client", test))]
    const ALL: [Self; 8] = [
        Self::Full,
        Self::Draining,
        Self::Closed,
        Self::Joining,
        Self::Client,
        Self::Address,
        Self::Connections,
        Self::Other,
    ];

    /// Returns the word that stands for it on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Draining => "draining",
            Self::Closed => "closed",
            Self::Joining => "joining",
            Self::Client => "client",
            Self::Address => "address",
            Self::Connections => "connections",
            Self::Other => "other",
        }
    }

    #[cfg(feature = "client")]
    fn from_word(word: Option<&str>) -> Self {
        let known = Self::ALL.into_iter().find(|reason| Some(reason.as_str()) == word);
        known.unwrap_or(Self::Other)
    }
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retention => "they are kept no more",
            Self::Lag => "the reader was too far behind",
            Self::Restart => "the stream began anew",
            Self::UnknownId => "the last event id is unknown",
            Self::MalformedId => "the last event id is malformed",
            Self::ForgedId => "the last event id is forged",
            Self::Ahead => "the last event id is ahead of the stream",
            Self::Log => "the log behind the server may have lost some",
            Self::Other => "for another reason",
        })
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the server has as many sessions as it may have",
            Self::Draining => "the server is about to go",
            Self::Closed => "the server has closed",
            Self::Joining => "the server has not read yet what was published before",
            Self::Client => "the client has as many sessions as it may have",
            Self::Address => "the address has as many sessions as it may have",
            Self::Connections => "the server has as many connections as it may have",
            Self::Other => "for another reason",
        })
    }
}

/// Writes a number of JSON, or `null`. Each session begins with numbers, and formatting them costs a
/// fifth of opening it.
fn push_number(data: &mut String, number: Option<u64>) {
    let mut digits = [0; 20];
    match number {
        Some(number) => data.extend(decimal(number, &mut digits).iter().copied().map(char::from)),
        None => data.push_str("null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(notice: Notice) -> String {
        notice.to_event(&Notice::EVENT_TYPE).data().unwrap().into()
    }

    #[test]
    fn what_is_missing_is_null_and_what_is_none_is_0() {
        assert_eq!(data(Notice::Live), r#"{"stream":"live","replayed":0,"lost":0,"reason":null}"#);
        let gap = Notice::Gap { replayed: 7, lost: None, reason: LossReason::Restart };
        assert_eq!(data(gap), r#"{"stream":"gap","replayed":7,"lost":null,"reason":"restart"}"#);
        let refused = Notice::Refused { reason: RefusalReason::Full };
        assert_eq!(data(refused), r#"{"stream":"refused","replayed":0,"lost":0,"reason":"full"}"#);
    }

    #[test]
    fn a_notice_has_the_type_that_is_set_and_no_id() {
        let event = Notice::Place.to_event(&crate::event_type!("about"));
        assert_eq!((event.event_type().as_str(), event.id()), ("about", None));
    }

    #[cfg(feature = "client")]
    #[test]
    fn each_notice_is_read_as_it_was_written() {
        let mut notices = alloc::vec![
            Notice::Live,
            Notice::Kept { replayed: 0 },
            Notice::Kept { replayed: 3 },
            Notice::Complete { replayed: u64::MAX },
            Notice::Place,
            Notice::Ending,
        ];
        for reason in LossReason::ALL {
            for lost in [None, Some(1), Some(u64::MAX)] {
                notices.push(Notice::Gap { replayed: 2, lost, reason });
            }
        }
        notices.extend(RefusalReason::ALL.map(|reason| Notice::Refused { reason }));
        for notice in notices {
            assert_eq!(Notice::parse(&data(notice)), Some(notice), "{}", data(notice));
        }
    }

    #[cfg(feature = "client")]
    #[test]
    fn what_a_later_version_may_add_is_read_over() {
        let gap = |reason| Some(Notice::Gap { replayed: 0, lost: Some(1), reason });
        for (text, read) in [
            (r#"{"lost":1,"reason":"moon","stream":"gap","replayed":0}"#, gap(LossReason::Other)),
            (r#"{"lost":1,"reason":null,"stream":"gap","replayed":0}"#, gap(LossReason::Other)),
            (
                r#" {"stream":"refused","replayed":0,"lost":0,"reason":"sold","until":{"a":[1]}} "#,
                Some(Notice::Refused { reason: RefusalReason::Other }),
            ),
        ] {
            assert_eq!(Notice::parse(text), read, "{text}");
        }
    }

    #[cfg(feature = "client")]
    #[test]
    fn anything_else_is_no_notice() {
        for text in [
            "",
            "live",
            "[]",
            "null",
            r#"{"stream":"live","replayed":0,"lost":0}"#,
            r#"{"stream":"live","replayed":0,"reason":null}"#,
            r#"{"stream":"live","lost":0,"reason":null}"#,
            r#"{"replayed":0,"lost":0,"reason":null}"#,
            r#"{"stream":"live","replayed":0,"lost":1,"reason":null}"#,
            r#"{"stream":"live","replayed":1,"lost":0,"reason":null}"#,
            r#"{"stream":"gap","replayed":0,"lost":0,"reason":"lag"}"#,
            r#"{"stream":"gap","replayed":0,"lost":-1,"reason":"lag"}"#,
            r#"{"stream":"gap","replayed":0,"lost":1.5,"reason":"lag"}"#,
            r#"{"stream":"gap","replayed":0,"lost":"1","reason":"lag"}"#,
            r#"{"stream":"gap","replayed":0,"lost":1,"reason":2}"#,
            r#"{"stream":"gone","replayed":0,"lost":1,"reason":"lag"}"#,
            r#"{"stream":"kept","replayed":18446744073709551616,"lost":0,"reason":null}"#,
            r#"{"stream":"live","replayed":0,"lost":0,"reason":null} x"#,
        ] {
            assert_eq!(Notice::parse(text), None, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(Notice::parse(&deep), None, "nor is there a depth that harms");
    }
}
