//! Where the model lets a session begin: what is kept after its place, and whether all of it is.

use super::lag::State;
use super::model::{LogName, Model, Pending, Wish, waiting};
use super::signed::PlaceOf;
use sansse::broker::*;
use std::fmt::Write as _;

impl Model {
    pub(super) fn resume(
        &self,
        logs: &[LogName],
        last_event_id: Option<&Result<String, ()>>,
        newest: Option<u64>,
    ) -> (Resumption, Vec<Pending>) {
        let (is_absent, id) = match last_event_id {
            None => (true, None),
            Some(Ok(id)) if id.is_empty() => (true, None),
            Some(id) => (false, id.as_ref().ok()),
        };
        if is_absent && newest.is_none() {
            return (Resumption::Live, Vec::new());
        }
        let covered = |name: &LogName| logs.iter().any(|log| log.covers(name));
        let kept = || {
            let logs = self.logs.iter().filter(|(name, _)| covered(name));
            logs.flat_map(|(name, log)| log.kept.iter().map(move |k| (name, k)))
        };
        let own = |id: &&String| {
            kept().filter(|(_, k)| k.own_id.as_ref() == Some(id)).map(|(_, k)| k.position).min()
        };
        let place = id.map_or(PlaceOf::Unknown, |id| self.place_of(id));
        let placed = match place {
            PlaceOf::At(epoch, position) if epoch == self.config.epoch.0 => Some(position),
            _ => None,
        };
        let placed = placed.filter(|position| *position <= self.last);
        let position = id.as_ref().and_then(own).or(placed);
        if position.is_none() && place == PlaceOf::Forged {
            return (Resumption::Forged, Vec::new());
        }
        // Where ids are signed, nothing is replayed to who cannot have got one.
        let is_nonsense = position.is_none() && place == PlaceOf::Unknown && self.keys.is_some();
        let is_gap = position.is_none_or(|position| {
            self.missing.iter().any(|one| *one > position)
                || logs.iter().any(|name| self.lost_through(name) > position)
        });
        let mut pending: Vec<Pending> = kept()
            .filter(|(_, k)| k.position > position.unwrap_or(0))
            .map(|(name, k)| Pending {
                position: k.position,
                log: name.clone(),
                by: waiting(logs.iter().filter(|log| log.covers(name))),
                payload: k.payload.clone(),
            })
            .collect();
        let goes_on = is_nonsense || self.config.session.on_gap == OnGap::StartNow;
        if is_gap && !is_absent && goes_on {
            pending.clear();
        }
        pending.sort_by_key(|pending| pending.position);
        if let (true, Some(newest)) = (is_absent, newest) {
            let before = pending.len().saturating_sub(newest.try_into().unwrap_or(usize::MAX));
            pending.drain(..before);
        }
        let replayed = pending.len() as u64;
        self.add_gone(logs, &mut pending);
        let resume = match (position, place) {
            _ if is_absent && newest == Some(u64::MAX) => Resumption::Oldest { replayed },
            _ if is_absent => Resumption::Last { replayed },
            (Some(_), _) if is_gap => Resumption::Gap { replayed },
            (Some(_), _) => Resumption::Complete { replayed },
            (None, PlaceOf::At(epoch, _)) if epoch != self.config.epoch.0 => {
                Resumption::OtherEpoch { replayed }
            }
            (None, PlaceOf::At(..)) => Resumption::Ahead { replayed },
            (None, _) => Resumption::UnknownId { replayed },
        };
        (resume, pending)
    }

    /// What is gone from between what is pending is known to be.
    fn add_gone(&self, logs: &[LogName], pending: &mut Vec<Pending>) {
        for source in logs {
            let of = |pending: &&Pending| pending.by.iter().any(|(one, _)| one == source);
            let Some(first) = pending.iter().find(of).map(|pending| pending.position) else {
                continue;
            };
            let known: Vec<u64> = if let LogName::Pattern(pattern) = source {
                self.matched[pattern].iter().copied().collect()
            } else {
                let of = self.published.iter().filter(|(_, log)| *log == source);
                of.map(|(position, _)| *position).collect()
            };
            for position in known.into_iter().filter(|position| *position > first) {
                let log = self.published[&position].clone();
                if self.is_here(&log, position) {
                    continue;
                }
                let is_lost = position <= self.lost_through(source);
                let state = if is_lost { State::Told } else { State::Waiting };
                let by = vec![(source.clone(), state)];
                match pending.iter_mut().find(|pending| pending.position == position) {
                    Some(pending) => pending.by.extend(by),
                    None => {
                        pending.push(Pending { position, log, by, payload: String::new() });
                    }
                }
            }
        }
        pending.sort_by_key(|pending| pending.position);
    }

    pub(super) fn opening(
        &self,
        session: SessionId,
        wish: &Wish,
        resume: Resumption,
    ) -> Option<String> {
        let (word, replayed, placed) = match resume {
            Resumption::Live => ("live", 0, false),
            Resumption::Oldest { replayed } => ("oldest", replayed, replayed > 0),
            Resumption::Last { replayed } => ("last", replayed, replayed > 0),
            Resumption::Complete { replayed } => ("complete", replayed, true),
            Resumption::Gap { replayed } => ("gap", replayed, replayed > 0),
            Resumption::UnknownId { replayed } => ("unknown", replayed, replayed > 0),
            Resumption::OtherEpoch { replayed } => ("other-epoch", replayed, replayed > 0),
            Resumption::Ahead { replayed } => ("ahead", replayed, replayed > 0),
            Resumption::Forged => ("forged", 0, false),
            _ => unreachable!(),
        };
        let mut text = String::new();
        if wish.comment {
            text += ": hello\n";
        }
        if let Some(retry) = self.retry(session) {
            let _ = writeln!(text, "retry: {}", retry.as_millis());
        }
        if !placed && self.config.event_ids == EventIds::Assigned {
            let _ = writeln!(text, "id: {}", self.id_of(self.last));
        }
        if wish.announce {
            text += "event: resume\n";
            let _ = writeln!(text, r#"data: {{"outcome":"{word}","replayed":{replayed}}}"#);
        }
        (!text.is_empty()).then(|| text + "\n")
    }
}
