//! The slots in which sessions, clients and topics live, under keys that are never used twice.

use alloc::vec::Vec;
use core::num::NonZeroU32;

/// The name of a value of an [`Arena`], for ever: no later value gets an equal key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    slot: u32,
    /// From 1 on, so that an optional key takes no more room than a key.
    generation: NonZeroU32,
}

impl Key {
    /// The least of all keys, whether or not there is such a value.
    pub(crate) const FIRST: Self = Self { slot: 0, generation: NonZeroU32::MIN };

    /// Makes a key of its parts, as the text of a name tells them.
    pub(crate) const fn new(slot: u32, generation: NonZeroU32) -> Self {
        Self { slot, generation }
    }

    /// Returns the slot, which no two values share at the same time.
    pub(crate) const fn slot(self) -> u32 {
        self.slot
    }

    /// Returns how often the slot was given out, this time included.
    pub(crate) const fn generation(self) -> NonZeroU32 {
        self.generation
    }
}

/// Values in numbered slots. A slot is used again once its value is removed, under another key.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: NonZeroU32,
    value: Option<T>,
}

impl<T> Arena<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        self.len += 1;
        if let Some(slot) = self.free.pop()
            && let Some(entry) = self.slots.get_mut(slot as usize)
        {
            entry.value = Some(value);
            return Key { slot, generation: entry.generation };
        }
        #[expect(clippy::cast_possible_truncation, reason = "every limit on values is a u32")]
        let slot = self.slots.len() as u32;
        let generation = NonZeroU32::MIN;
        self.slots.push(Slot { generation, value: Some(value) });
        Key { slot, generation }
    }

    /// Returns the slot that the next value will get.
    pub(crate) fn next_slot(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "every limit on values is a u32")]
        self.free.last().copied().unwrap_or(self.slots.len() as u32)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation == key.generation { slot.value.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation { slot.value.as_mut() } else { None }
    }

    /// Returns whether there never was a value.
    pub(crate) fn is_unused(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns what is in the slot now. It is for callers that keep the slot from being used again.
    #[inline]
    pub(crate) fn at(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.value.as_ref()
    }

    pub(crate) fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.value.as_mut()
    }

    /// Returns the key of what is in the slot now.
    pub(crate) fn key_at(&self, slot: u32) -> Option<Key> {
        let entry = self.slots.get(slot as usize)?;
        entry.value.as_ref().map(|_| Key { slot, generation: entry.generation })
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        self.len -= 1;
        // A slot whose generations are used up is given up, so that no key returns.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(key.slot);
        }
        Some(value)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.slots.iter().zip(0..).filter_map(|(slot, index)| {
            slot.value.as_ref().map(|_| Key { slot: index, generation: slot.generation })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_used_again_under_another_key() {
        let mut arena = Arena::new();
        let first = arena.insert('a');
        assert_eq!(arena.remove(first), Some('a'));
        let second = arena.insert('b');
        assert_eq!(first.slot, second.slot);
        assert_ne!(first, second);
        assert_eq!((arena.get(first), arena.get(second)), (None, Some(&'b')));
        assert_eq!((arena.remove(first), arena.len()), (None, 1));
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_given_up() {
        let mut arena = Arena::new();
        let key = arena.insert('a');
        arena.slots[0].generation = NonZeroU32::MAX;
        let last = Key { generation: NonZeroU32::MAX, ..key };
        assert_eq!(arena.remove(last), Some('a'));
        assert_eq!(arena.insert('b').slot, 1);
        assert_eq!(arena.get(last), None);
    }
}
