//! What the engine says, and what it means.

use super::*;

impl Model {
    pub(crate) fn answer(&mut self, now: Instant, id: u64, answer: &Answered) {
        self.now = self.now.max(now);
        let asked = &mut self.asked[at(id)];
        if asked.fate == Fate::UnderWay {
            asked.fate = Fate::Over;
            let (kind, since) = (asked.kind, asked.at);
            if let Err(error) = self.fits(kind, since, answer)
                && !self.is_full(kind, error)
            {
                self.fail(error, Some(kind));
            }
        }
        self.end_if_done();
    }

    pub(super) fn fits(
        &mut self,
        kind: Kind,
        since: Instant,
        answer: &Answered,
    ) -> Result<(), LogErrorKind> {
        match (kind, answer) {
            (_, Answered::Error(error)) => Err(*error),
            (Kind::Hello, Answered::Hello(head)) => self.greeted(*head),
            (Kind::Head, Answered::Head(head)) => self.head(*head),
            (Kind::Append, Answered::Appended(appended)) => {
                let sent = self.sent.as_ref().unwrap();
                let count = u32::try_from(sent.publishes.len()).unwrap();
                let fits = appended.last < self.end()
                    && appended.count == count
                    && appended.last >= u64::from(count);
                if !fits {
                    self.note("nonsense");
                    return Err(LogErrorKind::Malformed);
                }
                let sent = self.sent.take().unwrap();
                let before = appended.last - u64::from(count);
                for (place, at) in sent.publishes.iter().enumerate() {
                    if self.publishes[*at].state == State::Sent {
                        self.settle(*at, Ok(before + 1 + place as u64));
                    }
                }
                self.note(if count > 1 { "batch of several" } else { "appended" });
                self.counters.appended_batches += 1;
                self.counters.appended_records += u64::from(count);
                self.appended = appended.last;
                self.hears(appended.last);
                Ok(())
            }
            (Kind::Read, Answered::Page(entries)) => self.page(since, entries),
            _ => {
                self.note("nonsense");
                Err(LogErrorKind::Malformed)
            }
        }
    }

    pub(super) fn end(&self) -> u64 {
        let ten_years = 10 * 366 * 24 * 3_600;
        let clock = self.config.time_of_day.map(|time| {
            (time + (self.now - self.began)).as_secs().saturating_add(ten_years) * 1_024_000
        });
        clock.unwrap_or(u64::MAX).min(1 << 53)
    }

    pub(super) fn greeted(&mut self, head: Head) -> Result<(), LogErrorKind> {
        let Head { start, position } = head;
        if start > position || position >= self.end() || position < self.known {
            self.note("nonsense");
            return Err(LogErrorKind::Malformed);
        }
        if self.has_greeted {
            self.counters.reconnects += 1;
        }
        self.has_greeted = true;
        self.phase = Phase::Serving;
        self.is_down = false;
        if !self.was_ready {
            self.wrong = None;
        }
        if self.health() != NodeHealth::Ready && self.target.is_none() {
            self.target = Some(position);
        }
        if !self.has_joined {
            self.has_joined = true;
            self.cursor = start.max(position.saturating_sub(self.config.window));
            if self.cursor > start {
                self.note("joined with a window");
                self.seek = Some((start, position, self.config.window));
            }
        }
        if start == position || self.cursor >= position {
            self.lose(position);
        }
        self.check_at = self.now.checked_add(self.config.check_every);
        self.wants_head = false;
        self.unread = None;
        self.hears(position);
        self.reaches();
        Ok(())
    }

