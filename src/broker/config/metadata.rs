//! What the application keeps with clients.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::any::Any;

/// A value of the application's.
pub(crate) type Value = Box<dyn Any + Send + Sync>;

/// The application's values that are to be kept with a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata {
    values: http::Extensions,
    /// For each value, how it takes the place of another of its type.
    replace: Vec<Replace>,
}

/// Moves the value of one type, and returns the one whose place it takes.
type Replace = fn(&mut http::Extensions, &mut http::Extensions) -> Option<Value>;

impl Metadata {
    /// Adds a value.
    pub(crate) fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(value);
        self.replace.push(|from, to| {
            let replaced = to.insert(from.remove::<T>()?);
            replaced.map(|replaced| Box::new(replaced) as Value)
        });
    }

    /// Moves all values, and returns those whose place they take.
    pub(crate) fn join(mut self, to: &mut http::Extensions) -> Vec<Value> {
        self.replace.iter().filter_map(|replace| replace(&mut self.values, to)).collect()
    }

    /// Returns all values, for a client that has none.
    pub(crate) fn into_extensions(self) -> http::Extensions {
        self.values
    }

    /// Returns all values as one, to be dropped.
    pub(crate) fn into_value(self) -> Value {
        Box::new(self.values)
    }
}
