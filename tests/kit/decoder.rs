//! All that a decoder says, as values.

use sansse::{DecodeError, Decoder, Message, Step};

/// What a decoder said, with what it lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Message { event_type: String, data: String, last_event_id: String },
    Comment(String),
    Retry(u64),
    Error(DecodeError),
}

impl From<Message<'_>> for Output {
    fn from(message: Message<'_>) -> Self {
        Self::Message {
            event_type: message.event_type().into(),
            data: message.data().into(),
            last_event_id: message.last_event_id().into(),
        }
    }
}

/// The next step of the decoder, with what it lends.
pub(crate) fn poll(decoder: &mut Decoder) -> Option<Output> {
    let step = decoder.poll_step()?;
    Some(lent(decoder, step))
}

/// The step, with what the decoder lends for it.
pub(crate) fn lent(decoder: &Decoder, step: Step) -> Output {
    match step {
        Step::Message => decoder.message().into(),
        Step::Comment => Output::Comment(decoder.comment().into()),
        Step::Retry(time) => Output::Retry(time.as_millis().try_into().unwrap()),
        Step::Error(error) => Output::Error(error),
    }
}
