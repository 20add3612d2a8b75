//! What is published, each kind on a topic of its own, since each is kept for as long as is right for
//! it: a stream begins with what is kept.

use sansse::Hub;
use sansse::broker::{Retention, SessionConfig, StartAt, TopicName, TopicSettingError};
use std::num::NonZeroUsize;
use std::time::Duration;

/// What the charts show at first.
const COUNTERS: Duration = Duration::from_secs(120);
/// The page shows 400 lines. As many more may be on their way to one that is slow or away.
const LINES: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();
/// The page shows 80.
const CHATS: NonZeroUsize = NonZeroUsize::new(200).unwrap();

pub(crate) fn counters() -> TopicName {
    named("counters")
}

pub(crate) fn lines() -> TopicName {
    named("lines")
}

pub(crate) fn chat() -> TopicName {
    named("chat")
}

pub(crate) fn people() -> TopicName {
    named("people")
}

fn named(name: &'static str) -> TopicName {
    TopicName::new(name).expect("a word is a name")
}

/// Sets how much of each topic is kept.
pub(crate) fn keep(hub: &Hub, kept: Retention) -> Result<(), TopicSettingError> {
    let counters = Retention { age: Some(COUNTERS), ..kept };
    hub.set_retention(&self::counters(), Some(counters))?;
    // What people typed does not grow old.
    let lines = Retention { events: LINES, age: None, ..kept };
    hub.set_retention(&self::lines(), Some(lines))?;
    let chat = Retention { events: CHATS, age: None, ..kept };
    hub.set_retention(&self::chat(), Some(chat))?;
    // How it is with somebody now is all that is of use of it.
    let people = Retention { compact: true, ..kept };
    hub.set_retention(&self::people(), Some(people))
}

/// A stream of all that. One that says its last event id goes on after it, and any other begins with
/// what is kept.
pub(crate) fn session() -> SessionConfig {
    SessionConfig::new()
        .with_topic(counters())
        .with_topic(lines())
        .with_topic(chat())
        .with_topic(people())
        .with_start(StartAt::Oldest)
}
