//! What may be said to publishers and to readers, and what has to be.

use crate::engine::Given;
use crate::scenario::CLIENTS;
use sansse::broker::{Audience, ClientId, LogStep, PublishError};
use sansse::{LossReason, Notice};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};
use std::time::Duration;

/// What publishers were told, and what nodes did.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// What was acknowledged, and where.
    acknowledged: BTreeMap<u64, String>,
    /// What was refused: it may never be anywhere.
    refused: BTreeSet<String>,
    /// What some node applied, by its position.
    applied: BTreeMap<u64, String>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

/// What a reader was told about some positions: that it has everything there.
#[derive(Clone, Debug)]
struct Claim {
    after: u64,
    through: u64,
    session: u64,
}

/// What one session may get.
#[derive(Clone, Debug)]
pub(crate) struct Rights {
    pub(crate) session: u64,
    /// What its node had applied when it opened.
    pub(crate) opened_at: u64,
    pub(crate) has_topic: bool,
}

/// What one reader was told.
#[derive(Debug)]
pub(crate) struct Memory {
    client: ClientId,
    /// The place of its last event id.
    pub(crate) place: Option<u64>,
    pub(crate) got: BTreeMap<u64, String>,
    /// Each text that it got, and how many gaps it had been told of by then.
    texts: BTreeMap<String, u64>,
    gaps: u64,
    claims: Vec<Claim>,
    sessions: BTreeMap<u64, Rights>,
    /// Up to here something may be missing, as its newest session was told when it began.
    may_miss_through: u64,
    /// The cuts of which it was told so.
    cuts: BTreeSet<u64>,
}

/// What is known of the simulation by which a gap may be told.
pub(crate) struct Circumstances<'a> {
    pub(crate) given: &'a BTreeMap<u64, Given>,
    /// How far the reader's node is, and up to where something was lost for it, or may be, each time.
    pub(crate) applied: u64,
    pub(crate) cuts: &'a BTreeSet<u64>,
    /// Where the reader's node has applied revocations.
    pub(crate) revocations: &'a BTreeSet<u64>,
    pub(crate) is_calm: bool,
    /// Whether nodes may have been behind for longer than anybody waits for them.
    pub(crate) may_be_behind: bool,
    /// Whether entries of the log were trimmed, or their answers spoilt.
    pub(crate) may_miss_given: bool,
    /// How long ago its session began.
    pub(crate) waited: Duration,
}

impl Judge {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(crate) fn settled(&mut self, text: &str, result: Result<u64, PublishError>) {
        match result {
            Ok(position) => {
                self.count("acknowledged");
                self.acknowledged.insert(position, text.to_owned());
            }
            Err(PublishError::EngineDown) => self.refuse(text, "refused later"),
            Err(PublishError::Unconfirmed) => self.count("unconfirmed"),
            Err(error) => panic!("{error:?}"),
        }
    }

    pub(crate) fn refuse(&mut self, text: &str, how: &'static str) {
        self.count(how);
        if text.starts_with("revoke ") {
            return;
        }
        self.refused.insert(text.to_owned());
    }

    pub(crate) fn applies(&mut self, step: &LogStep) {
        let (position, what) = match step {
            LogStep::Publish { published, .. } => {
                let is_private = matches!(published.audience(), Audience::Client(_));
                self.count(if is_private { "applied for a client" } else { "applied" });
                let payload = String::from_utf8(published.frame().payload().to_vec()).unwrap();
                (published.position(), data_of(&payload).to_owned())
            }
            LogStep::Revoke { position, client } => (*position, format!("revoke {client}")),
            LogStep::RevokeTopic { position, client, topic } => {
                (*position, format!("revoke {client} {topic}"))
            }
            LogStep::Cut { .. } => return self.count("cut applied"),
            LogStep::Skip { .. } => return,
            other => panic!("{other:?}"),
        };
        if let Some(other) = self.applied.insert(position, what.clone()) {
            assert_eq!(other, what, "two nodes applied two things at {position}");
        }
    }

