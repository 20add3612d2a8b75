//! What all values have in common that are made of a validated text: they are parsed from it, and
//! they are shown and serialized as it. Also the macros that make names of literals.

/// Implements that for a type that is built by `new`, of a `&str` and of a `String`, and whose
/// `Display` writes the text.
macro_rules! text_value {
    ($type:ty, $error:ty) => {
        /// Validates a text, as `new` does.
        impl core::str::FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        /// Validates a text, as `new` does.
        impl TryFrom<&str> for $type {
            type Error = $error;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        /// Validates a text, as `new` does.
        impl TryFrom<alloc::string::String> for $type {
            type Error = $error;

            fn try_from(text: alloc::string::String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        /// As the text.
        #[cfg(feature = "serde")]
        #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        /// From the text, which is validated.
        #[cfg(feature = "serde")]
        #[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text =
                    <alloc::string::String as serde::Deserialize>::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use text_value;

/// A [`ClientId`](crate::broker::ClientId) from a literal, checked by the compiler. Each use allocates
/// once; clones do not.
///
/// ```
/// assert_eq!(sansse::client_id!("alice").as_str(), "alice");
/// ```
/// ```compile_fail
/// sansse::client_id!("");
/// ```
#[cfg(feature = "broker")]
#[cfg_attr(docsrs, doc(cfg(feature = "broker")))]
#[macro_export]
macro_rules! client_id {
    ($text:literal) => {{
        const { assert!($crate::broker::ClientId::is_valid($text), "no client's id") };
        $crate::broker::ClientId::from_literal($text)
    }};
}

/// A [`TopicName`](crate::broker::TopicName) from a literal, checked by the compiler. Each use allocates
/// once; clones do not.
///
/// ```
/// assert_eq!(sansse::topic_name!("news/uk").as_str(), "news/uk");
/// ```
/// ```compile_fail
/// sansse::topic_name!("news/*");
/// ```
#[cfg(feature = "broker")]
#[cfg_attr(docsrs, doc(cfg(feature = "broker")))]
#[macro_export]
macro_rules! topic_name {
    ($text:literal) => {{
        const { assert!($crate::broker::TopicName::is_valid($text), "no topic's name") };
        $crate::broker::TopicName::from_literal($text)
    }};
}

/// A [`TopicPattern`](crate::broker::TopicPattern) from a literal, checked by the compiler. Each use
/// allocates once; clones do not.
///
/// ```
/// assert_eq!(sansse::topic_pattern!("news/*").as_str(), "news/*");
/// ```
/// ```compile_fail
/// sansse::topic_pattern!("news/uk");
/// ```
#[cfg(feature = "broker")]
#[cfg_attr(docsrs, doc(cfg(feature = "broker")))]
#[macro_export]
macro_rules! topic_pattern {
    ($text:literal) => {{
        const { assert!($crate::broker::TopicPattern::is_valid($text), "no pattern of topics") };
        $crate::broker::TopicPattern::from_literal($text)
    }};
}
