//! How many entries are asked for at once, so that a page has about as many bytes as it may.

use sansse::cluster::{Content, Entry};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many entries the first page has.
const FIRST: u32 = 32;

/// How many entries a page has at most.
const MOST: u32 = 4096;

/// What an entry takes beside its payload, by an estimate.
const ENTRY: usize = 64;

/// The number of entries that are asked for next.
///
/// Redis counts entries and not bytes. So the next page has as many as would have fitted, by the
/// average of this one, but twice as many at most: small entries may be followed by large ones.
pub(crate) struct PageSize(AtomicU32);

impl PageSize {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(FIRST))
    }

    pub(crate) fn entries(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks for one entry next, since these were too much.
    pub(crate) fn begin_again(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// Takes note of what a page has, and takes away what is beyond its size. One entry stays.
    pub(crate) fn cut(&self, mut entries: Vec<Entry>, max_bytes: u32) -> Vec<Entry> {
        if entries.is_empty() {
            return entries;
        }
        let max_bytes = max_bytes as usize;
        let sizes = entries.iter().map(|entry| match &entry.content {
            Content::Batch(payload) => ENTRY + payload.len(),
            _ => ENTRY,
        });
        let (mut all, mut fitting) = (0_usize, 0);
        for size in sizes {
            all += size;
            fitting += usize::from(all <= max_bytes);
        }
        let fit = max_bytes / (all / entries.len()).max(1);
        let fit = u32::try_from(fit).unwrap_or(MOST);
        let next = fit.min(self.entries().saturating_mul(2)).clamp(1, MOST);
        self.0.store(next, Ordering::Relaxed);
        entries.truncate(fitting.max(1));
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::time::Duration;

    fn page(sizes: impl IntoIterator<Item = usize>) -> Vec<Entry> {
        let sizes = (1..).zip(sizes);
        let entry = |(position, size)| Entry {
            after: position - 1,
            position,
            age: Duration::ZERO,
            content: Content::Batch(Bytes::from(vec![0; size])),
        };
        sizes.map(entry).collect()
    }

    #[test]
    fn a_page_is_cut_at_its_size_and_never_to_nothing() {
        let size = PageSize::new();
        assert_eq!(size.cut(page([1000, 1000, 1000]), 2500).len(), 2);
        assert_eq!(size.cut(page([1000, 10]), 500).len(), 1);
        assert_eq!(size.cut(page([]), 500).len(), 0);
    }

    #[test]
    fn it_grows_twofold_and_falls_at_once() {
        let size = PageSize::new();
        for _ in 0..20 {
            let many = size.entries() as usize;
            size.cut(page(vec![36; many]), 1_000_000);
        }
        assert_eq!(size.entries(), MOST);
        size.cut(page([500_000 - 64; 4]), 1_000_000);
        assert_eq!(size.entries(), 2);
        size.cut(page([5_000_000]), 1_000_000);
        assert_eq!(size.entries(), 1);
        size.cut(page([100]), 1_000_000);
        assert_eq!(size.entries(), 2);
        size.begin_again();
        assert_eq!(size.entries(), 1);
    }
}
