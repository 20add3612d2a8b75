//! Readers, who come to nodes and take what there is for them.

use super::*;

impl World {
    pub(super) fn leave(&mut self, reader: usize) {
        let now = self.now;
        if let Some((node, life, session, _)) = self.readers[reader].session.take()
            && self.nodes[node].life == life
        {
            self.nodes[node].broker.handle_disconnect(now, session);
        }
    }

    /// The reader comes to a node that a load balancer gives it.
    pub(super) fn come(&mut self, reader: usize) {
        if self.readers[reader].session.is_some() {
            return;
        }
        let open: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.nodes[*node].takes_sessions()).collect();
        if open.is_empty() {
            return self.after(millis(200), Happening::ReaderComes(reader));
        }
        let node = one_of(&mut self.random, &open);
        let (now, state) = (self.now, &mut self.readers[reader]);
        let process = &mut self.nodes[node];
        let life = process.life;
        let mut config = SessionConfig::new().with_client(state.memory.client().clone());
        if state.reading.wants_topic {
            config = config.with_topic(news());
        }
        if let Some(place) = state.memory.place {
            let last = LastEventId::from_header(format!("e-{place}").as_bytes());
            config = config.with_last_event_id(last);
        }
        let opened = process.broker.open(now, config).unwrap();
        self.sessions += 1;
        let (session, opened_at) = (self.sessions, process.node.applied());
        state.memory.opens(Rights { session, opened_at, has_topic: state.reading.wants_topic });
        state.since = now;
        state.session = Some((node, life, opened.session, session));
        self.judge.count(opened.resumption.as_str());
        self.note(|| format!("reader {reader} at node {node}: {:?}", opened.resumption));
    }

    /// Takes what there is for a reader.
    pub(super) fn take(&mut self, reader: usize) {
        let now = self.now;
        let Some((node, life, session, number)) = self.readers[reader].session else { return };
        if !self.nodes[node].runs() || self.nodes[node].life != life {
            return;
        }
        let takes = if self.is_healed { 100 } else { self.readers[reader].reading.takes };
        if !chance(&mut self.random, takes) {
            return;
        }
        loop {
            let block = match self.nodes[node].broker.poll_transmit(now, session) {
                None => return,
                Some(Transmit::Frame(frame)) => {
                    String::from_utf8(frame.payload().to_vec()).unwrap()
                }
                Some(Transmit::Ended(reason)) => {
                    self.note(|| format!("the session of reader {reader} ended: {reason:?}"));
                    self.judge.count("session ended by the broker");
                    self.readers[reader].session = None;
                    let after = up_to(&mut self.random, millis(1_000));
                    return self.after(after, Happening::ReaderComes(reader));
                }
            };
            self.note(|| format!("reader {reader} gets {}", block.trim().replace('\n', " | ")));
            let drawn = &self.scenario;
            let about = Circumstances {
                given: &self.engine.given,
                revocations: &self.nodes[node].revocations,
                is_calm: drawn.is_calm,
                may_be_behind: drawn.is_lossless,
                may_miss_given: self.engine.has_trimmed || self.is_spoilt || drawn.is_short(),
                waited: now - self.readers[reader].since,
                applied: self.nodes[node].node.applied(),
                cuts: &self.nodes[node].lost,
            };
            self.readers[reader].memory.take(&block, number, &about, &mut self.judge);
        }
    }
}
