//! What an attack says: figures, and the promise that did not hold.

use std::fmt;

/// How large an attack is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// As large as it takes to see what it costs.
    Full,
    /// A few seconds at most, for the tests.
    Short,
}

impl Size {
    /// One of two numbers.
    pub(crate) fn pick<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

/// Prints figures as they come, and knows how many there were.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: usize,
}

impl Report {
    pub(crate) fn figures(&self) -> usize {
        self.figures
    }

    pub(crate) fn figure(&mut self, what: &str, value: impl fmt::Display) {
        println!("  {what:54} {value}");
        self.figures += 1;
    }
}

/// A promise of the library that did not hold, or an attack that could not be made.
#[derive(Debug)]
pub(crate) struct Broken(String);

impl Broken {
    /// Says what went wrong.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Broken {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Fails with the text where the promise does not hold.
pub(crate) fn promise(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(otherwise())) }
}
