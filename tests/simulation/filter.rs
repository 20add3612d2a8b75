//! To whom something is published, and what a session hears.

use sansse::broker::{TopicFilter, TopicName, TopicPattern};

/// The topic that ends.
pub(crate) const ANSWER: &str = "answer";
pub(crate) const TOPICS: [&str; 4] = ["news", "news/uk", "weather", ANSWER];
pub(crate) const PATTERNS: [&str; 2] = ["*", "news/**"];
pub(crate) const CLIENTS: [&str; 2] = ["ann", "ben"];

/// To whom something was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    All,
    Named(&'static str),
    Client(&'static str),
    /// The session of this connection.
    Connection(usize),
}

/// One of the things that a session hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Filter {
    All,
    Topic(&'static str),
    Pattern(&'static str),
    Client(&'static str),
    /// What is published to the session of this connection alone.
    Own(usize),
}

impl Filter {
    /// All that a session can subscribe to.
    pub(crate) fn named() -> impl Iterator<Item = Self> {
        TOPICS.into_iter().map(Self::Topic).chain(PATTERNS.into_iter().map(Self::Pattern))
    }

    pub(crate) fn hears(self, address: Address) -> bool {
        match (self, address) {
            (Self::All, Address::All) => true,
            (Self::Topic(topic), Address::Named(name)) => topic == name,
            (Self::Pattern(pattern), Address::Named(name)) => matches(pattern, name),
            (Self::Client(client), Address::Client(name)) => client == name,
            (Self::Own(own), Address::Connection(connection)) => own == connection,
            _ => false,
        }
    }

    /// Whether it is a topic or a pattern, to which sessions subscribe.
    pub(crate) const fn is_named(self) -> bool {
        matches!(self, Self::Topic(_) | Self::Pattern(_))
    }

    pub(crate) const fn is_pattern(self) -> bool {
        matches!(self, Self::Pattern(_))
    }

    /// Whether a later stream of the same reader hears it too.
    pub(crate) const fn is_shared(self) -> bool {
        !matches!(self, Self::Own(_))
    }

    /// What it is for a broker, if it is named.
    pub(crate) fn for_broker(self) -> Option<TopicFilter> {
        match self {
            Self::Topic(name) => Some(TopicName::new(name).unwrap().into()),
            Self::Pattern(pattern) => Some(TopicPattern::new(pattern).unwrap().into()),
            _ => None,
        }
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern {
        "*" => !name.contains('/'),
        "news/**" => name == "news" || name.starts_with("news/"),
        other => panic!("what does {other} match?"),
    }
}
