//! Sessions that are older than memory, for which the rest is read from a log outside.

use crate::kit::broker::*;
use sansse::broker::*;
use sansse::{Event, LossReason, Notice};
use std::num::{NonZeroU32, NonZeroUsize};

/// A node with a log outside, of which it has the newest two events of each channel in memory.
struct Node {
    shard: Shard,
    log: Vec<Published>,
    sequencer: Sequencer,
}

const GAP: LossReason = LossReason::Retention;

impl Node {
    fn with(mut config: BrokerConfig) -> Self {
        config.retention.events = NonZeroUsize::new(2).unwrap();
        let mut shard = Shard::new(config);
        shard.broker.shard_mut().set_backfill(shard.now, Some(Backfill::DEFAULT));
        let sequencer = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
        Self { shard, log: Vec::new(), sequencer }
    }

    /// A node that has all in memory that comes after its beginning.
    fn with_all(config: BrokerConfig) -> Self {
        let mut node = Self::new();
        node.shard = Shard::new(config);
        node.shard.broker.shard_mut().set_backfill(node.shard.now, Some(Backfill::DEFAULT));
        node
    }

    fn new() -> Self {
        Self::with(config())
    }

    /// A node that has applied so many events for all.
    fn at(last: u64) -> Self {
        let mut node = Self::new();
        for position in 1..=last {
            node.apply(Audience::Everyone, &position.to_string());
        }
        node.shard.events();
        node
    }

    /// A node that joined when there were four, and has applied two since. It keeps all it has.
    fn joined() -> Self {
        let mut node = Self::with_all(config());
        for position in 1..=4 {
            node.append(Audience::Everyone, &position.to_string());
        }
        node.shard.broker.shard_mut().cut(node.shard.now, 4).unwrap();
        for position in 5..=6 {
            node.apply(Audience::Everyone, &position.to_string());
        }
        node.shard.events();
        node
    }

    fn append(&mut self, to: impl Into<Audience>, data: &str) -> Published {
        let published = self.sequencer.publish(to.into(), &Event::new(data.to_owned()));
        self.log.push(published.clone());
        published
    }

    fn apply(&mut self, to: impl Into<Audience>, data: &str) {
        let published = self.append(to, data);
        self.shard.broker.shard_mut().apply(self.shard.now, &published).unwrap();
    }

    fn end(&mut self, name: &str) {
        let published = self.sequencer.end_topic(topic(name));
        self.log.push(published.clone());
        self.shard.broker.shard_mut().apply(self.shard.now, &published).unwrap();
    }

    /// All that the log has, in pieces.
    fn read_in_parts(&self, rng: &mut Rng) -> Vec<Backfilled> {
        let last = self.sequencer.last();
        let (mut parts, mut at) = (Vec::new(), 0);
        while at < last {
            let next = (at + 1 + rng.below(20)).min(last);
            parts.push(self.read(at, next));
            at = next;
        }
        parts
    }

    /// What the log has between these positions.
    fn read(&self, start: u64, through: u64) -> Backfilled {
        let is_within = |one: &&Published| (start + 1..=through).contains(&one.position());
        let published = self.log.iter().filter(is_within).cloned().collect();
        Backfilled::new(start, start, through, published)
    }

    fn open(&mut self, request: SessionConfig) -> SessionId {
        let opened = self.shard.broker.open(self.shard.now, request).unwrap();
        assert_eq!(opened.resumption, Resumption::Waiting);
        assert_eq!(self.shard.take(opened.session), [""; 0]);
        opened.session
    }

    fn asked(&mut self) -> Option<BackfillRequest> {
        self.shard.broker.shard_mut().poll_backfill()
    }

    fn give(&mut self, session: SessionId, read: &Backfilled) -> Option<u64> {
        self.shard.broker.shard_mut().backfill(self.shard.now, session, read)
    }

    /// Gives a session all that the log has.
    fn give_all(&mut self, session: SessionId) {
        let all = self.read(0, self.sequencer.last());
        assert_eq!(self.give(session, &all), None);
    }

