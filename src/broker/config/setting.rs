//! Settings that have a default elsewhere.

/// What one session says about something for which there is a usual value, or none.
#[cfg_attr(
    feature = "record",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Setting<T> {
    /// It says nothing, so that the usual value holds.
    #[default]
    Default,
    /// It wants none.
    Off,
    /// It wants this.
    Set(T),
}

impl<T> Setting<T> {
    /// Returns what holds where this is the usual value.
    pub(crate) fn or(self, usual: Option<T>) -> Option<T> {
        match self {
            Self::Default => usual,
            Self::Off => None,
            Self::Set(value) => Some(value),
        }
    }

    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> U) -> Setting<U> {
        match self {
            Self::Default => Setting::Default,
            Self::Off => Setting::Off,
            Self::Set(value) => Setting::Set(make(value)),
        }
    }

    pub(crate) const fn as_ref(&self) -> Setting<&T> {
        match self {
            Self::Default => Setting::Default,
            Self::Off => Setting::Off,
            Self::Set(value) => Setting::Set(value),
        }
    }

    /// Returns whether the usual value holds.
    pub(crate) const fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }
}

/// What is said holds in place of the usual value, whichever it is.
impl<T> From<Option<T>> for Setting<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Off, Self::Set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_default_leaves_the_usual_value() {
        for (setting, usual, holds) in [
            (Setting::Default, Some(1), Some(1)),
            (Setting::Default, None, None),
            (Setting::Off, Some(1), None),
            (Setting::Set(2), Some(1), Some(2)),
            (Setting::Set(2), None, Some(2)),
        ] {
            assert_eq!(setting.or(usual), holds, "{setting:?}");
        }
    }
}
