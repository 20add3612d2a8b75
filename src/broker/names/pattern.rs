//! Patterns of topics: how they are written, what they match, and what they cover.

use super::super::error::NameError;
use super::{Form, TopicName, check, literal};
use crate::text::text_value;
use alloc::sync::Arc;
use core::fmt;

/// The level of a pattern that matches exactly one level.
pub(crate) const ONE: &str = "*";
/// The last level of a pattern that matches any number of levels, also none.
pub(crate) const ANY: &str = "**";

/// All topics whose names are of a certain form, those to come included.
///
/// A pattern is written as a [`TopicName`] is, and one or more of its levels are wildcards:
///
/// | Level | Matches |
/// | --- | --- |
/// | `*` | exactly one level, whatever it is, also an empty one |
/// | `**` | any number of levels, also none; it is the last level |
///
/// Any other level matches itself: `news/*/sport` matches `news/uk/sport` and not
/// `news/uk/north/sport`, while `news/**` matches both, and `news`. The levels of a name are what
/// stands between its slashes, so that `/news` and `news/` have two each, of which one is empty,
/// and neither is `news`. `**` alone matches every named topic, and never the broadcast or what is
/// published to one client or session.
///
/// The wildcards are those of shells. MQTT's `+` and `#` do the same, but stand in the names of
/// things (`c#`, `+44…`), while `*` stands in no topic's name. A wildcard is a whole level: `a*` is
/// no pattern.
///
/// ```
/// use sansse::broker::{NameError, TopicName, TopicPattern};
///
/// let pattern = TopicPattern::new("news/*/sport")?;
/// assert!(pattern.matches(&TopicName::new("news/uk/sport")?));
/// assert!(!pattern.matches(&TopicName::new("news/sport")?));
/// assert!(TopicPattern::new("news/**")?.matches(&TopicName::new("news")?));
/// assert_eq!(TopicPattern::new("news/uk*"), Err(NameError::Wildcard { position: 7 }));
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPattern(Arc<str>);

impl TopicPattern {
    /// Validates `text` as a pattern: 1 to [`MAX_NAME`](super::MAX_NAME) bytes and 1 to
    /// [`MAX_LEVELS`](super::MAX_LEVELS) levels, without control characters, with at least one
    /// wildcard.
    ///
    /// # Errors
    ///
    /// [`NameError`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        check(text.as_ref(), Form::Pattern).map(|text| Self(text.into()))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether `name` is of this form.
    pub fn matches(&self, name: &TopicName) -> bool {
        let mut levels = name.as_str().split('/');
        for pattern in self.0.split('/') {
            match (pattern, levels.next()) {
                (ANY, _) => return true,
                (ONE, Some(_)) => {}
                (_, Some(level)) if level == pattern => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// Returns what every name that matches begins with.
    pub(crate) fn prefix(&self) -> &str {
        let literal = self.0.find('*').map_or("", |wildcard| &self.0[..wildcard]);
        // `news/**` matches `news` as well.
        match self.0.strip_suffix(ANY) {
            Some(rest) if rest == literal => literal.strip_suffix('/').unwrap_or(literal),
            _ => literal,
        }
    }
}

literal!(TopicPattern, Form::Pattern);
text_value!(TopicPattern, NameError);

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a session subscribes to: one topic, or all that match a pattern.
///
/// ```
/// use sansse::broker::{NameError, TopicFilter, TopicName, TopicPattern};
///
/// // From a query, say, in which the peer may write either.
/// assert_eq!(TopicFilter::new("news/uk")?, TopicName::new("news/uk")?.into());
/// assert_eq!(TopicFilter::new("news/*")?, TopicPattern::new("news/*")?.into());
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicFilter {
    /// The topic of this name.
    Topic(TopicName),
    /// All topics that match.
    Pattern(TopicPattern),
}

impl TopicFilter {
    /// Validates `text` as a pattern if there is a `*` in it, and else as a name.
    ///
    /// # Errors
    ///
    /// [`NameError`], by the caller's fault.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        if text.as_ref().contains('*') {
            TopicPattern::new(text).map(Self::Pattern)
        } else {
            TopicName::new(text).map(Self::Topic)
        }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Topic(name) => name.as_str(),
            Self::Pattern(pattern) => pattern.as_str(),
        }
    }

    /// Returns whether every name that `other` matches is matched by this. A peer that may hear
    /// this may then hear `other`.
    ///
    /// It is decided level by level: a level covers itself, `*` covers any one level, and `**` all
    /// that may follow.
    ///
    /// | This | covers | and not |
    /// | --- | --- | --- |
    /// | `a/b` | `a/b` | `a/*`, `a/**` |
    /// | `*` | `a`, `*` | `**`, `a/b` |
    /// | `a/*` | `a/b`, `a/*` | `a`, `a/**` |
    /// | `a/**` | `a`, `a/*/b`, `a/**` | `**`, `*/b` |
    /// | `**`, `*/**` | everything | |
    ///
    /// ```
    /// use sansse::broker::{NameError, TopicFilter};
    ///
    /// let team = TopicFilter::new("team/7/**")?;
    /// assert!(team.covers(&TopicFilter::new("team/7/*/news")?));
    /// assert!(!team.covers(&TopicFilter::new("team/*/news")?));
    /// # Ok::<(), NameError>(())
    /// ```
    pub fn covers(&self, other: &Self) -> bool {
        let mut own = self.as_str().split('/');
        // No name is empty, so that here `**` matches one level at least.
        let other = match other.as_str() {
            "**" => "*/**",
            "/**" => "/*/**",
            text => text,
        };
        for level in other.split('/') {
            match own.next() {
                Some(ANY) => return true,
                Some(ONE) if level != ANY => {}
                Some(same) if same == level => {}
                _ => return false,
            }
        }
        matches!(own.next(), None | Some(ANY))
    }

    /// Returns whether it is `name`, or matches it.
    pub fn matches(&self, name: &TopicName) -> bool {
        match self {
            Self::Topic(own) => own == name,
            Self::Pattern(pattern) => pattern.matches(name),
        }
    }
}

impl From<TopicName> for TopicFilter {
    fn from(name: TopicName) -> Self {
        Self::Topic(name)
    }
}

impl From<TopicPattern> for TopicFilter {
    fn from(pattern: TopicPattern) -> Self {
        Self::Pattern(pattern)
    }
}

text_value!(TopicFilter, NameError);

impl AsRef<str> for TopicFilter {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_a_pattern_is_that_of_every_name_it_matches() {
        for (pattern, prefix) in
            [("**", ""), ("*", ""), ("a/**", "a"), ("a/*", "a/"), ("a/*/**", "a/"), ("/**", "")]
        {
            assert_eq!(TopicPattern::new(pattern).unwrap().prefix(), prefix, "{pattern}");
        }
    }
}
