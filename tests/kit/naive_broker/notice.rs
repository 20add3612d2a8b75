//! What the model says to a session that is no event: the opening, places, gaps, last words.

use super::model::{Log, LogName, Member, Model, Wish};
use sansse::broker::*;
use std::fmt::Write as _;
use std::time::Duration;

/// How many stretches of lost events whose positions follow each other a log knows.
const STRETCHES: usize = 32;

/// How a stream goes on: `stream`, `replayed`, `lost` and `reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) stream: &'static str,
    pub(super) replayed: u64,
    pub(super) lost: Option<u64>,
    pub(super) reason: Option<&'static str>,
}

impl Words {
    pub(super) const fn new(stream: &'static str, replayed: u64) -> Self {
        Self { stream, replayed, lost: Some(0), reason: None }
    }

    pub(super) const fn gap(replayed: u64, lost: Option<u64>, reason: &'static str) -> Self {
        Self { stream: "gap", replayed, lost, reason: Some(reason) }
    }

    /// The two are told as one.
    pub(super) fn and(self, other: &Self) -> Self {
        let lost = self.lost.zip(other.lost).map(|(one, other)| one + other);
        Self { replayed: self.replayed + other.replayed, lost, ..self }
    }
}

impl Model {
    /// The type of the notices for such a session, if it gets any.
    pub(super) fn notices(&self, wish: &Wish) -> Option<String> {
        let usual = self.config.session.notices.as_ref();
        match &wish.notices {
            Some(own) => own.clone(),
            None => usual.map(|event_type| event_type.as_str().to_owned()),
        }
    }

    pub(super) fn tells_places(&self, notices: Option<&String>) -> bool {
        notices.is_some() && self.config.event_ids == EventIds::Assigned
    }

    /// A block with `fields`, the id of this place, and the notice, if this session gets any.
    pub(super) fn notice(
        &self,
        notices: Option<&String>,
        fields: &str,
        place: Option<u64>,
        said: &Words,
    ) -> Option<String> {
        let mut text = fields.to_owned();
        if let Some(place) = place.filter(|_| self.tells_places(notices)) {
            let _ = writeln!(text, "id: {}", self.id_of(place));
        }
        let lost = said.lost.map_or("null".to_owned(), |lost| lost.to_string());
        let reason = said.reason.map_or("null".to_owned(), |reason| format!("{reason:?}"));
        let _ = write!(
            text,
            "event: {}\ndata: {{\"stream\":\"{}\",\"replayed\":{},\"lost\":{lost},\"reason\":{reason}}}\n\n",
            notices?, said.stream, said.replayed,
        );
        Some(text)
    }

    pub(super) fn opening(
        &self,
        wish: &Wish,
        retry: Option<Duration>,
        said: &Words,
        place: Option<u64>,
    ) -> Option<String> {
        let mut fields = String::new();
        if wish.comment {
            fields += ": hello\n";
        }
        if let Some(retry) = retry {
            let _ = writeln!(fields, "retry: {}", retry.as_millis());
        }
        let notice = self.notice(self.notices(wish).as_ref(), &fields, place, said);
        notice.or_else(|| {
            (!fields.is_empty()).then(|| fields + if retry.is_some() { "\n" } else { "" })
        })
    }

    pub(super) fn loss_payload(&self, member: &Member, before: u64, lost: Option<u64>) -> String {
        let said = Words::gap(0, lost, "lag");
        self.notice(member.notices.as_ref(), "", Some(before), &said).unwrap()
    }

    pub(super) fn cut_payload(&self, member: &Member, through: u64) -> String {
        let said = Words::gap(0, None, "log");
        self.notice(member.notices.as_ref(), "", Some(through), &said).unwrap()
    }

    /// What a session gets last that is to come back, where the newest position is this.
    pub(super) fn last_words(
        &self,
        member: &Member,
        farewell: bool,
        retry: Option<u128>,
    ) -> Option<String> {
        let retry = retry.map_or(String::new(), |retry| format!("retry: {retry}\n"));
        let farewell = if farewell { "data: bye\n" } else { "" };
        let said = Words::new("ending", 0);
        let place = member.waits_for().unwrap_or(self.last);
        let Some(ending) = self.notice(member.notices.as_ref(), &retry, Some(place), &said) else {
            let fields = retry + farewell;
            return (!fields.is_empty()).then(|| fields + "\n");
        };
        Some(if farewell.is_empty() { ending } else { format!("{farewell}\n{ending}") })
    }

    /// How many events that these logs had after a position are gone; `None` if that cannot be
    /// known.
    pub(super) fn gone_after(&self, logs: &[LogName], position: u64) -> Option<u64> {
        if self.missing.iter().any(|one| *one > position) {
            return None;
        }
        let gone = logs.iter().map(|name| match self.logs.get(name) {
            Some(log) => log.lost_after(position),
            None => (position >= self.lost_through(name)).then_some(0),
        });
        gone.sum()
    }
}

impl Log {
    fn lost_after(&self, position: u64) -> Option<u64> {
        let mut begins: Vec<usize> = (0..self.lost.len())
            .filter(|index| *index == 0 || self.lost[index - 1] + 1 != self.lost[*index])
            .collect();
        let forgotten = begins.len().saturating_sub(STRETCHES);
        let known = begins.split_off(forgotten);
        let since = match known.first() {
            Some(first) if *first > 0 => self.lost[first - 1],
            _ => self.since,
        };
        let after = self.lost.iter().filter(|lost| **lost > position).count() as u64;
        (position >= since).then_some(after)
    }
}
