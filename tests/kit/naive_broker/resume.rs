//! Where the model lets a session begin: what is kept after its place, and whether all of it is.

use super::lag::State;
use super::model::{LogName, Model, Pending, waiting};
use super::notice::Words;
use super::signed::PlaceOf;
use sansse::broker::*;

/// How a session begins, or a later subscription of one.
pub(super) struct Beginning {
    pub(super) resumption: Resumption,
    pub(super) pending: Vec<Pending>,
    pub(super) said: Words,
    /// From where who got no more than what is said resumes; `None`: from where it did.
    pub(super) place: Option<u64>,
}

impl Model {
    pub(super) fn resume(
        &self,
        logs: &[LogName],
        last_event_id: Option<&Result<String, ()>>,
        newest: Option<u64>,
    ) -> Beginning {
        let (is_absent, id) = match last_event_id {
            None => (true, None),
            Some(Ok(id)) if id.is_empty() => (true, None),
            Some(id) => (false, id.as_ref().ok()),
        };
        if is_absent && newest.is_none() {
            return self.now_as(Resumption::Live, Words::new("live", 0));
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
            return self.now_as(Resumption::Forged, Words::gap(0, None, "forged-id"));
        }
        // An id that leads nowhere gets what none gets, unless all that is kept was promised; and
        // where ids are signed, that is for those who can have got one.
        let is_nonsense = place == PlaceOf::Unknown && self.keys.is_some();
        let starts_anew = position.is_none()
            && (is_nonsense || self.config.session.on_unknown_id == OnUnknownId::StartAnew);
        let is_gap = position.is_none_or(|position| self.is_gap_after(logs, position));
        let mut pending: Vec<Pending> = kept()
            .filter(|(_, k)| k.position > position.unwrap_or(0))
            .map(|(name, k)| Pending {
                position: k.position,
                log: name.clone(),
                by: waiting(logs.iter().filter(|log| log.covers(name))),
                payload: k.payload.clone(),
            })
            .collect();
        let found = pending.len() as u64;
        let starts_now = position.is_some() && self.config.session.on_gap == OnGap::StartNow;
        if (is_gap && starts_now) || (starts_anew && newest.is_none()) {
            pending.clear();
        }
        pending.sort_by_key(|pending| pending.position);
        if let (true, Some(newest)) = (starts_anew || is_absent, newest) {
            let before = pending.len().saturating_sub(newest.try_into().unwrap_or(usize::MAX));
            pending.drain(..before);
        }
        let replayed = pending.len() as u64;
        let before = pending.first().map(|first| first.position.saturating_sub(1));
        self.add_gone(logs, &mut pending);
        let gap = |reason| Words::gap(replayed, None, reason);
        let (resumption, said) = match (position, place) {
            _ if is_absent && newest == Some(u64::MAX) => {
                (Resumption::Oldest { replayed }, Words::new("kept", replayed))
            }
            _ if is_absent => (Resumption::Last { replayed }, Words::new("kept", replayed)),
            (Some(position), _) if is_gap => {
                let gone = self.gone_after(logs, position);
                let lost = gone.map(|gone| gone + found - replayed).filter(|lost| *lost > 0);
                (Resumption::Gap { replayed }, Words::gap(replayed, lost, "retention"))
            }
            (Some(_), _) => (Resumption::Complete { replayed }, Words::new("complete", replayed)),
            (None, PlaceOf::At(epoch, _)) if epoch != self.config.epoch.0 => {
                (Resumption::OtherEpoch { replayed }, gap("restart"))
            }
            (None, PlaceOf::At(..)) => (Resumption::Ahead { replayed }, gap("ahead")),
            (None, _) if id.is_none() => (Resumption::UnknownId { replayed }, gap("malformed-id")),
            (None, _) => (Resumption::UnknownId { replayed }, gap("unknown-id")),
        };
        let place = match (before, position) {
            (None, _) => Some(self.last),
            (Some(_), Some(position)) if !is_gap => Some(position),
            (Some(before), _) if is_absent && self.is_gap_after(logs, before) => None,
            (Some(before), _) => Some(before),
        };
        Beginning { resumption, pending, said, place }
    }

    fn now_as(&self, resumption: Resumption, said: Words) -> Beginning {
        Beginning { resumption, pending: Vec::new(), said, place: Some(self.last) }
    }

    fn is_gap_after(&self, logs: &[LogName], position: u64) -> bool {
        self.missing.iter().any(|one| *one > position)
            || logs.iter().any(|name| self.lost_through(name) > position)
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
}
