//! The forms in which the types of a realm stand in a record. What is read is validated as when it is
//! built.

use crate::broker::{Audience, LogRecord};
use crate::cluster::{LogError, LogErrorKind, NodeId};
use crate::event::Event;
use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordForm<'a> {
    audience: Cow<'a, Audience>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<Cow<'a, Event>>,
}

impl Serialize for LogRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let audience = Cow::Borrowed(self.audience());
        RecordForm { audience, event: self.event().map(Cow::Borrowed) }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LogRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let RecordForm { audience, event } = RecordForm::deserialize(deserializer)?;
        Self::from_parts(audience.into_owned(), event.map(Cow::into_owned))
            .ok_or_else(|| D::Error::custom("the end of what is no named topic"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorForm {
    kind: LogErrorKind,
    detail: String,
}

impl<'de> Deserialize<'de> for LogError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ErrorForm { kind, detail } = ErrorForm::deserialize(deserializer)?;
        Ok(Self::new(kind).with_detail(detail))
    }
}

/// Not every reader of JSON has numbers of 128 bits.
impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<str>::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16)
            .map(Self)
            .map_err(|_| D::Error::custom("what should be a node is none"))
    }
}

/// Bytes as two digits each: a record is to be read by people, who look for what they know.
pub(crate) mod bytes_as_text {
    use alloc::string::String;
    use alloc::vec::Vec;
    use bytes::Bytes;
    use core::fmt::Write as _;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        to.serialize_str(&text)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let pairs = text.as_bytes().chunks(2).map(|pair| match *pair {
            // Two digits are less than 256.
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        bytes.map(Bytes::from).ok_or_else(|| D::Error::custom("what should be bytes is none"))
    }
}