    pub(super) fn head(&mut self, head: Head) -> Result<(), LogErrorKind> {
        let Head { start, position } = head;
        if start > position || position >= self.end() {
            self.note("nonsense");
            return Err(LogErrorKind::Malformed);
        }
        self.check_at = self.now.checked_add(self.config.check_every);
        let is_old = |since: Instant| self.now - since >= self.config.check_every;
        if position < self.known {
            self.note("hello again, without a failure");
            self.check_at = None;
            self.unread = None;
            self.give_up_all();
            self.phase = Phase::Greeting;
        } else if start > self.cursor {
            self.give_up(|kind| kind == Kind::Read);
            self.counters.holes += 1;
            self.lose(start);
            self.hears(position);
            self.reaches();
        } else if self.unread.is_some_and(|(unread, since)| unread > self.cursor && is_old(since)) {
            return Err(LogErrorKind::Unreachable);
        } else {
            self.hears(position);
        }
        Ok(())
    }

    pub(super) fn page(
        &mut self,
        since: Instant,
        entries: &[DrewEntry],
    ) -> Result<(), LogErrorKind> {
        let end = self.end();
        if entries.is_empty() {
            let soon = (self.config.read_wait / 2).max(Duration::from_millis(10));
            if self.now - since <= soon {
                self.note("rest");
                let least = self.config.backoff_min.max(Duration::from_millis(1));
                self.rests = Some(self.now + least);
            }
        } else {
            let is_wrong = |one: &DrewEntry| one.after >= one.position || one.position >= end;
            if entries.iter().any(is_wrong)
                || entries.iter().all(|entry| entry.position <= self.cursor)
            {
                self.note("nonsense");
                return Err(LogErrorKind::Malformed);
            }
            if !self.seeks(entries) {
                for entry in entries {
                    if entry.position > self.cursor {
                        self.entry(entry);
                    }
                }
            }
            self.known = self.known.max(self.applied);
            if !self.wants_head {
                self.check_at = self.now.checked_add(self.config.check_every);
            }
            self.reaches();
        }
        self.failures_in_a_row = 0;
        Ok(())
    }

    /// Whether the window begins before a cut, over whose jump it was guessed to begin.
    pub(super) fn seeks(&mut self, entries: &[DrewEntry]) -> bool {
        let first = entries.iter().find(|entry| entry.position > self.cursor).unwrap();
        let Some((start, end, left)) = self.seek.take() else { return false };
        if !matches!(first.content, DrewContent::Cut) || first.after >= self.cursor {
            return false;
        }
        let counted = if end > first.position { end - first.position } else { 1 };
        let left = left.saturating_sub(counted);
        let begins = start.max(first.after.saturating_sub(left));
        if begins >= first.after {
            return false;
        }
        self.note("joined over a cut");
        self.cursor = begins;
        if begins > start {
            self.seek = Some((start, first.after, left));
        }
        true
    }

    pub(super) fn entry(&mut self, entry: &DrewEntry) {
        let DrewEntry { after, position, content } = entry.clone();
        if after != self.applied && self.applied > 0 {
            self.counters.holes += 1;
            self.note("hole");
        }
        if after > self.applied {
            self.steps.push(format!("cut {after}"));
        }
        match content {
            DrewContent::Cut => {
                self.counters.cuts += 1;
                let is_exact = self.config.lossless && after >= self.applied;
                self.note(if is_exact { "lossless" } else { "cut" });
                let word = if is_exact { "skip" } else { "cut" };
                self.steps.push(format!("{word} {position}"));
            }
            _ if after < self.applied => self.steps.push(format!("cut {position}")),
            DrewContent::Garbage => self.unreadable(position, position - after),
            DrewContent::Records(records) | DrewContent::Newer(records)
                if records.len() as u64 != position - after =>
            {
                self.unreadable(position, position - after);
            }
            DrewContent::Records(ref records) | DrewContent::Newer(ref records) => {
                let is_newer = matches!(content, DrewContent::Newer(_));
                for (at, record) in (after + 1..).zip(records) {
                    if (is_newer && at == after + 1) || !record.is_usable() {
                        self.unreadable(at, 1);
                    } else {
                        self.counters.applied += 1;
                        self.note("applied");
                        self.steps.push(record.step(at));
                    }
                }
            }
        }
        self.applied = position;
        self.cursor = position;
    }

