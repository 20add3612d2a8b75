//! The one script, which does all that is to happen at once, and how it is called.

use crate::link::{number, word};
use bytes::Bytes;
use sansse::broker::Epoch;
use sansse::cluster::{Append, Hello};

/// What [`Call`] calls.
pub(crate) const TEXT: &str = include_str!("realm.lua");

/// The names of a realm's two keys. What stands in braces decides where a cluster keeps them.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) state: Bytes,
    pub(crate) log: Bytes,
}

impl Keys {
    pub(crate) fn new(realm: &str) -> Self {
        let state = Bytes::from(format!("{{{realm}}}:m"));
        Self { state, log: Bytes::from(format!("{{{realm}}}:l")) }
    }
}

/// A call of the script.
pub(crate) struct Call<'a> {
    keys: &'a Keys,
    verb: &'static str,
    epoch: Epoch,
    kept: u64,
    node: String,
    seen: u64,
    number: u64,
    count: u32,
    batch: Bytes,
}

impl<'a> Call<'a> {
    pub(crate) fn head(keys: &'a Keys, epoch: Epoch) -> Self {
        Self {
            keys,
            verb: "head",
            epoch,
            kept: 0,
            node: String::new(),
            seen: 0,
            number: 0,
            count: 0,
            batch: Bytes::new(),
        }
    }

    pub(crate) fn hello(keys: &'a Keys, kept: u64, hello: Hello) -> Self {
        let Hello { node, epoch, seen } = hello;
        Self { verb: "hello", kept, node: node.to_string(), seen, ..Self::head(keys, epoch) }
    }

    pub(crate) fn append(keys: &'a Keys, epoch: Epoch, kept: u64, append: Append) -> Self {
        Self {
            verb: "append",
            kept,
            node: append.node.to_string(),
            seen: append.seen,
            number: append.number,
            count: append.count,
            batch: append.payload,
            ..Self::head(keys, epoch)
        }
    }

    /// Returns the command that calls a script that the server has, by its name there.
    pub(crate) fn by_name(&self, name: Bytes, run_id: String) -> Vec<Bytes> {
        self.words(word("EVALSHA"), name, run_id)
    }

    /// Returns the command that brings the script along.
    pub(crate) fn by_text(&self, run_id: String) -> Vec<Bytes> {
        self.words(word("EVAL"), word(TEXT), run_id)
    }

    fn words(&self, command: Bytes, script: Bytes, run_id: String) -> Vec<Bytes> {
        vec![
            command,
            script,
            word("2"),
            self.keys.state.clone(),
            self.keys.log.clone(),
            word(self.verb),
            Bytes::from(run_id),
            Bytes::from(self.epoch.to_string()),
            Bytes::from(self.node.clone()),
            number(self.seen),
            number(self.kept),
            number(self.number),
            number(self.count.into()),
            self.batch.clone(),
        ]
    }
}
