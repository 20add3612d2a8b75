//! What the numbers in a history stand for.

use super::history::Filter;
use super::kit::*;
use super::model::{Content, LogName};
use sansse::broker::*;
use sansse::{Event, EventKey};

pub(super) fn topic_name(number: u64) -> TopicName {
    topic(["a", "a/b", "a/b/c", "b/c", "x"][usize::try_from(number).unwrap()])
}

pub(super) fn topic_filter(filter: Filter) -> TopicFilter {
    match filter {
        Filter::Topic(number) => topic_name(number).into(),
        Filter::Pattern(number) => topic_pattern(number).into(),
    }
}

pub(super) fn log_name(filter: Filter) -> LogName {
    match filter {
        Filter::Topic(number) => LogName::Named(topic_name(number)),
        Filter::Pattern(number) => LogName::Pattern(topic_pattern(number)),
    }
}

pub(super) fn topic_pattern(number: u64) -> TopicPattern {
    let text = ["**", "*", "a/**", "a/*", "*/c", "*/b/**"][usize::try_from(number).unwrap()];
    TopicPattern::new(text).unwrap()
}

/// Some look like ids of the broker's making.
pub(super) fn own_id_text(number: u64) -> String {
    match number {
        0 => String::new(),
        1 => "e-1".to_owned(),
        2 => "0-2".to_owned(),
        _ => format!("own {number}"),
    }
}

pub(super) fn keyed(event: Event, key: Option<u64>) -> Event {
    match key {
        Some(key) => event.with_key(EventKey::new(format!("{key}")).unwrap()),
        None => event,
    }
}

pub(super) fn event(content: &Content, own_id: Option<&String>) -> Event {
    let event = match content {
        Content::Data(data) => Event::new(data.clone()),
        Content::Comment => Event::comment("comment"),
        Content::IdOnly => return Event::id_only(id(own_id.unwrap())),
    };
    match own_id {
        Some(own) => event.with_id(id(own)),
        None => event,
    }
}
