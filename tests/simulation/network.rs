//! One connection: what is on its way, what either side knows, and how it will break.

use crate::scenario::{chance, millis, one_of, up_to};
use crate::streams::Random;
use bytes::Bytes;
use http::Response;
use sansse::broker::SessionId;
use sansse::client::{Attempt, FailureKind};
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// How the end of a connection looks to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Eof,
    Failure(FailureKind),
}

#[derive(Debug)]
pub(crate) enum Item {
    Head(Response<()>),
    Bytes(Bytes),
    End(End),
}

/// Where a connection breaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cut {
    Never,
    /// The request does not reach the server.
    Request,
    /// When this many bytes of the body have reached the reader; with 0 before the head does.
    ReaderAt(usize),
    /// When the server has written this many bytes of the body.
    ServerAt(usize),
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Connection {
    pub(crate) reader: usize,
    pub(crate) attempt: Attempt,
    pub(crate) cut: Cut,
    /// How the reader learns of the cut; not at all if the network is silent.
    pub(crate) end: Option<End>,
    /// How long after it the server learns of it; `None` for never.
    pub(crate) notice: Option<Duration>,

    /// Of the server, where the request came to.
    pub(crate) shard: usize,
    /// The session, while the server has one for it.
    pub(crate) session: Option<SessionId>,
    /// What the session began with.
    pub(crate) outcome: &'static str,
    pub(crate) announcement: Option<String>,
    /// It begins anew with events that are kept, the first of which is the reader's place.
    pub(crate) begins_anew: bool,
    /// What remains to be written of a frame that was begun.
    pub(crate) remainder: Bytes,
    pub(crate) written: usize,
    pub(crate) acknowledged: usize,
    pub(crate) is_parked: bool,
    /// All events before this one were taken from the broker, for this session.
    pub(crate) transmitted: usize,
    /// The session is to end, and gets nothing that is published from this event on.
    pub(crate) through: Option<usize>,

    /// On its way to the reader.
    pub(crate) in_flight: VecDeque<(Instant, Item)>,
    /// Nothing comes through any more.
    pub(crate) is_broken: bool,
    /// The reader has let go of it, and still hears of what comes, as of an old attempt.
    pub(crate) is_old: bool,
    /// A body of events, and not of an error.
    pub(crate) is_stream: bool,
    /// How many bytes of the body came to the reader.
    pub(crate) received: usize,
    /// The block that is not whole yet.
    pub(crate) block: Vec<u8>,

    pub(crate) is_announced: bool,
    /// The next event that the application can get from it.
    pub(crate) next: usize,
    /// Events that it was told, or the server's application was, to be missing.
    pub(crate) excused: BTreeSet<usize>,
}

impl Connection {
    pub(crate) fn new(random: &mut Random, reader: usize, attempt: Attempt, cuts: usize) -> Self {
        let cut = if chance(random, cuts) { cut(random) } else { Cut::Never };
        let ends = [
            Some(End::Eof),
            Some(End::Failure(FailureKind::Closed)),
            Some(End::Failure(FailureKind::Truncated)),
            None,
        ];
        let notices = [Some(millis(0)), Some(millis(100)), Some(millis(5_000)), None];
        Self {
            reader,
            attempt,
            cut,
            end: one_of(random, &ends),
            notice: one_of(random, &notices).map(|notice| up_to(random, notice)),
            shard: 0,
            session: None,
            outcome: "",
            announcement: None,
            begins_anew: false,
            remainder: Bytes::new(),
            written: 0,
            acknowledged: 0,
            is_parked: false,
            transmitted: 0,
            through: None,
            in_flight: VecDeque::new(),
            is_broken: false,
            is_old: false,
            is_stream: false,
            received: 0,
            block: Vec::new(),
            is_announced: false,
            next: 0,
            excused: BTreeSet::new(),
        }
    }

    /// How much the server may write before more of it is acknowledged.
    pub(crate) fn room(&self, window: usize) -> usize {
        window.saturating_sub(self.written - self.acknowledged)
    }

    /// Whether the server has written as much as it will live to write.
    pub(crate) fn is_server_cut(&self) -> bool {
        matches!(self.cut, Cut::ServerAt(at) if self.written >= at)
    }
}

fn cut(random: &mut Random) -> Cut {
    let far = one_of(random, &[30, 120, 1_500]);
    match random.below(12) {
        0 => Cut::Request,
        1 => Cut::ReaderAt(0),
        2..8 => Cut::ReaderAt(1 + random.below(far)),
        _ => Cut::ServerAt(random.below(far)),
    }
}

/// A whole block of an event stream, read naively.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) event_type: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) data: Option<String>,
    /// Which event it is, by its data or its comment.
    pub(crate) event: Option<usize>,
}

/// Takes the whole blocks out of `bytes`.
pub(crate) fn take_blocks(bytes: &mut Vec<u8>) -> Vec<Block> {
    let mut blocks = Vec::new();
    while let Some(end) = bytes.windows(2).position(|pair| pair == b"\n\n") {
        let text: Vec<u8> = bytes.drain(..end + 2).collect();
        blocks.push(Block::read(std::str::from_utf8(&text).unwrap()));
    }
    blocks
}

impl Block {
    fn read(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.lines() {
            if let Some(id) = line.strip_prefix("id: ") {
                block.id = Some(id.to_owned());
            } else if let Some(event_type) = line.strip_prefix("event: ") {
                block.event_type = Some(event_type.to_owned());
            } else if let Some(data) = line.strip_prefix("data: ") {
                block.data = Some(data.to_owned());
            }
            let named = line.strip_prefix("data: #").or(line.strip_prefix(": #"));
            if let Some(named) = named {
                let number = named.split(' ').next().unwrap();
                block.event = Some(number.parse().unwrap());
            }
        }
        block
    }
}
