//! What is taken from the broker and written, and where that stops.

use crate::network::{End, Item, take_blocks};
use crate::scenario::chance;
use crate::world::World;
use bytes::Bytes;
use sansse::broker::{Batch, Broker, EndReason, Filled, Framing, SessionId, StreamEnd, Transmit};
use sansse::net::FailureKind;

/// What a poll came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    More,
    Parked,
    End(Option<EndReason>),
}

impl World {
    /// Serves the sessions that have output again.
    pub(crate) fn serve_ready(&mut self) {
        self.drain_events();
        while let Some(session) = self.server.shards.iter_mut().find_map(Broker::poll_ready) {
            let (at, _) = self.server.sessions[&session];
            assert!(
                self.connections[at].session == Some(session),
                "ready, though its driver said that it is gone"
            );
            self.serve(at);
        }
        self.drain_events();
    }

    /// Writes what the connection takes.
    pub(crate) fn serve(&mut self, at: usize) {
        loop {
            let state = &mut self.connections[at];
            state.is_parked = false;
            let Some(session) = state.session else { return };
            if state.is_server_cut() {
                return self.break_at_server(at);
            }
            let room = state.room(self.scenario.window);
            if !state.remainder.is_empty() {
                if room == 0 {
                    // It ends although not everything was written, if it has ended.
                    return self.notice_end(at, session);
                }
                let part = state.remainder.split_to(room.min(state.remainder.len()));
                self.write(at, &part);
                self.server.broker(session).handle_progress(self.now, session);
                continue;
            }
            if room == 0 {
                return self.notice_end(at, session);
            }
            let end = match self.scenario.batch {
                None => self.take_frame(at, session),
                Some(limit) => self.take_batch(at, session, limit, room),
            };
            match end {
                _ if self.connections[at].is_server_cut() => return self.break_at_server(at),
                Taken::More => {}
                Taken::Parked => {
                    self.connections[at].is_parked = true;
                    return;
                }
                Taken::End(reason) => return self.finish(at, session, reason),
            }
        }
    }

    /// A session that stalled has ended while its driver waited for room.
    fn notice_end(&mut self, at: usize, session: SessionId) {
        let broker = self.server.broker(session);
        if !broker.session(session).is_open() {
            let end = match broker.poll_transmit(self.now, session) {
                Some(Transmit::Ended(reason)) => reason,
                other => panic!("{other:?} of a session that has ended"),
            };
            self.finish(at, session, end);
        }
    }

    fn take_frame(&mut self, at: usize, session: SessionId) -> Taken {
        let behind = self.look_behind(at, session);
        let broker = self.server.broker(session);
        let (taken, frame) = match broker.poll_transmit(self.now, session) {
            None => (Taken::Parked, Bytes::new()),
            Some(Transmit::Ended(reason)) => (Taken::End(reason), Bytes::new()),
            Some(Transmit::Frame(frame)) => (Taken::More, frame.payload()),
        };
        self.drain_events();
        let polled = self.take_note(at, &behind, &frame, taken);
        self.commit(at, polled, usize::MAX);
        if taken == Taken::Parked {
            self.check_parked(at, session);
        }
        self.connections[at].remainder = frame;
        taken
    }

    fn take_batch(&mut self, at: usize, session: SessionId, limit: usize, room: usize) -> Taken {
        let behind = self.look_behind(at, session);
        let mut batch = std::mem::replace(&mut self.server.batch, Batch::new(Framing::Plain));
        let broker = self.server.broker(session);
        let end = broker.poll_transmit_batch(self.now, session, limit, &mut batch);
        self.drain_events();
        let taken = match end {
            Filled::More => Taken::More,
            Filled::All => Taken::Parked,
            Filled::Ended(reason) => Taken::End(reason),
        };
        let polled = self.take_note(at, &behind, batch.as_slice(), taken);
        let is_disturbed = !batch.is_empty() && self.act_between(at);
        let mut written = room.min(batch.len());
        if written > 0 && chance(&mut self.random, 20) {
            written -= self.random.below(written + 1);
        }
        self.write(at, &batch.as_slice()[..written]);
        let mut whole = batch.as_slice()[..written].to_vec();
        let is_whole = written == batch.len();
        if !is_whole {
            let broker = self.server.broker(session);
            let rest = broker.handle_partial_write(self.now, session, &batch, written);
            whole.extend_from_slice(&rest);
            self.connections[at].remainder = rest;
            self.log.count(match written {
                0 => "write that takes nothing",
                _ => "write that takes a part",
            });
        }
        self.server.batch = batch;
        let blocks = take_blocks(&mut whole);
        assert!(whole.is_empty(), "a frame is not whole");
        let count = blocks.iter().filter(|block| block.event.is_some()).count();
        assert!(
            !self.connections[at].owed.is_changed
                || count == polled.events.len()
                || !self.server.broker(session).session(session).is_open(),
            "a batch is taken back from before it heard something else"
        );
        self.commit(at, polled, count);
        if !is_whole {
            return Taken::More;
        }
        if taken == Taken::Parked && !is_disturbed && chance(&mut self.random, 50) {
            self.check_parked(at, session);
        }
        taken
    }

    /// Ends the body, in good order if it is complete.
    fn finish(&mut self, at: usize, session: SessionId, reason: Option<EndReason>) {
        self.drain_events();
        let (_, told) = self.server.sessions[&session];
        self.check_end(at, told);
        assert!(reason.is_some() && reason == told, "it ended as {told:?}, and says {reason:?}");
        let broker = self.server.broker(session);
        let again = broker.poll_transmit(self.now, session);
        assert_eq!(again, Some(Transmit::Ended(None)), "a reason is told once");
        self.connections[at].session = None;
        let end = told.map(|reason| reason.stream_end(StreamEnd::Cut));
        if self.connections[at].remainder.is_empty() && end == Some(StreamEnd::Clean) {
            self.send(at, Item::End(End::Eof));
        } else {
            self.send(at, Item::End(End::Failure(FailureKind::Truncated)));
        }
    }

    pub(crate) fn server_notices(&mut self, at: usize) {
        if let Some(session) = self.connections[at].session.take()
            && !self.server.shards.is_empty()
        {
            self.server.broker(session).handle_disconnect(self.now, session);
            self.drain_events();
        }
    }
}
