//! What one node says of who is there, as bytes: [`PresenceRecord`].
//!
//! ```text
//! version  length of rest  kind  what belongs to it
//! ┌──┬──────────────┬──┬──────────────────────────────────────────────────────────────────┐
//! │1 │ u32          │ 0│ after, number : u64    clients                          changes  │
//! │  │              │ 1│ number : u64                                            lease    │
//! │  │              │ 2│ number : u64    bits   client, if bit 0 is set  clients page     │
//! │  │              │ 3│ nodes : u128 each                                       ask      │
//! │  │              │ 4│                                                         gone     │
//! └──┴──────────────┴──┴──────────────────────────────────────────────────────────────────┘
//!     clients: for each its sessions, u32, and its name     a name: u32, UTF-8
//! ```
//!
//! Numbers are little-endian. A change of what a version means takes the next version.

use crate::broker::{ClientId, LogRecordError, Reader, put_record, put_text, split_record};
use crate::cluster::NodeId;
use alloc::vec::Vec;

/// What one node says of the clients that are on it, as a [`Record`](crate::cluster::Record) of the
/// realm's log. Nobody has to write or read one but a [`Presence`](super::Presence).
///
/// A node numbers the states of its list: each change of it has a greater number. So another node
/// notices what it has missed, by whatever cause.
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceRecord {
    /// These clients have so many sessions on the node now. A node that knew the list as it
    /// was at `after`, or later, knows it as it is at `number`.
    Changes {
        /// Up to which number the changes before this record are known to be in the log.
        after: u64,
        /// The number of the list with these changes.
        number: u64,
        /// The clients, each with its sessions on the node; 0 if it has none any more.
        clients: Vec<(ClientId, u32)>,
    },
    /// The node is there. So does any other of these records say.
    Lease {
        /// The number of its list.
        number: u64,
    },
    /// A part of the list, in the order of the names: all clients behind `after`, up to the last of
    /// these, or all that there are if it is the last page.
    Page {
        /// The number of the list.
        number: u64,
        /// The client before this page; `None` for the first page.
        after: Option<ClientId>,
        /// The clients that have sessions on the node, each with their number.
        clients: Vec<(ClientId, u32)>,
        /// Whether no page follows. A page without clients is the last.
        is_last: bool,
    },
    /// These nodes are asked for their whole lists.
    Ask {
        /// Which.
        nodes: Vec<NodeId>,
    },
    /// The node shuts down, and has no session any more.
    Gone,
    /// What cannot be read here: of a newer version, or not what it should be. It says no more than
    /// that its node is there. Nobody writes it.
    Unknown {
        /// The version.
        version: u8,
    },
}

impl PresenceRecord {
    /// Appends the record's bytes, which [`decode`](Self::decode) reads in any later version.
    ///
    /// # Errors
    ///
    /// [`LogRecordError::TooLarge`]; then nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), LogRecordError> {
        let version = if let Self::Unknown { version } = self { *version } else { VERSION };
        put_record(out, version, |out| match self {
            Self::Changes { after, number, clients } => {
                out.push(CHANGES);
                out.extend_from_slice(&after.to_le_bytes());
                out.extend_from_slice(&number.to_le_bytes());
                put_clients(out, clients);
            }
            Self::Lease { number } => {
                out.push(LEASE);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Self::Page { number, after, clients, is_last } => {
                out.push(PAGE);
                out.extend_from_slice(&number.to_le_bytes());
                let is_first = after.is_none();
                let bits = if is_first { 0 } else { HAS_AFTER };
                out.push(bits | if *is_last { IS_LAST } else { 0 });
                if let Some(after) = after {
                    put_text(out, after.as_str());
                }
                put_clients(out, clients);
            }
            Self::Ask { nodes } => {
                out.push(ASK);
                out.extend(nodes.iter().flat_map(|node| node.0.to_le_bytes()));
            }
            Self::Gone => out.push(GONE),
            Self::Unknown { .. } => {}
        })
    }

    /// Reads the first record of these bytes. Returns it, and the bytes behind it. One that has its
    /// length and cannot be read is [`Unknown`](Self::Unknown).
    ///
    /// # Errors
    ///
    /// [`LogRecordError::Incomplete`] and [`LogRecordError::TooLarge`], the fault of who wrote the
    /// bytes. It panics on none, and takes no more memory than a few times what they do.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), LogRecordError> {
        let (version, body, behind) = split_record(bytes)?;
        let read = Some(body).filter(|_| version == VERSION).and_then(read);
        Ok((read.unwrap_or(Self::Unknown { version }), behind))
    }

    /// How many bytes a client takes in a record.
    pub(super) fn size_of(client: &ClientId) -> usize {
        2 * size_of::<u32>() + client.as_str().len()
    }

    /// How many bytes a record has at most beside its clients.
    pub(super) const MOST_BESIDE: usize = 512;
}

