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

/// What a text is to be the name of.
#[derive(Clone, Copy)]
enum Form {
    /// Of anything.
    Any,
    Topic,
    Pattern,
}

/// Returns why a text is no such name; `None` if it is one. The compiler runs it for literals.
const fn find_error(text: &str, form: Form) -> Option<NameError> {
    let bytes = text.as_bytes();
    match bytes.len() {
        0 => return Some(NameError::Empty),
        length if length > MAX_NAME => return Some(NameError::TooLong { length }),
        _ => {}
    }
    match form {
        Form::Any => None,
        Form::Topic => match find_forbidden(bytes, true) {
            None => find_levels_error(bytes),
            error => error,
        },
        Form::Pattern => match (find_forbidden(bytes, false), find_levels_error(bytes)) {
            (None, None) => find_wildcard_error(bytes),
            (None, error) | (error, _) => error,
        },
    }
}

const fn find_forbidden(bytes: &[u8], is_star_forbidden: bool) -> Option<NameError> {
    let mut position = 0;
    while position < bytes.len() {
        let character = match bytes[position] {
            byte if byte.is_ascii_control() => Some(byte as char),
            b'*' if is_star_forbidden => Some('*'),
            // The control characters beyond ASCII, U+0080 to U+009F, as UTF-8 has them.
            0xc2 if position + 1 < bytes.len() && bytes[position + 1] < 0xa0 => {
                Some(bytes[position + 1] as char)
            }
            _ => None,
        };
        if let Some(character) = character {
            return Some(NameError::Forbidden { position, character });
        }
        position += 1;
    }
    None
}

const fn find_levels_error(bytes: &[u8]) -> Option<NameError> {
    let (mut levels, mut position) = (1, 0);
    while position < bytes.len() {
        if bytes[position] == b'/' {
            levels += 1;
        }
        position += 1;
    }
    if levels > MAX_LEVELS { Some(NameError::TooManyLevels { levels }) } else { None }
}

/// A wildcard is a whole level, `**` is the last one, and there is one at least.
const fn find_wildcard_error(bytes: &[u8]) -> Option<NameError> {
    let (mut position, mut wildcards, mut begin) = (0, 0, 0);
    while position < bytes.len() {
        if bytes[position] == b'/' {
            begin = position + 1;
        } else if bytes[position] == b'*' {
            let mut end = position;
            while end < bytes.len() && bytes[end] != b'/' {
                end += 1;
            }
            let is_any = end == begin + 2 && bytes[begin + 1] == b'*' && end == bytes.len();
            if begin != position || !(end == begin + 1 || is_any) {
                return Some(NameError::Wildcard { position });
            }
            wildcards += 1;
            position = end;
            continue;
        }
        position += 1;
    }
    if wildcards == 0 { Some(NameError::NoWildcard) } else { None }
}

/// Returns the text if it is a name of this form.
fn check(text: &str, form: Form) -> Result<&str, NameError> {
    find_error(text, form).map_or(Ok(text), Err)
}

/// Gives a name what its macro needs: a check for the compiler, and a way to build what it checked.
macro_rules! literal {
    ($type:ident, $form:expr) => {
        impl $type {
            /// Returns whether `new` takes this text.
            #[doc(hidden)]
            pub const fn is_valid(text: &str) -> bool {
                crate::broker::names::find_error(text, $form).is_none()
            }

            /// What the macro of this name expands to, for a text that the compiler has checked.
            #[doc(hidden)]
            pub fn from_literal(text: &'static str) -> Self {
                assert!(Self::is_valid(text), "the literal is not valid");
                Self(text.into())
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    };
}
use literal;

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
            Self::NoSession => f.write_str("the text is no session's id"),
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

    #[test]
    fn what_the_compiler_checks_is_what_is_checked_at_run_time() {
        assert_eq!(crate::topic_name!("a/b"), TopicName::new("a/b").unwrap());
        assert_eq!(crate::topic_pattern!("a/**"), TopicPattern::new("a/**").unwrap());
        assert_eq!(crate::client_id!("é"), ClientId::new("é").unwrap());
    }

    #[test]
    fn control_characters_beyond_ascii_are_found_and_their_neighbours_are_not() {
        for character in ['\u{7f}', '\u{80}', '\u{9f}', '\0'] {
            let text = alloc::format!("é{character}");
            let error = Err(NameError::Forbidden { position: 2, character });
            assert_eq!(TopicName::new(&text), error);
            assert_eq!(
                TopicPattern::new(alloc::format!("{text}/*")).map(|_| ()),
                error.map(|_| ())
            );
        }
        assert!(TopicName::new("\u{a0}\u{bf}\u{c0}\u{280}").is_ok());
    }

    #[test]
    fn a_name_is_validated_however_it_is_converted() {
        let text = alloc::string::String::from("a/*");
        let error = NameError::Forbidden { position: 2, character: '*' };
        assert_eq!(text.parse::<TopicName>(), Err(error));
        assert_eq!(TopicName::try_from(&*text), Err(error));
        assert_eq!(TopicName::try_from(text.clone()), Err(error));
        assert_eq!(text.parse::<TopicFilter>(), TopicPattern::try_from(text).map(Into::into));
        assert_eq!(ClientId::try_from(""), Err(NameError::Empty));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn names_are_serialized_as_their_text_and_validated_when_read() {
        fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
            serde_json::from_str(text)
        }
        let names = (
            crate::client_id!("alice"),
            crate::topic_name!("news/uk"),
            crate::topic_pattern!("news/*"),
            TopicFilter::new("a/*").unwrap(),
            crate::event_key!("gold"),
            AddressKey::new("2001:db8::1").unwrap(),
            SessionId::new("0-7-1").unwrap(),
        );
        let text = serde_json::to_string(&names).unwrap();
        assert_eq!(text, r#"["alice","news/uk","news/*","a/*","gold","2001:db8::/64","0-7-1"]"#);
        let again: (ClientId, TopicName, TopicPattern, TopicFilter, _, AddressKey, SessionId) =
            read(&text).unwrap();
        assert_eq!(again, names);
        assert!(read::<TopicName>(r#""a/*""#).is_err());
        assert!(read::<TopicPattern>(r#""a""#).is_err());
        assert!(read::<ClientId>(r#""""#).is_err());
        assert!(read::<SessionId>("7").is_err());
    }
}
