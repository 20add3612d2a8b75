//! Whatever an `Event` can hold comes back equal from the decoder.

use crate::kit::decoder::{Output, poll};
use crate::kit::random::Random;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use sansse::{Decoder, Event, EventId, EventType, Frame, Limits};
use std::time::Duration;

/// An event may hold a longer id than decoders take by default.
const ANY_ID: Limits = Limits::DEFAULT.with_max_id(usize::MAX);

proptest! {
    #[test]
    fn events_come_back_in_order_under_any_split(
        events in vec(event(), 0..8),
        start in "[a-z]{0,3}",
        seed: u64,
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        let mut last_event_id = start.clone();
        for event in &events {
            stream.extend_from_slice(Frame::new(event).as_ref());
            expect(event, &mut last_event_id, &mut expected);
        }

        let mut decoder =
            Decoder::new().with_limits(ANY_ID).with_last_event_id(EventId::new(start).unwrap());
        let mut decoded = Vec::new();
        for chunk in Random(seed).split(&stream) {
            decoder.handle_data(chunk);
            decoded.extend(std::iter::from_fn(|| poll(&mut decoder)));
        }
        prop_assert_eq!(decoded, expected);
        prop_assert_eq!(decoder.last_event_id(), last_event_id);
    }

    #[test]
    fn a_received_message_can_be_sent_on(event in event()) {
        let mut decoder = Decoder::new().with_limits(ANY_ID);
        decoder.handle_data(Frame::new(&event).as_ref());
        while let Some(output) = poll(&mut decoder) {
            if !matches!(output, Output::Message { .. }) {
                continue;
            }
            let message = decoder.message().into_owned();
            prop_assert_eq!(&message.event_type, event.event_type());
            let again = Event::new(message.data)
                .with_type(message.event_type)
                .with_id(message.last_event_id);
            let mut relay = Decoder::new().with_limits(ANY_ID);
            relay.handle_data(Frame::new(&again).as_ref());
            prop_assert_eq!(poll(&mut relay), Some(output));
        }
    }
}

/// What a receiver is told of an event.
fn expect(event: &Event, last_event_id: &mut String, expected: &mut Vec<Output>) {
    if let Some(comment) = event.comment_text() {
        expected.extend(normalized(comment).split('\n').map(|line| Output::Comment(line.into())));
    }
    if let Some(retry) = event.retry() {
        expected.push(Output::Retry(retry.as_millis().try_into().unwrap_or(u64::MAX)));
    }
    if let Some(id) = event.id() {
        *last_event_id = id.as_str().into();
    }
    if let Some(data) = event.data() {
        expected.push(Output::Message {
            event_type: event.event_type().as_str().into(),
            data: normalized(data),
            last_event_id: last_event_id.clone(),
        });
    }
}

/// CR and CRLF as LF.
fn normalized(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn event() -> impl Strategy<Value = Event> {
    let block = prop_oneof![
        4 => text().prop_map(Event::new),
        1 => text().prop_map(Event::comment),
        1 => Just(Event::heartbeat()),
        1 => id().prop_map(Event::id_only),
        1 => retry().prop_map(Event::retry_only),
    ];
    (block, option::of(text()), option::of(event_type()), option::of(id()), option::of(retry()))
        .prop_map(|(mut event, comment, event_type, id, retry)| {
            if let Some(comment) = comment {
                event = event.with_comment(comment);
            }
            if let Some(event_type) = event_type {
                event = event.with_type(event_type);
            }
            if let Some(id) = id {
                event = event.with_id(id);
            }
            if let Some(retry) = retry {
                event = event.with_retry(retry);
            }
            event
        })
}

/// Any text, and often what looks like a part of a stream.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ad:é\u{feff}\0 \r\n]{0,20}",
        "(data: |event: |id: |retry: 1|:|\r|\n|\r\n|x){0,10}",
        "[a-z€ ]{100,2000}",
    ]
}

fn event_type() -> impl Strategy<Value = EventType> {
    text().prop_map(|text| EventType::new(text.replace(['\r', '\n'], "")).unwrap())
}

fn id() -> impl Strategy<Value = EventId> {
    text().prop_map(|text| EventId::new(text.replace(['\r', '\n', '\0'], "")).unwrap())
}

fn retry() -> impl Strategy<Value = Duration> {
    prop_oneof![any::<Duration>(), any::<u64>().prop_map(Duration::from_millis)]
}