/// The version that is written, and the only one there has been.
const VERSION: u8 = 1;

const CHANGES: u8 = 0;
const LEASE: u8 = 1;
const PAGE: u8 = 2;
const ASK: u8 = 3;
const GONE: u8 = 4;

const HAS_AFTER: u8 = 1;
const IS_LAST: u8 = 1 << 1;

fn put_clients(out: &mut Vec<u8>, clients: &[(ClientId, u32)]) {
    for (client, sessions) in clients {
        out.extend_from_slice(&sessions.to_le_bytes());
        put_text(out, client.as_str());
    }
}

/// Reads what stands behind the length. All of it has to be used up.
fn read(body: &[u8]) -> Option<PresenceRecord> {
    let mut reader = Reader::new(body);
    let record = match reader.byte()? {
        CHANGES => {
            let (after, number) = (read_number(&mut reader)?, read_number(&mut reader)?);
            PresenceRecord::Changes { after, number, clients: read_clients(&mut reader)? }
        }
        LEASE => PresenceRecord::Lease { number: read_number(&mut reader)? },
        PAGE => read_page(&mut reader)?,
        ASK => {
            let mut nodes = Vec::new();
            while !reader.rest().is_empty() {
                nodes.push(NodeId(u128::from_le_bytes(reader.chunk()?)));
            }
            PresenceRecord::Ask { nodes }
        }
        GONE => PresenceRecord::Gone,
        _ => return None,
    };
    reader.rest().is_empty().then_some(record)
}

fn read_page(reader: &mut Reader<'_>) -> Option<PresenceRecord> {
    let number = read_number(reader)?;
    let bits = reader.byte()?;
    if bits > HAS_AFTER | IS_LAST {
        return None;
    }
    let after = match bits & HAS_AFTER {
        0 => None,
        _ => Some(ClientId::new(reader.text()?).ok()?),
    };
    let (clients, is_last) = (read_clients(reader)?, bits & IS_LAST != 0);
    let first = after.iter().chain(clients.iter().map(|(client, _)| client));
    let is_sorted = first.clone().zip(first.skip(1)).all(|(one, next)| one < next);
    let leads_on = is_last || !clients.is_empty();
    (is_sorted && leads_on).then_some(PresenceRecord::Page { number, after, clients, is_last })
}

fn read_number(reader: &mut Reader<'_>) -> Option<u64> {
    reader.chunk().map(u64::from_le_bytes)
}

