//! How a history's sessions are opened, and at which place.

use super::history::{From, Op};
use super::kit::*;
use super::model::{LogName, Wish};
use super::naming::{log_name, own_id_text, topic_name, topic_pattern};
use super::signed::signed;
use super::world::{World, same, start_at};
use sansse::broker::*;
use sansse::{EventType, LastEventId};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

impl World {
    pub(super) fn open(&mut self, now: Instant, op: &Op) -> Result<(), String> {
        let Op::Open {
            client,
            topics,
            patterns,
            permitted,
            topics_only,
            newest,
            from,
            heartbeat,
            stall_timeout,
            lag,
            notices,
            comment,
            metadata,
            address,
            lease,
        } = op
        else {
            unreachable!()
        };
        let last_event_id = self.last_event_id(from);
        let wish = Wish {
            client: client.map(|number| super::kit::client(&format!("client {number}"))),
            topics: topics.iter().map(|topic| topic_name(*topic)).collect(),
            patterns: patterns.iter().map(|pattern| topic_pattern(*pattern)).collect(),
            permitted: permitted
                .as_ref()
                .map(|filters| filters.iter().map(|filter| log_name(*filter)).collect()),
            topics_only: *topics_only,
            last_event_id,
            newest: *newest,
            heartbeat: match heartbeat {
                0 => Some(Some(Duration::ZERO)),
                1 => Some(None),
                2..6 => Some(Some(millis(800))),
                6 => Some(Some(Duration::MAX)),
                _ => None,
            },
            stall_timeout: match stall_timeout {
                0 => Some(Some(Duration::ZERO)),
                1 | 2 => Some(None),
                3..6 => Some(Some(millis(900))),
                6 => Some(Some(Duration::MAX)),
                _ => None,
            },
            lag: *lag,
            notices: notices.map(|notices| notices.map(str::to_owned)),
            comment: *comment,
            metadata: *metadata,
            address: *address,
            lease: lease.map(|lease| self.model.now + millis(lease)),
        };
        let request = self.request(&wish);
        match (self.broker.open(now, request), self.model.admit(&wish)) {
            (Ok(opened), Ok(())) => {
                if self.opened.contains(&opened.session) {
                    return Err(format!("{} was used before", opened.session));
                }
                self.opened.push(opened.session);
                let _ = writeln!(self.transcript, "{opened:?}");
                same(&opened.resumption, &self.model.open(&wish, opened.session, &self.broker))
            }
            (got, expected) => {
                if let Err(error) = expected {
                    self.model.tally.refused(error);
                }
                same(&self.note(got).map(|_| ()), &expected)
            }
        }
    }

    fn request(&self, wish: &Wish) -> SessionConfig {
        let mut request = SessionConfig::new();
        if let Some(client) = &wish.client {
            request = request.with_client(client.clone());
        }
        for topic in &wish.topics {
            request = request.with_topic(topic.clone());
        }
        if let Some(filters) = &wish.permitted {
            let filter = |log: &LogName| match log {
                LogName::Named(name) => name.clone().into(),
                LogName::Pattern(pattern) => pattern.clone().into(),
                _ => unreachable!(),
            };
            request = request.with_permitted(filters.iter().map(filter));
        }
        if wish.topics_only {
            request = request.topics_only();
        }
        request = request.with_start(start_at(wish.newest));
        for pattern in &wish.patterns {
            request = request.with_topic(pattern.clone());
        }
        request = match &wish.last_event_id {
            None => request,
            Some(Err(())) => request.with_last_event_id(LastEventId::Malformed),
            Some(Ok(text)) => request.with_last_event_id(LastEventId::Id(id(text))),
        };
        if let Some(heartbeat) = wish.heartbeat {
            request = request.with_heartbeat(heartbeat);
        }
        if let Some(timeout) = wish.stall_timeout {
            request = request.with_stall_timeout(timeout);
        }
        if let Some(lag) = wish.lag {
            request = request.with_lag(lag);
        }
        if let Some(notices) = &wish.notices {
            let notices = notices.clone().map(|notices| EventType::new(notices).unwrap());
            request = request.with_notices(notices);
        }
        if let Some(address) = wish.address {
            request = request.with_address(AddressKey::new(address.to_string()).unwrap());
        }
        if let Some(until) = wish.lease {
            request = request.with_lease(self.start + until);
        }
        if wish.comment {
            request = request.with_opening_comment("hello");
        }
        if let Some(metadata) = wish.metadata {
            request = request.with_metadata(metadata);
        }
        request
    }

    pub(super) fn last_event_id(&self, from: &From) -> Option<Result<String, ()>> {
        let epoch = self.config.epoch;
        let behind = |positions: &u64| self.model.last.saturating_sub(*positions);
        match from {
            From::Nothing => None,
            From::Malformed => Some(Err(())),
            From::Text(text) => Some(Ok((*text).to_owned())),
            From::Own(number) => Some(Ok(own_id_text(*number))),
            From::Behind(positions) => Some(Ok(self.model.id_of(behind(positions)))),
            From::Ahead(ahead) => Some(Ok(self.model.id_of(self.model.last + ahead))),
            From::Signed { secret, behind: positions, spoilt, cut } => {
                let mut id = signed(*secret, epoch.0, behind(positions));
                id.truncate(id.len().saturating_sub(*cut));
                if let Some(at) = spoilt.filter(|at| *at < id.len()) {
                    let other = if &id[at..=at] == "x" { "y" } else { "x" };
                    id.replace_range(at..=at, other);
                }
                Some(Ok(id))
            }
        }
    }
}