    pub(super) fn unreadable(&mut self, position: u64, count: u64) {
        self.counters.unreadable += count;
        self.note("unreadable");
        self.steps.push(format!("cut {position}"));
    }

    pub(super) fn lose(&mut self, position: u64) {
        if position > self.applied {
            self.steps.push(format!("cut {position}"));
            self.applied = position;
            self.cursor = self.cursor.max(position);
        }
    }

    /// The engine told of a position.
    pub(super) fn hears(&mut self, position: u64) {
        self.known = self.known.max(position);
        let is_read = self.unread.is_none_or(|(unread, _)| unread <= self.cursor);
        if position > self.cursor && is_read {
            self.unread = Some((position, self.now));
        }
    }

    pub(super) fn reaches(&mut self) {
        if self.target.is_some_and(|target| target <= self.applied) {
            self.note("ready");
            (self.was_ready, self.wrong, self.target) = (true, None, None);
        }
    }

    /// It takes no more, and serves all the same.
    fn is_full(&mut self, kind: Kind, error: LogErrorKind) -> bool {
        let is_full = kind == Kind::Append
            && error == LogErrorKind::Full
            && self.config.while_down == WhileDown::Refuse
            && !self.sent.as_ref().unwrap().is_doubtful;
        if is_full {
            self.note("full");
            for at in self.sent.take().unwrap().publishes {
                if self.publishes[at].state == State::Sent {
                    self.counters.refused_down += 1;
                    self.settle(at, Err(PublishError::EngineDown));
                }
            }
        }
        is_full
    }

    pub(super) fn fail(&mut self, error: LogErrorKind, failed: Option<Kind>) {
        let is_append_under_way = self
            .asked
            .iter()
            .any(|asked| asked.kind == Kind::Append && asked.fate == Fate::UnderWay);
        if failed == Some(Kind::Append) || is_append_under_way {
            let sent = self.sent.as_mut().unwrap();
            if failed == Some(Kind::Append) && error.is_refusal() {
                if !sent.is_doubtful {
                    for at in self.sent.take().unwrap().publishes {
                        if self.publishes[at].state == State::Sent {
                            self.counters.refused_down += 1;
                            self.settle(at, Err(PublishError::EngineDown));
                        }
                    }
                }
            } else {
                sent.is_doubtful = true;
            }
        }
        self.counters.failures += 1;
        self.give_up_all();
        self.is_down = true;
        self.phase = Phase::Waiting(Some(self.now + self.drawn_wait()));
        (self.check_at, self.wants_head, self.unread) = (None, false, None);
        let since = self.wrong.map_or(self.now, |(since, _)| since);
        self.wrong = Some((since, error));
        if self.was_ready {
            self.target = None;
        }
        self.note(if self.was_ready { "stale" } else { "down" });
        self.refuse_queue(|model, at| match model.config.while_down {
            WhileDown::Wait(wait) => {
                let until = model.publishes[at].at.checked_add(wait);
                until.is_some_and(|until| until <= model.now)
            }
            _ => true,
        });
    }

    /// splitmix64, and full jitter.
    pub(super) fn drawn_wait(&mut self) -> Duration {
        let least = Duration::from_millis(1);
        let bound = self.config.backoff_min.max(least).as_nanos();
        let most = self.config.backoff_max.max(least).as_nanos();
        let bound = bound.saturating_mul(1 << self.failures_in_a_row.min(40)).min(most);
        self.failures_in_a_row += 1;
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        let nanos = (u128::from(z) * (bound + 1)) >> 64;
        Duration::from_nanos(u64::try_from(nanos.max(1)).unwrap())
    }

    pub(super) fn give_up(&mut self, which: impl Fn(Kind) -> bool) {
        for asked in &mut self.asked {
            if asked.fate == Fate::UnderWay && which(asked.kind) {
                asked.fate = Fate::GivenUp;
                *self.happened.entry("given up").or_default() += 1;
            }
        }
    }

    pub(super) fn give_up_all(&mut self) {
        self.give_up(|_| true);
        self.rests = None;
    }
}