fn read_clients(reader: &mut Reader<'_>) -> Option<Vec<(ClientId, u32)>> {
    let mut clients = Vec::new();
    while !reader.rest().is_empty() {
        let sessions = u32::from_le_bytes(reader.chunk()?);
        clients.push((ClientId::new(reader.text()?).ok()?, sessions));
    }
    Some(clients)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::LogRecord;

    /// The version and the length.
    const HEAD: usize = 5;

    fn client(name: &str) -> ClientId {
        ClientId::new(name).unwrap()
    }

    fn records() -> Vec<PresenceRecord> {
        let clients = alloc::vec![(client("ann"), 2), (client("bob"), 0)];
        alloc::vec![
            PresenceRecord::Changes { after: 7, number: 9, clients: clients.clone() },
            PresenceRecord::Lease { number: u64::MAX },
            PresenceRecord::Page { number: 3, after: None, clients, is_last: false },
            PresenceRecord::Page {
                number: 4,
                after: Some(client("bob")),
                clients: Vec::new(),
                is_last: true,
            },
            PresenceRecord::Ask { nodes: alloc::vec![NodeId(1), NodeId(u128::MAX)] },
            PresenceRecord::Gone,
            PresenceRecord::Unknown { version: 9 },
        ]
    }

    fn bytes(record: &PresenceRecord) -> Vec<u8> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read_again_and_what_stands_behind_it_is_left() {
        let all: Vec<u8> = records().iter().flat_map(bytes).collect();
        let mut rest = &all[..];
        for record in records() {
            let (read, behind) = PresenceRecord::decode(rest).unwrap();
            assert_eq!(read, record);
            rest = behind;
        }
        assert!(rest.is_empty());
    }

    /// What is in somebody's engine stays readable.
    #[test]
    fn the_bytes_of_this_version_are_these() {
        let clients = || alloc::vec![(client("ann"), 2)];
        let changes = PresenceRecord::Changes { after: 1, number: 2, clients: clients() };
        let mut expected = b"\x01\x1c\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
        expected.extend(b"\x02\0\0\0\x03\0\0\0ann");
        assert_eq!(bytes(&changes), expected);
        let after = Some(client("a"));
        let page = PresenceRecord::Page { number: 1, after, clients: clients(), is_last: true };
        let mut expected = b"\x01\x1a\0\0\0\x02\x01\0\0\0\0\0\0\0\x03".to_vec();
        expected.extend(b"\x01\0\0\0a\x02\0\0\0\x03\0\0\0ann");
        assert_eq!(bytes(&page), expected);
        let lease = PresenceRecord::Lease { number: 5 };
        assert_eq!(bytes(&lease), b"\x01\x09\0\0\0\x01\x05\0\0\0\0\0\0\0");
        let ask = PresenceRecord::Ask { nodes: alloc::vec![NodeId(7)] };
        let mut expected = b"\x01\x11\0\0\0\x03\x07".to_vec();
        expected.extend([0; 15]);
        assert_eq!(bytes(&ask), expected);
        assert_eq!(bytes(&PresenceRecord::Gone), b"\x01\x01\0\0\0\x04");
    }

    #[test]
    fn a_record_that_breaks_off_says_how_much_is_missing_at_least() {
        for record in records() {
            let all = bytes(&record);
            for length in 0..all.len() {
                let missing = if length < HEAD { HEAD - length } else { all.len() - length };
                let error = Err(LogRecordError::Incomplete { missing });
                assert_eq!(PresenceRecord::decode(&all[..length]), error, "{record:?}, {length}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        let unknown = |version, body: &[u8]| {
            let length = u32::try_from(body.len()).unwrap().to_le_bytes();
            let all = [&[version], &length[..], body, b"behind"].concat();
            let read = PresenceRecord::decode(&all).unwrap();
            assert_eq!(read, (PresenceRecord::Unknown { version }, &b"behind"[..]), "{body:?}");
        };
        unknown(2, b"\x04");
        for body in [
            &b""[..],
            b"\x05",
            b"\x04more",
            b"\x01\x05\0\0\0\0\0\0",
            b"\x01\x05\0\0\0\0\0\0\0\0",
            b"\x00\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01",
            b"\x00\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\xff\xff\xff\xffa",
            b"\x00\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\xff",
            b"\x00\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0",
            // A page that leads nowhere, one with bits that mean nothing, one out of order.
            b"\x02\x01\0\0\0\0\0\0\0\0",
            b"\x02\x01\0\0\0\0\0\0\0\x04",
            b"\x02\x01\0\0\0\0\0\0\0\x02\x01\0\0\0\x01\0\0\0b\x01\0\0\0\x01\0\0\0a",
            b"\x02\x01\0\0\0\0\0\0\0\x03\x01\0\0\0b\x01\0\0\0\x01\0\0\0a",
            b"\x03\x07",
        ] {
            unknown(VERSION, body);
        }
        let huge = [VERSION, 0xff, 0xff, 0xff, 0xff];
        let size = (u32::MAX as usize).saturating_add(HEAD);
        assert_eq!(PresenceRecord::decode(&huge), Err(LogRecordError::TooLarge { size }));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        for record in records() {
            let all = bytes(&record);
            for at in 0..all.len() {
                for bit in 0..8 {
                    let mut spoilt = all.clone();
                    spoilt[at] ^= 1 << bit;
                    if let Ok((read, _)) = PresenceRecord::decode(&spoilt) {
                        let again = bytes(&read);
                        assert_eq!(PresenceRecord::decode(&again), Ok((read, &[][..])));
                    }
                }
            }
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_not_written() {
        let nodes = alloc::vec![NodeId(7); LogRecord::MAX_SIZE / 16 + 1];
        let mut out = alloc::vec![1, 2];
        let error = PresenceRecord::Ask { nodes }.encode(&mut out).unwrap_err();
        assert!(matches!(error, LogRecordError::TooLarge { .. }));
        assert_eq!(out, [1, 2]);
    }
}
