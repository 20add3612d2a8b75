//! The patterns in use, and which of them match a name.

#[cfg(doc)]
use crate::broker::names::MAX_LEVELS;
use crate::broker::names::{ANY, ONE, TopicName, TopicPattern};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU64;

/// The patterns in use, by their levels, so that finding those that match a name takes no look at
/// the others.
#[derive(Debug)]
pub(crate) struct PatternTree {
    root: Node,
    len: usize,
    /// Counts the changes of which patterns are in use.
    changes: NonZeroU64,
}

impl Default for PatternTree {
    fn default() -> Self {
        Self { root: Node::default(), len: 0, changes: NonZeroU64::MIN }
    }
}

#[derive(Debug, Default)]
struct Node {
    /// The pattern that ends here.
    slot: Option<u32>,
    /// By the next level, wildcards among them.
    next: BTreeMap<String, Node>,
}

impl PatternTree {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns a number that is another after each change of which patterns are in use.
    pub(crate) const fn as_of(&self) -> NonZeroU64 {
        self.changes
    }

    pub(crate) fn get(&self, pattern: &TopicPattern) -> Option<u32> {
        let mut node = &self.root;
        for level in pattern.as_str().split('/') {
            node = node.next.get(level)?;
        }
        node.slot
    }

    pub(crate) fn insert(&mut self, pattern: &TopicPattern, slot: u32) {
        let mut node = &mut self.root;
        for level in pattern.as_str().split('/') {
            node = node.next.entry(level.into()).or_default();
        }
        self.len += usize::from(node.slot.replace(slot).is_none());
        self.changes = self.changes.saturating_add(1);
    }

    pub(crate) fn remove(&mut self, pattern: &TopicPattern) {
        self.len -= usize::from(self.root.remove(&mut pattern.as_str().split('/')));
        self.changes = self.changes.saturating_add(1);
    }

    /// Returns the slots of all patterns that match.
    pub(crate) fn matching(&self, name: &TopicName) -> Vec<u32> {
        let mut found = Vec::new();
        self.matching_into(name, &mut found);
        found
    }

    /// Adds the slots of all patterns that match.
    pub(crate) fn matching_into(&self, name: &TopicName, found: &mut Vec<u32>) {
        if self.len > 0 {
            let levels: Vec<&str> = name.as_str().split('/').collect();
            self.root.collect(&levels, found);
        }
    }
}

impl Node {
    /// Goes no deeper than [`MAX_LEVELS`].
    fn collect(&self, levels: &[&str], found: &mut Vec<u32>) {
        found.extend(self.next.get(ANY).and_then(|node| node.slot));
        let Some((level, rest)) = levels.split_first() else {
            found.extend(self.slot);
            return;
        };
        // No level of a name is a wildcard.
        for key in [ONE, level] {
            if let Some(node) = self.next.get(key) {
                node.collect(rest, found);
            }
        }
    }

    /// Removes a pattern, and returns whether it was there.
    fn remove(&mut self, levels: &mut dyn Iterator<Item = &str>) -> bool {
        let Some(level) = levels.next() else { return self.slot.take().is_some() };
        let Some(node) = self.next.get_mut(level) else { return false };
        let removed = node.remove(levels);
        if node.slot.is_none() && node.next.is_empty() {
            self.next.remove(level);
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_finds_what_matches_and_forgets_what_is_removed() {
        let texts = ["**", "*", "a/**", "a/*", "a/*/c", "*/b/**", "a/b/**", "/**", "*/*"];
        let names = ["a", "b", "a/b", "a/b/c", "/", "/a", "a/", "a//c", "x/b/c/d"];
        let pattern = |text: &str| TopicPattern::new(text).unwrap();
        let mut tree = PatternTree::default();
        for (text, slot) in texts.iter().zip(0..) {
            tree.insert(&pattern(text), slot);
        }
        for gone in 0..=texts.len() {
            for name in names {
                let name = TopicName::new(name).unwrap();
                let mut found = tree.matching(&name);
                found.sort_unstable();
                let expected: Vec<u32> = texts[gone..]
                    .iter()
                    .zip(u32::try_from(gone).unwrap()..)
                    .filter(|(text, _)| pattern(text).matches(&name))
                    .map(|(_, slot)| slot)
                    .collect();
                assert_eq!(found, expected, "{name}, without {gone}");
            }
            if let Some(text) = texts.get(gone) {
                let before = tree.as_of();
                tree.remove(&pattern(text));
                assert_ne!(tree.as_of(), before);
                assert_eq!(tree.get(&pattern(text)), None);
            }
        }
        assert_eq!((tree.len(), tree.root.next.len()), (0, 0));
    }
}
