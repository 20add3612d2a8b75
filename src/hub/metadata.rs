//! What the application keeps with a client, as a hub lends it.

use super::{Hub, Inner};
use crate::broker::{ClientId, Value};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::mem;

/// What the application keeps with a client: one value of each type. [`Hub::metadata`] lends it to
/// a closure.
///
/// What a change replaces or removes is dropped once the lock of the client's shard is gone, so that
/// it may call the hub then.
pub struct ClientMetadata<'a> {
    values: &'a mut http::Extensions,
    replaced: &'a mut Vec<Value>,
}

impl ClientMetadata<'_> {
    /// Returns the value of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.values.get()
    }

    /// Keeps a value, in the place of one of the same type.
    pub fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        if let Some(replaced) = self.values.insert(value) {
            self.replaced.push(Box::new(replaced));
        }
    }

    /// Replaces the value of this type by one that is made from it. Returns whether there was one.
    /// Where `change` panics, the value stays as it was.
    pub fn update<T: Clone + Send + Sync + 'static>(
        &mut self,
        change: impl FnOnce(&T) -> T,
    ) -> bool {
        let Some(value) = self.values.get_mut::<T>() else { return false };
        let changed = change(value);
        self.replaced.push(Box::new(mem::replace(value, changed)));
        true
    }

    /// Removes the value of this type. Returns whether there was one.
    pub fn remove<T: Clone + Send + Sync + 'static>(&mut self) -> bool {
        let removed = self.values.remove::<T>();
        let was_there = removed.is_some();
        self.replaced.extend(removed.map(|value| Box::new(value) as Value));
        was_there
    }
}

impl fmt::Debug for ClientMetadata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientMetadata").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Hub {
    /// Reads or changes what the application keeps with a client. Returns `None` for a client that
    /// is not known, or was absent for longer than its grace time.
    ///
    /// `access` runs under the lock of the client's shard: it should be quick, and a call of the
    /// hub in it would wait for ever.
    ///
    /// ```
    /// # fn example(hub: &sansse::Hub, client: &sansse::broker::ClientId) {
    /// #[derive(Clone)]
    /// struct Name(String);
    ///
    /// hub.metadata(client, |metadata| metadata.insert(Name("Alice".to_owned())));
    /// let name = hub.metadata(client, |metadata| metadata.get::<Name>().cloned()).flatten();
    /// # }
    /// ```
    pub fn metadata<R>(
        &self,
        client: &ClientId,
        access: impl FnOnce(&mut ClientMetadata<'_>) -> R,
    ) -> Option<R> {
        let hub = &*self.inner;
        // Made before the lock is taken, and so dropped after it, also where `access` panics.
        let mut replaced = Replaced { hub, values: Vec::new() };
        hub.with(hub.shard_of(Some(client)), |shard, _| {
            let values = shard.broker.client_mut(client).metadata()?;
            Some(access(&mut ClientMetadata { values, replaced: &mut replaced.values }))
        })
    }
}

/// Values that are dropped with it, whatever their own code does then.
struct Replaced<'a> {
    hub: &'a Inner,
    values: Vec<Value>,
}

impl Drop for Replaced<'_> {
    fn drop(&mut self) {
        self.hub.let_go(mem::take(&mut self.values));
    }
}
