//! What is asked, told and counted.

use super::*;

impl Model {
    pub(super) fn is_free(&self, is_read: bool) -> bool {
        let busy =
            |asked: &Asked| (asked.kind == Kind::Read) == is_read && asked.fate != Fate::Over;
        !self.asked.iter().any(busy)
    }

    pub(crate) fn request(&mut self, now: Instant) -> Option<LogRequest> {
        self.now = self.now.max(now);
        let seen = self.known;
        if self.phase == Phase::Greeting && self.is_free(false) && self.is_free(true) {
            self.ask(Kind::Hello, 0);
            return Some(LogRequest::Hello(Hello { node: ME, epoch: Epoch(0xe), seen }));
        }
        if self.phase != Phase::Serving {
            return None;
        }
        if self.is_free(false) {
            if self.wants_head {
                self.note("head");
                self.wants_head = false;
                self.ask(Kind::Head, 0);
                return Some(LogRequest::Head);
            }
            if self.sent.is_some() {
                self.note("append again");
            } else {
                self.pack();
            }
            if let Some(sent) = &self.sent {
                let mut batch = Batch::new(ME);
                for at in &sent.publishes {
                    batch.push(&self.publishes[*at].record.record()).unwrap();
                }
                let (number, count) = (sent.number, batch.count());
                self.ask(Kind::Append, count);
                let payload = batch.payload();
                return Some(LogRequest::Append(Append { node: ME, number, seen, count, payload }));
            }
        }
        if self.is_free(true) && self.rests.is_none() && self.steps.is_empty() {
            self.ask(Kind::Read, 0);
            let (max_bytes, wait) = (self.config.page_bytes.get(), self.config.read_wait);
            return Some(LogRequest::Read(Read { after: self.cursor, max_bytes, wait }));
        }
        None
    }

    pub(super) fn ask(&mut self, kind: Kind, count: u32) {
        let within = match kind {
            Kind::Read => self.config.read_wait + self.config.read_margin,
            _ => self.config.answer_within,
        };
        let deadline = (self.now.checked_add(within), false);
        self.asked.push(Asked { kind, fate: Fate::UnderWay, at: self.now, deadline, count });
    }

    pub(crate) fn effect(&mut self) -> Option<String> {
        for is_read in [false, true] {
            let given_up = self.asked.iter_mut().enumerate().find(|(_, asked)| {
                (asked.kind == Kind::Read) == is_read && asked.fate == Fate::GivenUp
            });
            if let Some((at, asked)) = given_up {
                asked.fate = Fate::Over;
                return Some(format!("give up {}", at + 1));
            }
        }
        if !self.steps.is_empty() {
            return Some(joined(std::mem::take(&mut self.steps)));
        }
        if let Some((at, result)) = self.settled.pop_front() {
            return Some(format!("settled {} {result:?}", at + 1));
        }
        let health = self.health();
        let is_new = health != self.told;
        self.told = health;
        is_new.then(|| format!("{health:?}"))
    }

    pub(crate) fn health(&self) -> NodeHealth {
        match (self.wrong, self.was_ready) {
            (None, false) => NodeHealth::Joining,
            (None, true) => NodeHealth::Ready,
            (Some((since, error)), true) => NodeHealth::Stale { since, error },
            (Some((since, error)), false) => NodeHealth::Down { since, error },
        }
    }

    pub(crate) fn timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Over {
            return None;
        }
        let under_way = self.asked.iter().filter(|asked| asked.fate == Fate::UnderWay);
        let mut times: Vec<Option<Instant>> = under_way.map(|asked| asked.deadline.0).collect();
        if let Phase::Waiting(until) = self.phase {
            times.push(until);
        }
        times.extend([self.rests, self.check_at]);
        if let Ends::By(until) = self.ends {
            times.push(until);
        }
        if let Some(sent) = &self.sent
            && self.publishes[sent.publishes[0]].state == State::Sent
        {
            times.push(sent.confirm.0);
        }
        if let (true, WhileDown::Wait(wait)) = (self.is_down, self.config.while_down) {
            times.extend(self.queued().map(|at| self.publishes[at].at.checked_add(wait)));
        }
        times.into_iter().flatten().min()
    }

    pub(crate) fn counters(&self) -> NodeCounters {
        let mut counters = self.counters;
        counters.queued_records = self.queued().count() as u64;
        counters.queued_bytes = self.queued().map(|at| self.publishes[at].size as u64).sum();
        counters
    }
}