    /// Whether what publishers were told is true.
    pub(crate) fn check_publishers(&self, given: &BTreeMap<u64, Given>) {
        for (position, text) in &self.acknowledged {
            let at = given.get(position);
            let is_there = at.is_some_and(|given| text_of(given) == *text);
            assert!(is_there, "{text} was acknowledged at {position}, where {at:?} is");
        }
        for (position, given) in given {
            let text = text_of(given);
            assert!(!self.refused.contains(&text), "{text} was refused, and is at {position}");
        }
    }

    /// Whether a reader had everything where it was told so.
    pub(crate) fn check_reader(&self, memory: &Memory, given: &BTreeMap<u64, Given>) {
        for claim in &memory.claims {
            for (position, what) in given.range(claim.after + 1..=claim.through) {
                let Given::Event { text, topic, client } = what else { continue };
                let matters =
                    self.acknowledged.contains_key(position) || self.applied.contains_key(position);
                let rights = &memory.sessions[&claim.session];
                let loses_topic = |what: &Given| matches!(what, Given::RevokeTopic(one, _) if *one == memory.client);
                let has_lost_topic = topic.is_some()
                    && given.range(rights.opened_at + 1..).any(|(_, what)| loses_topic(what));
                let is_for_it = (topic.is_none() || rights.has_topic && !has_lost_topic)
                    && client.as_ref().is_none_or(|client| *client == memory.client);
                assert!(
                    !matters || !is_for_it || memory.got.get(position) == Some(text),
                    "a reader has not got {text} at {position}, and was told that it has all \
                     between {} and {}",
                    claim.after,
                    claim.through,
                );
            }
        }
    }
}

impl Memory {
    pub(crate) fn new(client: &str) -> Self {
        assert!(CLIENTS.contains(&client));
        Self {
            client: ClientId::new(client).unwrap(),
            place: None,
            got: BTreeMap::new(),
            texts: BTreeMap::new(),
            gaps: 0,
            claims: Vec::new(),
            sessions: BTreeMap::new(),
            may_miss_through: 0,
            cuts: BTreeSet::new(),
        }
    }

    pub(crate) fn client(&self) -> &ClientId {
        &self.client
    }

    pub(crate) fn opens(&mut self, rights: Rights) {
        self.sessions.insert(rights.session, rights);
    }

    /// Takes one block of a stream.
    pub(crate) fn take(
        &mut self,
        block: &str,
        session: u64,
        about: &Circumstances,
        judge: &mut Judge,
    ) {
        let Some(id) = block.lines().find_map(|line| line.strip_prefix("id: ")) else {
            assert!(block.lines().all(|line| line.is_empty() || line.starts_with(':')), "{block}");
            return;
        };
        let place = id.strip_prefix("e-").and_then(|place| place.parse().ok()).expect(id);
        let data = data_of(block);
        if block.lines().any(|line| line == "event: sansse-notice") {
            let notice = Notice::parse(data).expect(data);
            self.notice(notice, place, session, about, judge);
        } else {
            self.event(data, place, session, about, judge);
        }
    }

    fn event(
        &mut self,
        text: &str,
        position: u64,
        session: u64,
        about: &Circumstances,
        judge: &mut Judge,
    ) {
        judge.count("delivered");
        assert!(
            self.place.is_none_or(|place| position > place),
            "{position} after {:?}",
            self.place
        );
        let what = about.given.get(&position);
        let Some(Given::Event { text: given, topic, client }) = what else {
            panic!("{text} at {position}, where {what:?} is");
        };
        assert_eq!(given, text, "at {position}");
        let rights = &self.sessions[&session];
        assert!(topic.is_none() || rights.has_topic);
        assert!(client.as_ref().is_none_or(|client| *client == self.client));
        let since = rights.opened_at.min(position) + 1;
        for (at, what) in about.given.range(since..position.max(since)) {
            let is_revoked = match what {
                Given::Revoke(client) => *client == self.client,
                Given::RevokeTopic(client, _) => *client == self.client && topic.is_some(),
                _ => false,
            };
            // A revocation that the engine lost before this node read it cannot be obeyed here.
            let happened = about.revocations.contains(at);
            assert!(!(is_revoked && happened), "{text} at {position}, after {what:?} at {at}");
        }
        self.claim(position, session);
        if let Some(gaps) = self.texts.insert(text.to_owned(), self.gaps) {
            assert!(gaps < self.gaps, "{text} came twice, and no gap was told between");
        }
        self.got.insert(position, text.to_owned());
    }

