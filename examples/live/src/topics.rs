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

/// The topics of one node. What people say is one for all nodes; each has counters of its own, and a
/// list of those who are with it.
#[derive(Clone)]
pub(crate) struct Topics {
    node: String,
}

impl Topics {
    pub(crate) const fn of(node: String) -> Self {
        Self { node }
    }

    pub(crate) fn counters(&self) -> TopicName {
        named(&format!("counters/{}", self.node))
    }

    pub(crate) fn lines() -> TopicName {
        named("lines")
    }

    pub(crate) fn chat() -> TopicName {
        named("chat")
    }

    /// Those who are with any node.
    pub(crate) fn everybody() -> TopicName {
        named("people")
    }

    /// Those who are with this node.
    pub(crate) fn people(&self) -> TopicName {
        named(&format!("people/{}", self.node))
    }

    /// Sets how much of each topic is kept.
    pub(crate) fn keep(&self, hub: &Hub, kept: Retention) -> Result<(), TopicSettingError> {
        let counters = Retention { age: Some(COUNTERS), ..kept };
        hub.set_retention(&self.counters(), Some(counters))?;
        // What people typed does not grow old.
        let lines = Retention { events: LINES, age: None, ..kept };
        hub.set_retention(&Self::lines(), Some(lines))?;
        let chat = Retention { events: CHATS, age: None, ..kept };
        hub.set_retention(&Self::chat(), Some(chat))?;
        // How it is with somebody now is all that is of use of it.
        let people = Retention { compact: true, ..kept };
        hub.set_retention(&self.people(), Some(people))?;
        hub.set_retention(&Self::everybody(), Some(people))
    }

    /// A stream of all that. One that says its last event id goes on after it, and any other begins
    /// with what is kept.
    pub(crate) fn session(&self, is_kept: bool) -> SessionConfig {
        SessionConfig::new()
            .with_topic(self.counters())
            .with_topic(Self::lines())
            .with_topic(Self::chat())
            .with_topic(if is_kept { Self::everybody() } else { self.people() })
            .with_start(StartAt::Oldest)
    }
}

fn named(name: &str) -> TopicName {
    TopicName::new(name).expect("letters, digits and a slash make a name")
}