    fn resumed(&mut self) -> Vec<(SessionId, Resumption)> {
        let resumed = self.shard.events().into_iter().filter_map(|event| match event {
            BrokerEvent::SessionResumed { session, resumption, .. } => Some((session, resumption)),
            _ => None,
        });
        resumed.collect()
    }
}

fn complete(replayed: u64) -> Resumption {
    Resumption::Complete { replayed }
}

#[test]
fn it_begins_as_if_all_had_been_in_memory() {
    let mut node = Node::joined();
    let session = node.open(after("e-2"));
    let request = BackfillRequest { session, after: 2 };
    assert_eq!((node.asked(), node.asked()), (Some(request), None));
    assert_eq!(node.shard.broker.counters().waiting, 1);
    // Events 5 and 6 are in memory.
    let first = node.read(1, 3);
    assert_eq!(node.give(session, &first), Some(3));
    assert_eq!((node.shard.ready(), node.shard.take(session)), (vec![], vec![]));
    let next = node.read(3, 4);
    assert_eq!(node.give(session, &next), None);
    assert_eq!(node.resumed(), [(session, complete(4))]);
    assert_eq!(node.shard.ready(), [session]);
    // What is published before it was delivered comes after it.
    node.apply(Audience::Everyone, "7");
    let notice = told_at(2, Notice::Complete { replayed: 4 });
    let events = (3..=7).map(|position| event_at(position, &position.to_string()));
    let all: Vec<String> = std::iter::once(notice).chain(events).collect();
    assert_eq!(node.shard.take(session), all);
    let counters = node.shard.broker.counters();
    assert_eq!((counters.waiting, counters.replayed, counters.delivered), (0, 4, 5));
    assert_eq!((counters.resumed.complete, counters.resumed.total()), (1, 1));
    node.apply(Audience::Everyone, "8");
    assert_eq!(node.shard.ready(), [session]);
    assert_eq!(node.shard.take(session), [event_at(8, "8")]);
}

#[test]
fn without_the_setting_and_without_a_gap_nothing_waits() {
    let mut node = Node::at(6);
    let opened = node.shard.broker.open(node.shard.now, after("e-4")).unwrap();
    assert_eq!(opened.resumption, complete(2));
    let opened = node.shard.broker.open(node.shard.now, anyone()).unwrap();
    assert_eq!((opened.resumption, node.asked()), (Resumption::Live, None));
    // Those that wait resume from memory when nothing is read any more.
    let session = node.open(anyone().with_start(StartAt::After(id("e-1"))));
    node.shard.broker.shard_mut().set_backfill(node.shard.now, None);
    let gap = Resumption::Gap { replayed: 2 };
    assert_eq!((node.resumed(), node.asked()), (vec![(session, gap)], None));
    assert_eq!(node.shard.broker.open(node.shard.now, after("e-1")).unwrap().resumption, gap);
    assert_eq!(
        node.shard.take(session),
        [gap_at(4, 2, 3, GAP), event_at(5, "5"), event_at(6, "6")]
    );
}

#[test]
fn what_cannot_be_read_is_a_gap_and_so_is_what_takes_too_long() {
    let mut node = Node::at(6);
    let gap = Resumption::Gap { replayed: 2 };
    let failed = node.open(after("e-1"));
    let read = node.read(1, 2);
    assert_eq!(node.give(failed, &read), Some(2));
    assert!(node.shard.broker.shard_mut().end_backfill(node.shard.now, failed));
    assert!(!node.shard.broker.shard_mut().end_backfill(node.shard.now, failed));
    assert_eq!(node.resumed(), [(failed, gap)]);
    let late = node.open(after("e-1"));
    node.shard.sleep(just_before(secs(10)));
    assert_eq!(node.resumed(), []);
    node.shard.sleep(TICK);
    assert_eq!(node.resumed(), [(late, gap)]);
    let stuck = node.open(after("e-1"));
    let nothing = node.read(1, 1);
    assert_eq!(node.give(stuck, &nothing), None, "it leads no further");
    assert_eq!(node.resumed(), [(stuck, gap)]);
    for session in [failed, late, stuck] {
        let told = [gap_at(4, 2, 3, GAP), event_at(5, "5"), event_at(6, "6")];
        assert_eq!(
            node.shard.take(session).into_iter().filter(|one| one != HEARTBEAT).collect::<Vec<_>>(),
            told
        );
    }
    // It comes too late.
    assert_eq!(node.give(late, &read), None);
}