    fn notice(
        &mut self,
        notice: Notice,
        position: u64,
        session: u64,
        about: &Circumstances,
        judge: &mut Judge,
    ) {
        match notice {
            Notice::Gap { reason, .. } => {
                self.gaps += 1;
                judge.count(match reason {
                    LossReason::Log => "told: log",
                    LossReason::Retention => "told: retention",
                    LossReason::Lag => "told: lag",
                    LossReason::Ahead => "told: ahead",
                    _ => "told: something else",
                });
                if reason != LossReason::Log {
                    self.cuts.clone_from(about.cuts);
                }
                self.may_miss_through = match reason {
                    LossReason::Log => self.may_miss_through,
                    _ if about.may_miss_given => about.applied,
                    _ => about.cuts.last().copied().unwrap_or(0),
                };
                self.justify(reason, position, about);
                self.place = Some(position);
            }
            Notice::Live => {
                assert_eq!(self.place, None, "it has been here before");
                self.place = Some(position);
            }
            Notice::Complete { replayed } => {
                let is_empty = replayed == 0;
                judge.count(if is_empty {
                    "told: complete"
                } else {
                    "told: complete, and a replay"
                });
                assert!(self.place.is_some_and(|place| position >= place));
                self.claim(position, session);
            }
            Notice::Place | Notice::Ending => self.claim(position, session),
            other => panic!("{other:?}"),
        }
    }

    /// Whether something was lost where a gap is told.
    fn justify(&self, reason: LossReason, position: u64, about: &Circumstances) {
        let place = self.place.expect("only one who was here can miss something");
        let is_behind = about.may_be_behind && reason == LossReason::Ahead;
        assert!(
            !about.is_calm || is_behind,
            "a gap of {reason:?} from {place} to {position} where nothing is lost"
        );
        if reason == LossReason::Ahead {
            assert!(about.waited >= Duration::from_secs(2), "it did not wait");
            return;
        }
        let reasons = [LossReason::Log, LossReason::Retention, LossReason::Lag];
        assert!(reasons.contains(&reason), "{reason:?}");
        assert!(position >= place);
        // One that resumes is told of all that is missing at once, before the replay.
        let cut = if reason == LossReason::Retention { self.may_miss_through } else { 0 };
        let through = position.max(cut).max(place);
        let given = about.given.range((Excluded(place), Included(through)));
        let events = given.filter(|(_, what)| !matches!(what, Given::Cut { .. })).count();
        let is_whole = events as u64 == through - place;
        assert!(
            !is_whole || about.may_miss_given,
            "nothing is lost from {place} to {position}, and a gap of {reason:?} is told"
        );
    }

    fn claim(&mut self, through: u64, session: u64) {
        let before = self.cuts.len();
        self.cuts.retain(|cut| *cut >= through);
        self.gaps += u64::from(self.cuts.len() < before);
        if let Some(place) = self.place
            && through > place.max(self.may_miss_through)
        {
            self.claims.push(Claim { after: place.max(self.may_miss_through), through, session });
        }
        self.place = Some(self.place.map_or(through, |place| place.max(through)));
    }
}

pub(crate) fn text_of(given: &Given) -> String {
    match given {
        Given::Event { text, .. } => text.clone(),
        Given::Revoke(client) => format!("revoke {client}"),
        Given::RevokeTopic(client, topic) => format!("revoke {client} {topic}"),
        Given::Cut { .. } => String::new(),
    }
}

fn data_of(block: &str) -> &str {
    block.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default()
}
