//! One connection: what is on its way, what either side knows, and how it will break.

use crate::kit::random::Random;
use crate::owed::Owed;
use crate::scenario::{chance, millis, one_of, up_to};
use crate::world::{Happening, World};
use bytes::Bytes;
use http::Response;
use sansse::broker::SessionId;
use sansse::client::Attempt;
use sansse::net::FailureKind;
use std::collections::VecDeque;
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

/// How much is missing before a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    Nothing,
    /// So many events; those that were superseded may be left out.
    Events(u64),
    /// Nobody can know.
    Unknown,
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
    /// When that began.
    pub(crate) opened: Option<Instant>,
    /// What the session began with.
    pub(crate) outcome: &'static str,
    /// How the stream is to begin, and how much is lost of it, if that can be told.
    pub(crate) opening: (&'static str, u64),
    pub(crate) lost: Lost,
    /// The first event to be published after it began, if it is the first of its reader's.
    pub(crate) first: usize,
    /// It begins anew, and its first id is the reader's place.
    pub(crate) begins_anew: bool,
    /// What remains to be written of a frame that was begun.
    pub(crate) remainder: Bytes,
    pub(crate) written: usize,
    pub(crate) acknowledged: usize,
    pub(crate) is_parked: bool,
    /// What the session is still to get.
    pub(crate) owed: Owed,
    /// The session may be about to end without anybody having said so.
    pub(crate) is_timed: bool,
    /// It was answered that there is no more, when so much had been published.
    pub(crate) no_more_after: usize,
    /// The session was taken away, and with it what was not sent.
    pub(crate) is_revoked: bool,
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

    pub(crate) has_begun: bool,
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
            opened: None,
            outcome: "",
            opening: ("", 0),
            lost: Lost::Nothing,
            first: 0,
            begins_anew: false,
            remainder: Bytes::new(),
            written: 0,
            acknowledged: 0,
            is_parked: false,
            owed: Owed::default(),
            is_timed: false,
            no_more_after: 0,
            is_revoked: false,
            through: None,
            in_flight: VecDeque::new(),
            is_broken: false,
            is_old: false,
            is_stream: false,
            received: 0,
            block: Vec::new(),
            has_begun: false,
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

/// The network between the two.
impl World {
    /// Sends something to the reader, in pieces, each of which takes its time.
    pub(crate) fn send(&mut self, at: usize, item: Item) {
        if self.connections[at].is_broken {
            return;
        }
        let latency = self.latency();
        let in_flight = &mut self.connections[at].in_flight;
        let last = in_flight.back().map_or(self.now, |(at, _)| *at);
        let arrives = last.max(self.now + latency);
        in_flight.push_back((arrives, item));
        self.after(arrives - self.now, Happening::Arrives(at));
    }

    pub(crate) fn write(&mut self, at: usize, bytes: &[u8]) {
        let connection = &mut self.connections[at];
        let before = connection.written;
        connection.written += bytes.len();
        let reaches = match connection.cut {
            Cut::ServerAt(end) => bytes.len().min(end.saturating_sub(before)),
            _ => bytes.len(),
        };
        let mut rest = Bytes::copy_from_slice(&bytes[..reaches]);
        while !rest.is_empty() {
            let length = if chance(&mut self.random, 70) {
                rest.len()
            } else {
                1 + self.random.below(rest.len())
            };
            self.send(at, Item::Bytes(rest.split_to(length)));
        }
    }

    /// The connection breaks where the reader is, and whatever is under way is lost.
    pub(crate) fn break_at_reader(&mut self, at: usize) {
        self.log.count("cut by the reader's side");
        if !self.connections[at].block.is_empty() {
            self.log.count("cut inside a block");
        }
        self.break_for_reader(at);
        self.tell_server(at);
    }

    /// The connection breaks where the server is. What is under way may still arrive.
    pub(crate) fn break_at_server(&mut self, at: usize) {
        self.log.count("cut by the server's side");
        self.server_notices(at);
        let in_flight = self.connections[at].in_flight.len();
        let arrives = self.random.below(in_flight + 1);
        self.connections[at].in_flight.truncate(arrives);
        self.end_for_reader(at);
    }

    pub(crate) fn break_for_reader(&mut self, at: usize) {
        self.connections[at].in_flight.clear();
        self.end_for_reader(at);
    }

    /// Nothing more comes but, perhaps, the end.
    fn end_for_reader(&mut self, at: usize) {
        match self.connections[at].end {
            Some(end) => self.send(at, Item::End(end)),
            None => self.log.count("silence after a cut"),
        }
        self.connections[at].is_broken = true;
    }

    /// The server learns that the reader is gone, some time, or never.
    pub(crate) fn tell_server(&mut self, at: usize) {
        let notice = self.connections[at].notice;
        let notice = if self.is_healed { notice.or(Some(Duration::ZERO)) } else { notice };
        if let Some(notice) = notice {
            self.after(notice, Happening::ServerNotices(at));
        }
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
    /// What it says of the stream, if it is a notice.
    pub(crate) said: Option<Said>,
}

/// What a notice says, read naively.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) stream: String,
    pub(crate) replayed: u64,
    /// How many events are missing, if that is known.
    pub(crate) lost: Option<u64>,
    pub(crate) reason: Option<String>,
}

/// The types of notices: the usual one, and one that a session chose.
pub(crate) const NOTICES: [&str; 2] = ["sansse-notice", "about"];

/// Takes the whole blocks out of `bytes`. Comments before a block stand for themselves.
pub(crate) fn take_blocks(bytes: &mut Vec<u8>) -> Vec<Block> {
    let mut blocks = Vec::new();
    loop {
        let end = if bytes.first() == Some(&b':') {
            bytes.iter().position(|byte| *byte == b'\n').map(|end| end + 1)
        } else {
            bytes.windows(2).position(|pair| pair == b"\n\n").map(|end| end + 2)
        };
        let Some(end) = end else { return blocks };
        let text: Vec<u8> = bytes.drain(..end).collect();
        blocks.push(Block::read(std::str::from_utf8(&text).unwrap()));
    }
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
        if block.event_type.as_deref().is_some_and(|event_type| NOTICES.contains(&event_type)) {
            block.said = block.data.as_deref().map(Said::read);
        }
        block
    }

    /// Whether it says nothing, as comments do.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Said {
    fn read(data: &str) -> Self {
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        Self {
            stream: data["stream"].as_str().unwrap().to_owned(),
            replayed: data["replayed"].as_u64().unwrap(),
            lost: data["lost"].as_u64(),
            reason: data["reason"].as_str().map(str::to_owned),
        }
    }
}