#[test]
fn what_the_log_lost_is_a_gap_before_what_it_has() {
    let mut node = Node::at(6);
    let session = node.open(after("e-1"));
    let kept = node.read(2, 4).published().to_vec();
    assert_eq!(node.give(session, &Backfilled::new(1, 2, 4, kept)), None);
    assert_eq!(node.resumed(), [(session, Resumption::Gap { replayed: 4 })]);
    let told = node.shard.take(session);
    assert_eq!(told[..2], [gap_at(2, 4, None, GAP), event_at(3, "3")]);
    assert_eq!(told.len(), 5);
    // To one that has more it is none.
    let session = node.open(after("e-3"));
    let kept = node.read(2, 4).published().to_vec();
    node.give(session, &Backfilled::new(1, 2, 4, kept));
    assert_eq!(node.resumed(), [(session, complete(3))]);
    // Something that begins too late.
    let session = node.open(after("e-2"));
    let late = node.read(3, 4);
    node.give(session, &late);
    assert_eq!(node.resumed(), [(session, Resumption::Gap { replayed: 3 })]);
}

#[test]
fn a_session_that_wants_nothing_beside_a_gap_gets_nothing_beside_it() {
    let mut config = config();
    config.session.on_gap = OnGap::StartNow;
    let mut node = Node::with(config);
    for data in ["1", "2", "3", "4"] {
        node.apply(Audience::Everyone, data);
    }
    node.shard.events();
    let whole = node.open(after("e-1"));
    node.give_all(whole);
    assert_eq!(node.resumed(), [(whole, complete(3))]);
    let holed = node.open(after("e-0"));
    let kept = node.read(1, 2).published().to_vec();
    node.give(holed, &Backfilled::new(0, 1, 2, kept));
    assert_eq!(node.resumed(), [(holed, Resumption::Gap { replayed: 0 })]);
    assert_eq!(node.shard.take(holed), [gap_at(4, 0, None, GAP)]);
}

#[test]
fn the_newest_are_given_of_more_than_one_session_may_have() {
    let mut node = Node::at(8);
    let mut few = Backfill::DEFAULT;
    few.events = NonZeroU32::new(2).unwrap();
    node.shard.broker.shard_mut().set_backfill(node.shard.now, Some(few));
    let session = node.open(after("e-1"));
    node.give_all(session);
    // 2 to 6 were read so far that memory goes on, and 7 and 8 with them.
    let told = node.shard.take(session);
    assert_eq!(told, [gap_at(6, 2, 5, GAP), event_at(7, "7"), event_at(8, "8")]);
    let mut small = Backfill::DEFAULT;
    small.bytes = NonZeroUsize::new(3 * event_at(1, "1").len()).unwrap();
    node.shard.broker.shard_mut().set_backfill(node.shard.now, Some(small));
    let session = node.open(after("e-1"));
    let read = node.read(0, 6);
    node.give(session, &read);
    assert_eq!(node.shard.take(session)[..2], [gap_at(3, 5, 2, GAP), event_at(4, "4")]);
}

#[test]
fn beyond_the_bound_sessions_resume_from_memory_at_once() {
    let mut node = Node::at(6);
    let mut few = Backfill::DEFAULT;
    few.sessions = NonZeroU32::new(2).unwrap();
    node.shard.broker.shard_mut().set_backfill(node.shard.now, Some(few));
    let (first, second) = (node.open(after("e-1")), node.open(after("e-1")));
    let opened = node.shard.broker.open(node.shard.now, after("e-1")).unwrap();
    assert_eq!(opened.resumption, Resumption::Gap { replayed: 2 });
    // One that is gone is not asked for.
    node.shard.broker.handle_disconnect(node.shard.now, first);
    assert_eq!(node.asked().map(|request| request.session), Some(second));
    assert_eq!(node.asked(), None);
    assert_eq!(node.shard.broker.counters().resumed.waiting, 1);
    node.open(after("e-1"));
}

