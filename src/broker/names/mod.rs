//! How clients, sessions, topics and addresses are named. A value of these types is valid
//! since it was built.

mod address;
mod client;
mod pattern;
mod session;
mod topic;

pub use address::AddressKey;
pub use client::ClientId;
pub use pattern::{TopicFilter, TopicPattern};
pub use session::SessionId;
pub use topic::TopicName;

pub(crate) use pattern::{ANY, ONE};

use super::error::NameError;
use core::fmt;

/// The longest client id and topic name, in bytes.
///
/// Long enough for a URL path or two UUIDs, short enough that names from strangers cost little.
pub const MAX_NAME: usize = 256;

/// The most levels that the name of a topic, or a pattern, may have.
///
/// Finding the patterns that match a name looks at no more than two ways for each level.
pub const MAX_LEVELS: usize = 16;

/// Returns the text if its length is that of a name.
fn check_length(text: &str) -> Result<&str, NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        length if length > MAX_NAME => Err(NameError::TooLong { length }),
        _ => Ok(text),
    }
}

/// Checks the length of a text and that it has none of the forbidden characters.
fn check_text(text: &str, forbidden: impl Fn(char) -> bool) -> Result<(), NameError> {
    match check_length(text)?.char_indices().find(|(_, character)| forbidden(*character)) {
        Some((position, character)) => Err(NameError::Forbidden { position, character }),
        None => Ok(()),
    }
}

fn check_levels(text: &str) -> Result<(), NameError> {
    match text.split('/').count() {
        levels if levels > MAX_LEVELS => Err(NameError::TooManyLevels { levels }),
        _ => Ok(()),
    }
}

// Here and not beside the type, which lies below the limits that the text tells.
impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the name is empty"),
            Self::TooLong { length } => {
                write!(f, "the name has {length} bytes, more than {MAX_NAME}")
            }
            Self::Forbidden { position, character } => {
                write!(f, "{character:?} at byte {position} of a topic's name")
            }
            Self::TooManyLevels { levels } => {
                write!(f, "the name has {levels} levels, more than {MAX_LEVELS}")
            }
            Self::Wildcard { position } => {
                write!(f, "the wildcard at byte {position} is no level, or not the last one")
            }
            Self::NoWildcard => f.write_str("the pattern has no wildcard"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_refused_with_its_reason() {
        assert_eq!(ClientId::new(""), Err(NameError::Empty));
        assert_eq!(ClientId::new("x".repeat(257)), Err(NameError::TooLong { length: 257 }));
        assert!(ClientId::new("x".repeat(256)).is_ok());
        assert_eq!(
            TopicName::new("a/*"),
            Err(NameError::Forbidden { position: 2, character: '*' })
        );
        assert_eq!(
            TopicName::new("é\n"),
            Err(NameError::Forbidden { position: 2, character: '\n' })
        );
    }
}
