//! A list that mostly holds one value.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// A list that holds one value without an allocation of its own.
///
/// Most clients have one session, and there may be a million of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum OneOrMany<T> {
    #[default]
    None,
    One(T),
    /// Boxed, so that a list with one value is small.
    #[expect(clippy::box_collection, reason = "a vector is three words, and few lists have one")]
    Many(Box<Vec<T>>),
}

impl<T> OneOrMany<T> {
    /// Appends a value.
    pub(crate) fn push(&mut self, value: T) {
        match self {
            Self::None => *self = Self::One(value),
            Self::One(_) => {
                if let Self::One(first) = core::mem::take(self) {
                    *self = Self::Many(Box::new(alloc::vec![first, value]));
                }
            }
            Self::Many(values) => values.push(value),
        }
    }

    /// Removes the value at `index` and moves all after it forward.
    pub(crate) fn remove(&mut self, index: usize) -> Option<T> {
        match self {
            Self::Many(values) if index < values.len() => {
                let removed = values.remove(index);
                if values.len() == 1 {
                    *self = values.pop().map_or(Self::None, Self::One);
                }
                Some(removed)
            }
            Self::One(_) if index == 0 => match core::mem::take(self) {
                Self::One(value) => Some(value),
                Self::None | Self::Many(_) => None,
            },
            _ => None,
        }
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(value) => core::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, T> {
        self.as_slice().iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: impl IntoIterator<Item = u64>) -> OneOrMany<u64> {
        let mut list = OneOrMany::None;
        values.into_iter().for_each(|value| list.push(value));
        list
    }

    #[test]
    fn it_takes_less_room_than_a_vector() {
        assert_eq!(size_of::<OneOrMany<u64>>(), 16);
        assert_eq!(size_of::<OneOrMany<super::super::arena::Key>>(), 16);
    }

    #[test]
    fn it_does_what_a_vector_does() {
        for len in 0..4 {
            let model: Vec<u64> = (0..len).collect();
            let full = list(model.clone());
            assert_eq!(full.as_slice(), model);
            assert_eq!((full.len(), full.is_empty()), (model.len(), model.is_empty()));
            assert!(full.iter().eq(&model));
            for index in 0..5 {
                let (mut one, mut expected) = (full.clone(), model.clone());
                let is_there = index < model.len();
                assert_eq!(one.remove(index), is_there.then(|| expected.remove(index)));
                assert_eq!(one.as_slice(), expected);
                one.push(7);
                expected.push(7);
                assert_eq!(one.as_slice(), expected);
            }
        }
    }

    #[test]
    fn a_list_of_one_that_had_more_holds_no_vector() {
        let mut two = list([1, 2]);
        two.remove(0);
        assert!(matches!(two, OneOrMany::One(2)), "{two:?}");
    }
}