#[test]
fn it_gets_what_it_subscribed_to_and_nothing_else() {
    let mut node = Node::new();
    let (alice, bob) = (client("alice"), client("bob"));
    let everything = |node: &mut Node, round: u64| {
        node.apply(Audience::Everyone, &format!("all {round}"));
        node.apply(topic("news"), &format!("news {round}"));
        node.apply(topic("room/1"), &format!("room/1 {round}"));
        node.apply(topic("other"), &format!("other {round}"));
        for one in [&alice, &bob] {
            let published = node.append(one.clone(), &format!("{} {round}", one.as_str()));
            let _ = node.shard.broker.shard_mut().apply(node.shard.now, &published);
        }
    };
    for round in 0..4 {
        everything(&mut node, round);
    }
    let request = after("e-1")
        .with_client(alice.clone())
        .with_topic(topic("news"))
        .with_topic(TopicPattern::new("room/*").unwrap());
    let all = node.open(request.clone());
    let alone = node.open(after("e-1").topics_only().with_topic(topic("other")));
    let gone = node.open(request);
    assert!(node.shard.broker.session_mut(gone).unsubscribe(node.shard.now, &topic("news").into()));
    for session in [all, alone, gone] {
        node.give_all(session);
    }
    let heard = |names: &[&str], from_second: bool| -> Vec<String> {
        let each = |round: u64| {
            let names =
                names.iter().filter(move |name| round > 0 || **name != "all" || from_second);
            names.map(move |name| format!("{name} {round}"))
        };
        (0..4).flat_map(each).collect()
    };
    assert_eq!(node.shard.data(all), heard(&["all", "news", "room/1", "alice"], false));
    assert_eq!(node.shard.data(alone), heard(&["other"], false));
    assert_eq!(node.shard.data(gone), heard(&["all", "room/1", "alice"], false));
}

#[test]
fn what_it_loses_the_right_to_goes_also_where_it_was_read_already() {
    let mut node = Node::new();
    let alice = client("alice");
    for round in 0..4 {
        node.apply(topic("news"), &format!("news {round}"));
        node.apply(Audience::Everyone, &format!("all {round}"));
    }
    let request = after("e-0").with_client(alice.clone()).with_topic(topic("news"));
    let session = node.open(request.clone());
    node.give_all(session);
    assert_eq!(node.shard.next(session), Some(told_at(0, Notice::Complete { replayed: 8 })));
    assert_eq!(node.shard.next(session), Some(event_at(1, "news 0")));
    let revoked = node.shard.broker.client_mut(&alice).revoke_topic(node.shard.now, &topic("news"));
    assert_eq!(revoked, Ok(1));
    assert_eq!(node.shard.data(session), ["all 0", "all 1", "all 2", "all 3"]);
    // And all of them at once.
    let waits = node.open(request.clone());
    let reads = node.open(request);
    node.give_all(reads);
    node.shard.broker.client_mut(&alice).revoke(node.shard.now).unwrap();
    assert_eq!(
        (node.shard.take(waits), node.shard.take(reads)),
        (vec![END.into()], vec![END.into()])
    );
    let all = node.read(0, 8);
    assert_eq!(node.give(waits, &all), None);
}

#[test]
fn nothing_is_told_of_what_came_to_a_topic_after_its_end() {
    let mut node = Node::new();
    for data in ["1", "2"] {
        node.apply(topic("news"), data);
    }
    node.end("news");
    // Another node did not know of the end yet.
    let late = node.append(topic("news"), "late");
    assert_eq!(
        node.shard.broker.shard_mut().apply(node.shard.now, &late),
        Err(PublishError::TopicEnded)
    );
    node.shard.broker.shard_mut().skip(node.shard.now, 4).unwrap();
    for data in ["5", "6", "7"] {
        node.apply(Audience::Everyone, data);
    }
    let request = after("e-0").with_topic(TopicPattern::new("**").unwrap());
    let session = node.open(request);
    node.give_all(session);
    assert_eq!(node.shard.data(session), ["1", "2", "5", "6", "7"]);
}

