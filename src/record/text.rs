//! The forms in which events stand in a record. What is read is validated as
//! when it is built.

use crate::broker::{Audience, Epoch, Published};
use crate::encode::Frame;
use crate::event::{Event, EventId, EventType};
use crate::event_key::EventKey;
use alloc::borrow::Cow;
use alloc::string::String;
use core::time::Duration;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventForm<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comment: Option<Cow<'a, str>>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    event_type: Option<Cow<'a, EventType>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<Cow<'a, EventId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, EventKey>>,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event_type = self.event_type();
        let form = EventForm {
            data: self.data().map(Cow::Borrowed),
            comment: self.comment_text().map(Cow::Borrowed),
            event_type: (*event_type != EventType::MESSAGE).then_some(Cow::Borrowed(event_type)),
            id: self.id().map(Cow::Borrowed),
            retry: self.retry(),
            key: self.key().map(Cow::Borrowed),
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let EventForm { data, comment, event_type, id, retry, key } =
            EventForm::deserialize(deserializer)?;
        let mut event = data.map_or_else(Self::empty, |data| Self::new(data.into_owned()));
        if let Some(comment) = comment {
            event = event.with_comment(comment.into_owned());
        }
        if let Some(event_type) = event_type {
            event = event.with_type(event_type.into_owned());
        }
        if let Some(id) = id {
            event = event.with_id(id.into_owned());
        }
        if let Some(retry) = retry {
            event = event.with_retry(retry);
        }
        if let Some(key) = key {
            event = event.with_key(key.into_owned());
        }
        Ok(event)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishedForm<'a> {
    epoch: Epoch,
    position: u64,
    audience: Cow<'a, Audience>,
    payload: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own_id: Option<Cow<'a, EventId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, EventKey>>,
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    is_end: bool,
}

impl Serialize for Published {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = PublishedForm {
            epoch: self.epoch(),
            position: self.position(),
            audience: Cow::Borrowed(self.audience()),
            // Frames are made of text alone, so that nothing of it is lost.
            payload: String::from_utf8_lossy(self.frame().as_ref()),
            own_id: self.own_id().map(Cow::Borrowed),
            key: self.key().map(Cow::Borrowed),
            is_end: self.is_end(),
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Published {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let PublishedForm { epoch, position, audience, payload, own_id, key, is_end } =
            PublishedForm::deserialize(deserializer)?;
        let (audience, own_id) = (audience.into_owned(), own_id.map(Cow::into_owned));
        let key = key.map(Cow::into_owned);
        let frame = Frame::from_payload(&payload);
        let frame = frame.ok_or_else(|| D::Error::custom("a payload without a blank line"))?;
        Self::from_parts(epoch, position, audience, frame, own_id, key, is_end)
            .ok_or_else(|| D::Error::custom("the end of what is no named topic"))
    }
}
