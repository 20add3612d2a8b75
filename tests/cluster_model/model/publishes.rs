//! What publishers are told.

use super::*;

impl Model {
    pub(crate) fn publish(&mut self, now: Instant, record: &Drew) -> Result<u64, PublishError> {
        self.now = self.now.max(now);
        if self.ends != Ends::Never {
            self.note("closed");
            return Err(PublishError::Closed);
        }
        if !record.is_usable() {
            // Which of its faults an id has is not the model's to know.
            let Drew::OwnId(id) = record else { unreachable!() };
            return Err(PublishError::UnusableId(match *id {
                "" => sansse::UnusableId::Empty,
                " " => sansse::UnusableId::SpaceAtEnd,
                _ => sansse::UnusableId::LikeAPlace,
            }));
        }
        let mut batch = Batch::new(ME);
        let head = batch.size();
        batch.push(&record.record()).unwrap();
        let (size, limit) = (batch.size() - head, self.config.batch_bytes.get());
        if batch.size() > limit {
            self.note("too large");
            return Err(PublishError::TooLarge { size, limit });
        }
        if self.is_down && self.config.while_down == WhileDown::Refuse {
            self.counters.refused_down += 1;
            return Err(PublishError::EngineDown);
        }
        let queued = self.queued().count();
        let bytes: usize = self.queued().map(|at| self.publishes[at].size).sum();
        if queued + self.settled.len() >= self.config.queued_records.get()
            || bytes + size > self.config.queued_bytes.get()
        {
            self.note("busy");
            self.counters.refused_busy += 1;
            return Err(PublishError::Busy);
        }
        let (record, at, state) = (record.clone(), self.now, State::Queued);
        self.publishes.push(Publish { record, size, at, state });
        if self.is_down {
            self.note("waits");
        }
        Ok(self.publishes.len() as u64)
    }

    pub(super) fn queued(&self) -> impl Iterator<Item = usize> {
        (0..self.publishes.len()).filter(|at| self.publishes[*at].state == State::Queued)
    }

    pub(super) fn settle(&mut self, at: usize, result: Result<u64, PublishError>) {
        assert_ne!(self.publishes[at].state, State::Settled);
        self.publishes[at].state = State::Settled;
        self.settled.push_back((at, result));
    }

    pub(super) fn refuse_queue(&mut self, which: impl Fn(&Self, usize) -> bool) {
        let queued: Vec<usize> = self.queued().collect();
        for at in queued {
            if which(self, at) {
                self.counters.refused_down += 1;
                self.settle(at, Err(PublishError::EngineDown));
            }
        }
    }

    pub(super) fn pack(&mut self) {
        let mut size = Batch::new(ME).size();
        let mut publishes = Vec::new();
        let queued: Vec<usize> = self.queued().collect();
        for at in queued {
            size += self.publishes[at].size;
            let is_full = size > self.config.batch_bytes.get()
                || publishes.len() >= self.config.batch_records.get() as usize;
            if is_full && !publishes.is_empty() {
                break;
            }
            publishes.push(at);
        }
        if publishes.is_empty() {
            return;
        }
        self.batches += 1;
        for at in &publishes {
            self.publishes[*at].state = State::Sent;
        }
        let confirm = (self.now.checked_add(self.config.confirm_within), false);
        self.sent = Some(Sent { number: self.batches, publishes, confirm, is_doubtful: false });
    }

    pub(super) fn unconfirm(&mut self, sent: &Sent) {
        for at in sent.publishes.clone() {
            if self.publishes[at].state == State::Sent {
                self.note("unconfirmed");
                self.counters.unconfirmed += 1;
                self.settle(at, Err(PublishError::Unconfirmed));
            }
        }
    }
}