#[test]
fn one_whose_topics_have_ended_gets_the_rest_and_its_end() {
    let mut node = Node::new();
    for data in ["1", "2", "3", "4"] {
        node.apply(topic("llm"), data);
    }
    node.end("llm");
    let request = after("e-1").topics_only().with_topic(topic("llm"));
    let session = node.open(request);
    node.give_all(session);
    let told = node.shard.take(session);
    let notice = told_at(1, Notice::Complete { replayed: 3 });
    let rest = [event_at(2, "2"), event_at(3, "3"), event_at(4, "4"), END.to_owned()];
    assert_eq!((&told[0], &told[1..]), (&notice, &rest[..]));
}

#[test]
fn what_a_write_did_not_take_comes_again_and_once() {
    let mut node = Node::at(9);
    let mut rng = Rng::new(7);
    for round in 0..50 {
        let session = node.open(after("e-1"));
        node.give_all(session);
        let mut wire = Vec::new();
        for _ in 0..1_000 {
            let limit = usize::try_from(1 + rng.below(120)).unwrap();
            let (batch, filled) = node.shard.batch(session, limit, Framing::Plain);
            let written = usize::try_from(rng.below(batch.len() as u64 + 1)).unwrap();
            wire.extend_from_slice(&batch.as_slice()[..written]);
            let now = node.shard.now;
            let rest = node.shard.broker.handle_partial_write(now, session, &batch, written);
            wire.extend_from_slice(&rest);
            if filled == Filled::All && written == batch.len() {
                break;
            }
        }
        let mut all = told_at(1, Notice::Complete { replayed: 8 });
        (2..=9).for_each(|position| all += &event_at(position, &position.to_string()));
        assert_eq!(text(&wire), all, "round {round}");
        node.shard.broker.handle_disconnect(node.shard.now, session);
    }
    let counters = node.shard.broker.counters();
    assert_eq!(counters.delivered, 50 * 8);
    assert!(counters.returned > 0);
}

#[test]
fn a_session_that_ends_while_it_waits_resumes_elsewhere_from_where_it_was() {
    let mut node = Node::at(6);
    let session = node.open(after("e-2"));
    node.shard.broker.drain(node.shard.now, Drain::new(secs(0))).unwrap();
    let told = node.shard.take(session);
    assert!(told[0].contains("id: e-2\n") && told[0].contains("ending"), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some(END));
    assert_eq!(node.asked(), None);
}

#[test]
fn one_that_reads_while_it_ends_gets_all_before_its_end() {
    let mut node = Node::at(6);
    let session = node.open(after("e-2"));
    node.give_all(session);
    node.shard.broker.session_mut(session).close(node.shard.now);
    node.apply(Audience::Everyone, "7");
    assert_eq!(node.shard.data(session), ["3", "4", "5", "6", END]);
}

#[test]
fn while_it_waits_it_gets_heartbeats_and_late_subscriptions_begin_with_it() {
    let mut config = config();
    config.session.heartbeat = Some(secs(1));
    let mut node = Node::with(config);
    for data in ["1", "2", "3", "4"] {
        node.apply(Audience::Everyone, data);
        node.apply(topic("late"), &format!("late {data}"));
    }
    let session = node.open(after("e-1"));
    node.shard.sleep(secs(1));
    assert_eq!(node.shard.take(session), [HEARTBEAT]);
    let now = node.shard.now;
    let late =
        node.shard.broker.session_mut(session).subscribe(now, topic("late"), StartAt::Oldest);
    assert_eq!(late, Ok(Resumption::Waiting));
    node.apply(session, "for this one");
    node.apply(Audience::Everyone, "5");
    assert_eq!(node.shard.take(session), [""; 0]);
    node.give_all(session);
    let data = node.shard.data(session);
    let sorted = ["2", "3", "4", "5", "for this one", "late 3", "late 4"];
    let mut got = data.clone();
    got.sort();
    assert_eq!(got, sorted);
    assert_eq!(data[..2], ["2", "3"]);
}

#[test]
fn an_id_that_is_ahead_and_whose_past_went_by_waits_for_both() {
    let mut node = Node::at(1);
    node.shard.broker.shard_mut().set_ahead_wait(node.shard.now, Some(secs(2))).unwrap();
    let session = node.open(after("e-3"));
    assert_eq!(node.asked(), None);
    // This node begins to read at the head.
    for data in ["2", "3", "4", "5"] {
        node.append(Audience::Everyone, data);
    }
    node.shard.broker.shard_mut().cut(node.shard.now, 5).unwrap();
    assert_eq!(node.resumed(), []);
    assert_eq!(node.asked(), Some(BackfillRequest { session, after: 3 }));
    node.give_all(session);
    assert_eq!(node.resumed(), [(session, complete(2))]);
    assert_eq!(node.shard.data(session), ["4", "5"]);
    assert_eq!(node.shard.broker.counters().waiting, 0);
}

#[test]
fn a_cut_while_it_waits_is_a_gap_unless_more_is_read() {
    let mut node = Node::at(6);
    let session = node.open(after("e-1"));
    node.shard.broker.shard_mut().cut(node.shard.now, 9).unwrap();
    let all = node.read(0, 6);
    assert_eq!(node.give(session, &all), Some(6), "something may be missing since");
    assert_eq!(node.give(session, &Backfilled::new(6, 9, 9, Vec::new())), None);
    assert_eq!(node.resumed(), [(session, Resumption::Gap { replayed: 5 })]);
    let told = node.shard.take(session);
    assert_eq!(told[..2], [gap_at(1, 5, None, GAP), event_at(2, "2")]);
    assert_eq!(told.len(), 6, "it is told once");
}

#[test]
fn what_is_read_beyond_the_newest_position_here_comes_from_memory() {
    let mut node = Node::at(6);
    let session = node.open(after("e-1"));
    let seventh = node.append(Audience::Everyone, "7");
    node.give_all(session);
    assert_eq!(node.resumed(), [(session, complete(5))]);
    node.shard.broker.shard_mut().apply(node.shard.now, &seventh).unwrap();
    assert_eq!(node.shard.data(session), ["2", "3", "4", "5", "6", "7"]);
}

/// A node that joined late, and reads the log for those who are older, is no other to its peers than
/// one that has everything in memory: byte for byte, whatever happens to the sessions.
#[test]
fn it_is_as_if_all_had_been_in_memory_whatever_happens() {
    let first = crate::kit::seed(1);
    let audiences = |rng: &mut Rng| -> Audience {
        match rng.below(5) {
            0 | 1 => Audience::Everyone,
            2 => client(rng.pick(&["ann", "bob"])).into(),
            _ => topic(rng.pick(&["a", "b", "c/1", "c/2"])).into(),
        }
    };
    let (mut waited, mut returned) = (0, 0);
    for seed in first..first + 300 {
        let mut rng = Rng::new(seed);
        let mut config = config();
        config.keeps_for_absent = true;
        config.session.heartbeat = None;
        let (mut whole, mut late) = (Node::with_all(config.clone()), Node::with_all(config));
        let before = 1 + rng.below(30);
        for number in 0..before {
            let data = "x".repeat(usize::try_from(rng.below(30)).unwrap());
            let to = audiences(&mut rng);
            whole.apply(to.clone(), &format!("{number} {data}"));
            late.append(to, &format!("{number} {data}"));
        }
        late.shard.broker.shard_mut().cut(late.shard.now, before).unwrap();
        let mut sessions = Vec::new();
        for step in 0..60 {
            let context = format!("seed {seed}, step {step}");
            let now = whole.shard.now;
            let pick = sessions.get(usize::try_from(rng.below(8)).unwrap()).copied();
            match (rng.below(10), pick) {
                (0..=2, _) => {
                    let to = audiences(&mut rng);
                    whole.apply(to.clone(), &format!("live {step}"));
                    late.apply(to, &format!("live {step}"));
                }
                (3 | 4, _) => {
                    let mut request = after(&format!("e-{:x}", rng.below(whole.sequencer.last())));
                    if rng.chance(50) {
                        request = request.with_client(client(rng.pick(&["ann", "bob"])));
                    }
                    let filters = rng.below(3);
                    for _ in 0..filters {
                        let filter = rng.pick(&["a", "b", "c/1", "c/*", "**"]);
                        request = request.with_topic(TopicFilter::new(filter).unwrap());
                    }
                    if rng.chance(30) && filters > 0 {
                        request = request.topics_only();
                    }
                    let opened = whole.shard.broker.open(now, request.clone()).unwrap();
                    let other = late.shard.broker.open(now, request).unwrap();
                    assert_eq!(opened.session, other.session, "{context}");
                    if other.resumption == Resumption::Waiting {
                        waited += 1;
                        let mut needs = late.asked().map(|request| request.after);
                        for read in late.read_in_parts(&mut rng) {
                            if needs.is_some_and(|after| read.through() > after) {
                                needs = late.give(other.session, &read);
                            }
                        }
                        let resumed = late.resumed();
                        assert_eq!(resumed, [(opened.session, opened.resumption)], "{context}");
                    } else {
                        assert_eq!(opened.resumption, other.resumption, "{context}");
                    }
                    sessions.push(opened.session);
                }
                (5, Some(session)) => {
                    let filter = TopicFilter::new(rng.pick(&["a", "c/*"])).unwrap();
                    let gone = |node: &mut Node| {
                        node.shard.broker.session_mut(session).unsubscribe(now, &filter)
                    };
                    assert_eq!(gone(&mut whole), gone(&mut late), "{context}");
                }
                (6, Some(_)) => {
                    let (who, what) = (client("ann"), topic(rng.pick(&["a", "b"])));
                    let revoked = |node: &mut Node| {
                        node.shard.broker.client_mut(&who).revoke_topic(now, &what)
                    };
                    let count = |heard: Result<usize, RevokeError>| heard.unwrap_or(0);
                    let (one, other) = (revoked(&mut whole), revoked(&mut late));
                    assert_eq!(count(one), count(other), "{context}");
                }
                (_, Some(session)) => {
                    let limit = usize::try_from(1 + rng.below(300)).unwrap();
                    let share = rng.below(101);
                    let poll = |node: &mut Node| {
                        let (batch, filled) = node.shard.batch(session, limit, Framing::Plain);
                        let written = batch.len() * usize::try_from(share).unwrap() / 100;
                        let broker = &mut node.shard.broker;
                        let rest = broker.handle_partial_write(now, session, &batch, written);
                        let mut wire = batch.as_slice()[..written].to_vec();
                        wire.extend_from_slice(&rest);
                        (text(&wire), filled)
                    };
                    assert_eq!(poll(&mut whole), poll(&mut late), "{context}");
                }
                _ => {}
            }
        }
        for session in sessions {
            assert_eq!(whole.shard.take(session), late.shard.take(session), "seed {seed}");
        }
        let (one, other) = (whole.shard.broker.counters(), late.shard.broker.counters());
        assert_eq!(
            (one.delivered, one.delivered_bytes, one.returned, one.replayed),
            (other.delivered, other.delivered_bytes, other.returned, other.replayed),
            "seed {seed}"
        );
        assert_eq!(one.resumed.complete, other.resumed.complete);
        returned += other.returned;
    }
    assert!(waited > 500 && returned > 500, "{waited} waited, {returned} came back");
}

#[test]
fn nothing_is_left_of_it_when_it_was_delivered() {
    let mut node = Node::at(200);
    let session = node.shard.parked(anyone());
    let before = node.shard.size();
    for _ in 0..20 {
        let waits = node.open(after("e-1"));
        node.asked();
        node.give_all(waits);
        assert_eq!(node.shard.data(waits).len(), 199);
        node.shard.broker.handle_disconnect(node.shard.now, waits);
    }
    node.shard.events();
    node.shard.take(session);
    assert!(node.shard.size() < before + before / 2, "{} after {before}", node.shard.size());
}
