//! Publishers that wait: what has room, for whom they wait, and for how long.

use crate::kit::broker::*;
use sansse::Event;
use sansse::broker::*;
use std::num::NonZeroUsize;

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

/// At most so many events ahead, with the patience of three seconds.
fn pace(events: usize) -> Pace {
    Pace::new().with_events(some(events))
}

fn everyone() -> Audience {
    Audience::Everyone
}

impl Shard {
    /// Begins to wait for readers at this pace; `None`: there is no need.
    fn wait(&mut self, audience: &Audience, pace: Pace) -> Option<WaitId> {
        self.broker.wait_for_readers(self.now, audience, pace).unwrap()
    }

    fn try_publish(&mut self, audience: impl Into<Audience>) -> Result<Published, PublishError> {
        self.broker.publish(self.now, audience, &Event::new("x"))
    }

    /// Publishes as long as there is no need to wait. Says how much that was, and returns the wait.
    fn publish_until_wait(&mut self, audience: &Audience, pace: Pace) -> (usize, WaitId) {
        for published in 0..10_000 {
            match self.wait(audience, pace) {
                Some(wait) => return (published, wait),
                None => _ = self.publish(audience.clone(), &published.to_string()),
            }
        }
        panic!("nobody is waited for");
    }

    /// Which waits are over.
    fn over(&mut self) -> Vec<WaitId> {
        core::iter::from_fn(|| self.broker.poll_wait()).collect()
    }
}

// One session, or one client.

#[test]
fn what_is_published_to_a_session_before_its_first_poll_is_refused_where_it_would_be_lost() {
    let mut shard = Shard::new(config());
    let session = shard.open(anyone());
    let results: Vec<_> = (0..300).map(|_| shard.try_publish(session).map(|_| ())).collect();
    assert_eq!(results[..256], [Ok(()); 256]);
    assert_eq!(results[256..], [Err(PublishError::NoRoom); 44]);
    assert_eq!(PublishError::NoRoom.fault(), sansse::Fault::Limit);
    // Nothing was done: no position was taken, and no event counted.
    assert_eq!(shard.broker.shard().last_position(), 256);
    assert_eq!(shard.broker.counters().published, 256);
    // Its place, and then one event, makes room for one event.
    shard.next(session).unwrap();
    assert_eq!(shard.try_publish(session), Err(PublishError::NoRoom));
    shard.next(session).unwrap();
    shard.try_publish(session).unwrap();
    assert_eq!(shard.try_publish(session), Err(PublishError::NoRoom));
    assert_eq!(shard.data(session).len(), 256, "with the one that came before, all of them");
    assert!(shard.broker.session(session).is_open());
}

#[test]
fn bytes_count_as_events_do() {
    let mut config = config();
    config.private_retention.bytes = some(1_000);
    let mut shard = Shard::new(config);
    let session = shard.open(anyone());
    let large = Event::new("x".repeat(400));
    let publish = |shard: &mut Shard| shard.broker.publish(shard.now, session, &large);
    publish(&mut shard).unwrap();
    publish(&mut shard).unwrap();
    assert_eq!(publish(&mut shard), Err(PublishError::NoRoom));
    // A small one has room yet, and one that never has is too large.
    shard.try_publish(session).unwrap();
    let too_large = Event::new("x".repeat(1_000));
    let refused = shard.broker.publish(shard.now, session, &too_large);
    assert!(matches!(refused, Err(PublishError::TooLarge { limit: 1_000, .. })), "{refused:?}");
    assert_eq!(shard.data(session).len(), 3);
}

#[test]
fn a_session_whose_log_would_give_way_to_others_has_no_room_either() {
    let mut config = config();
    config.limits.retained_bytes = some(1_000);
    let mut shard = Shard::new(config);
    let sessions = [shard.open(anyone()), shard.open(anyone())];
    let mut published = 0;
    // Each keeps the half of it.
    while shard.try_publish(sessions[published % 2]).is_ok() {
        published += 1;
    }
    assert_eq!(shard.try_publish(sessions[published % 2]), Err(PublishError::NoRoom));
    let taken = sessions.map(|session| shard.data(session).len());
    assert_eq!(taken.iter().sum::<usize>(), published, "{taken:?}");
}

#[test]
fn what_a_write_took_makes_room_and_what_comes_back_is_never_lost() {
    let mut config = config();
    config.private_retention.events = some(4);
    for written in [0, 70, 10_000] {
        let mut shard = Shard::new(config.clone());
        let session = shard.parked(anyone());
        for number in 1..=4 {
            shard.publish(session, &number.to_string());
        }
        let (batch, _) = shard.batch(session, 10_000, Framing::Plain);
        // While the batch is under way, others are published in the room of what it took.
        for number in 5..=8 {
            shard.publish(session, &number.to_string());
        }
        assert_eq!(shard.try_publish(session), Err(PublishError::NoRoom));
        let written = written.min(batch.len());
        let rest = shard.broker.handle_partial_write(shard.now, session, &batch, written);
        assert_eq!(rest, batch.as_slice()[written..], "all of it is to be written");
        assert_eq!(shard.data(session), ["5", "6", "7", "8"]);
    }
}

#[test]
fn what_supersedes_makes_its_own_room_where_the_log_is_compact() {
    for compact in [false, true] {
        let mut config = config();
        config.private_retention.events = some(2);
        config.private_retention.compact = compact;
        let mut shard = Shard::new(config);
        let session = shard.open(anyone());
        let publish = |shard: &mut Shard, key: &'static str| {
            let event = Event::new(key).with_key(sansse::EventKey::new(key).unwrap());
            shard.broker.publish(shard.now, session, &event).map(|_| ())
        };
        assert_eq!((publish(&mut shard, "a"), publish(&mut shard, "b")), (Ok(()), Ok(())));
        let again = publish(&mut shard, "a");
        assert_eq!(again, if compact { Ok(()) } else { Err(PublishError::NoRoom) });
        assert_eq!(publish(&mut shard, "c"), Err(PublishError::NoRoom));
        assert!(shard.broker.session(session).is_open());
    }
}

#[test]
fn a_client_has_room_while_no_session_of_its_own_that_counts_would_lose_something() {
    let mut config = config();
    config.private_retention.events = some(4);
    config.client_grace = secs(30);
    let mut shard = Shard::new(config);
    let (quick, slow) = (shard.parked(session_of("alice")), shard.parked(session_of("alice")));
    let alice = client("alice");
    for _ in 0..4 {
        shard.try_publish(alice.clone()).unwrap();
        shard.take(quick);
    }
    assert_eq!(shard.try_publish(alice.clone()), Err(PublishError::NoRoom));
    // One that takes a little counts.
    shard.sleep(secs(2));
    shard.next(slow).unwrap();
    shard.try_publish(alice.clone()).unwrap();
    shard.take(quick);
    shard.pass(secs(2));
    assert_eq!(shard.try_publish(alice.clone()), Err(PublishError::NoRoom));
    // One that takes nothing for the patience does not.
    shard.pass(just_before(secs(1)));
    assert_eq!(shard.try_publish(alice.clone()), Err(PublishError::NoRoom));
    shard.pass(TICK);
    for _ in 0..10 {
        shard.try_publish(alice.clone()).unwrap();
        assert_eq!(shard.data(quick).len(), 1);
    }
    assert_eq!(shard.data(slow), [END], "it has lost what was more than is kept");
    assert!(shard.broker.session(quick).is_open());
    // And nobody is there in the grace time.
    shard.broker.handle_disconnect(shard.now, quick);
    for _ in 0..10 {
        shard.try_publish(alice.clone()).unwrap();
    }
}

#[test]
fn a_wait_for_room_is_over_when_the_slowest_takes_something_or_ends() {
    let mut config = config();
    config.private_retention.events = some(2);
    let mut shard = Shard::new(config);
    let session = shard.open(anyone());
    let audience = Audience::Session(session);
    let wait = |shard: &mut Shard| shard.broker.wait_for_room(shard.now, &audience);
    assert_eq!(wait(&mut shard), Ok(None), "there is nothing to be taken");
    shard.publish(session, "a");
    shard.publish(session, "b");
    let first = wait(&mut shard).unwrap().unwrap();
    assert_eq!(wait(&mut shard), Ok(Some(first)), "one wait for all who wait for the same");
    // No patience ends it: nobody else waits for what is published, and it stalls by and by.
    shard.sleep(secs(59));
    assert_eq!(shard.over(), []);
    shard.next(session).unwrap();
    assert_eq!((shard.over(), shard.over()), (vec![first], vec![]), "exactly once");
    let second = wait(&mut shard).unwrap().unwrap();
    assert_ne!(first, second);
    shard.sleep(secs(61));
    assert!(!shard.broker.session(session).is_open(), "it has stalled");
    assert_eq!(shard.over(), [second]);
    assert_eq!(wait(&mut shard), Err(PublishError::UnknownSession));
    assert_eq!(shard.broker.wait_for_room(shard.now, &everyone()), Ok(None));
}

// Everyone, and topics.

#[test]
fn a_publisher_is_ahead_by_the_pace_and_goes_on_when_the_slowest_is_within_half() {
    let mut shard = Shard::new(config());
    let (quick, slow) = (shard.parked(anyone()), shard.parked(anyone()));
    let (published, wait) = shard.publish_until_wait(&everyone(), pace(10));
    assert_eq!(published, 11, "ten are within the pace, and then comes one more");
    shard.take(quick);
    assert_eq!(shard.over(), []);
    // From eleven to five.
    for _ in 0..5 {
        shard.next(slow).unwrap();
    }
    assert_eq!(shard.over(), []);
    shard.next(slow).unwrap();
    assert_eq!(shard.over(), [wait]);
    let (published, _) = shard.publish_until_wait(&everyone(), pace(10));
    assert_eq!(published, 6);
}

#[test]
fn by_default_the_pace_is_half_of_what_is_kept_in_events_and_in_bytes() {
    let mut config = config();
    config.retention.events = some(20);
    let mut shard = Shard::new(config.clone());
    shard.parked(anyone());
    assert_eq!(shard.publish_until_wait(&everyone(), Pace::new()).0, 11);
    let mut shard = Shard::new(config.clone());
    shard.parked(anyone());
    assert_eq!(shard.publish_until_wait(&everyone(), pace(1_000)).0, 11, "no more than that");

    let size = 20;
    config.retention.events = some(1_000);
    config.retention.bytes = some(40 * size);
    for (bytes, within) in [(None, 20), (Some(some(10 * size)), 10)] {
        let mut shard = Shard::new(config.clone());
        shard.parked(anyone());
        let pace = bytes.map_or(Pace::new(), |bytes| Pace::new().with_bytes(bytes));
        let (published, _) = shard.publish_until_wait(&everyone(), pace);
        let each = retained_bytes(&shard.broker) / published;
        assert!(published.abs_diff(within * size / each) <= 1, "{published} of {each} bytes");
    }
}

#[test]
fn without_a_reader_nobody_waits() {
    let mut shard = Shard::new(config());
    // Who does not hear it is no reader, nor is who has left.
    shard.parked(anyone().topics_only().with_topic(topic("news")));
    let gone = shard.parked(anyone());
    shard.broker.handle_disconnect(shard.now, gone);
    for audience in [everyone(), topic("sport").into()] {
        for _ in 0..20_000 {
            assert_eq!(shard.wait(&audience, pace(10)), None);
            shard.publish(audience.clone(), "x");
        }
    }
}

#[test]
fn a_reader_that_is_stopped_is_waited_for_once_and_no_longer_than_the_patience() {
    let mut shard = Shard::new(config());
    let (quick, stopped) = (shard.parked(anyone()), shard.parked(anyone()));
    let (_, wait) = shard.publish_until_wait(&everyone(), pace(10));
    shard.take(quick);
    shard.sleep(just_before(secs(3)));
    assert_eq!(shard.over(), []);
    shard.sleep(TICK);
    assert_eq!(shard.over(), [wait], "by the deadline alone");
    // From now on only the quick one counts.
    for _ in 0..100 {
        assert_eq!(shard.wait(&everyone(), pace(10)), None);
        shard.broadcast("x");
        shard.take(quick);
    }
    // When it goes on, it counts again at once.
    shard.next(stopped).unwrap();
    let (published, wait) = shard.publish_until_wait(&everyone(), pace(10));
    assert_eq!(published, 0);
    let all = shard.data(stopped);
    assert_eq!((all.len(), shard.over()), (110, vec![wait]), "nothing is lost to it either");
}

#[test]
fn a_patience_begins_with_the_output_also_where_nobody_asked_who_is_ready() {
    let mut shard = Shard::new(config());
    let _stopped = shard.parked(anyone());
    // It has had nothing for longer than the patience.
    shard.sleep(secs(7));
    let (_, wait) = shard.publish_until_wait(&everyone(), pace(10));
    shard.sleep(just_before(secs(3)));
    assert_eq!(shard.over(), []);
    shard.sleep(TICK);
    assert_eq!(shard.over(), [wait]);
}

#[test]
fn a_reader_that_takes_a_little_now_and_then_counts() {
    let mut shard = Shard::new(config());
    let slow = shard.parked(anyone());
    let (_, wait) = shard.publish_until_wait(&everyone(), pace(10));
    for _ in 0..5 {
        shard.sleep(just_before(secs(3)));
        assert_eq!(shard.over(), []);
        shard.next(slow).unwrap();
    }
    // So does one whose peer takes bytes of one large event.
    shard.sleep(just_before(secs(3)));
    shard.broker.handle_progress(shard.now, slow);
    shard.sleep(just_before(secs(3)));
    assert_eq!(shard.over(), []);
    shard.sleep(TICK);
    assert_eq!(shard.over(), [wait]);
}

#[test]
fn a_wait_with_less_patience_does_not_speak_for_one_with_more() {
    let mut shard = Shard::new(config());
    let stopped = shard.parked(anyone());
    let hasty = pace(10).with_patience(secs(0));
    for _ in 0..30 {
        assert_eq!(shard.wait(&everyone(), hasty), None, "nobody is waited for");
        shard.broadcast("x");
    }
    let wait = shard.wait(&everyone(), pace(10)).unwrap();
    assert_eq!(shard.wait(&everyone(), hasty), None);
    shard.take(stopped);
    assert_eq!(shard.over(), [wait]);
}

#[test]
fn readers_of_a_pattern_are_readers_of_its_topics() {
    let mut shard = Shard::new(config());
    let pattern = TopicPattern::new("news/*").unwrap();
    let by_name = shard.parked(anyone().with_topic(topic("news/uk")));
    let by_pattern = shard.parked(anyone().with_topic(pattern));
    let other = shard.parked(anyone().with_topic(topic("news/fr")));
    let uk = Audience::from(topic("news/uk"));
    let (published, wait) = shard.publish_until_wait(&uk, pace(10));
    assert_eq!(published, 11);
    // What else it hears by the pattern is no part of the topic.
    for _ in 0..50 {
        shard.publish(topic("news/fr"), "x");
    }
    shard.take(by_name);
    assert_eq!(shard.over(), []);
    for _ in 0..6 {
        shard.next(by_pattern).unwrap();
    }
    assert_eq!(shard.over(), [wait]);
    assert!(shard.broker.session(other).is_open());
}

#[test]
fn who_comes_to_read_what_was_before_is_waited_for() {
    let mut shard = Shard::new(config());
    let reader = shard.parked(anyone());
    shard.publish_until_wait(&everyone(), pace(10));
    shard.take(reader);
    shard.over();
    assert_eq!(shard.wait(&everyone(), pace(10)), None);
    // One that begins now, and one that has all to get.
    shard.open(anyone());
    assert_eq!(shard.wait(&everyone(), pace(10)), None);
    let late = shard.open(anyone().with_start(StartAt::Oldest));
    let wait = shard.wait(&everyone(), pace(10)).unwrap();
    // And one that comes while somebody waits.
    let later = shard.open(after("e-0"));
    shard.take(late);
    assert_eq!(shard.over(), []);
    shard.take(later);
    assert_eq!(shard.over(), [wait]);
}

#[test]
fn a_wait_is_over_when_who_is_waited_for_leaves() {
    type Leave = fn(&mut Shard, SessionId);
    let by_disconnect: Leave = |shard, session| {
        shard.broker.handle_disconnect(shard.now, session);
    };
    let by_unsubscribing: Leave = |shard, session| {
        let news = TopicFilter::new("news").unwrap();
        shard.broker.session_mut(session).unsubscribe(shard.now, &news);
    };
    let by_right: Leave = |shard, _| {
        let (alice, now) = (client("alice"), shard.now);
        shard.broker.client_mut(&alice).revoke_topic(now, &topic("news")).unwrap();
    };
    let by_close: Leave = |shard, _| shard.broker.close(shard.now);
    for leave in [by_disconnect, by_unsubscribing, by_right, by_close] {
        let mut shard = Shard::new(config());
        let session = shard.parked(session_of("alice").with_topic(topic("news")));
        let news = topic("news").into();
        let (_, wait) = shard.publish_until_wait(&news, pace(10));
        leave(&mut shard, session);
        assert_eq!(shard.over(), [wait]);
    }
}

#[test]
fn a_session_that_ends_holds_nobody_up_with_what_is_not_for_it() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.broker.session_mut(session).close(shard.now);
    for _ in 0..100 {
        assert_eq!(shard.wait(&everyone(), pace(10)), None);
        shard.broadcast("x");
    }
}

#[test]
fn one_client_and_one_session_can_be_kept_pace_with_as_well() {
    let mut shard = Shard::new(config());
    let session = shard.parked(session_of("alice"));
    for audience in [session.into(), client("alice").into()] {
        let (published, wait) = shard.publish_until_wait(&audience, pace(10));
        assert_eq!(published, 11);
        shard.take(session);
        assert_eq!(shard.over(), [wait]);
        assert_eq!(shard.wait(&audience, pace(10)), None);
    }
    let mut refused = |audience: Audience| {
        shard.broker.wait_for_readers(shard.now, &audience, Pace::new()).unwrap_err()
    };
    assert_eq!(refused(client("bob").into()), PublishError::UnknownClient);
    shard.broker.handle_disconnect(shard.now, session);
    let mut refused = |audience: Audience| {
        shard.broker.wait_for_readers(shard.now, &audience, Pace::new()).unwrap_err()
    };
    assert_eq!(refused(session.into()), PublishError::UnknownSession);
    shard.broker.topic_mut(&topic("news")).end(shard.now).unwrap();
    shard.broker.close(shard.now);
    let closed = shard.broker.wait_for_readers(shard.now, &everyone(), Pace::new());
    assert_eq!(closed, Err(PublishError::Closed));
}

#[test]
fn nothing_is_left_of_waits_and_readers_that_are_gone() {
    let mut shard = Shard::new(config());
    let mut sizes = Vec::new();
    for round in 0..60 {
        let readers: Vec<_> =
            (0..10).map(|_| shard.parked(anyone().with_topic(topic("news")))).collect();
        let news = topic("news").into();
        shard.publish_until_wait(&news, pace(10));
        if round % 2 == 0 {
            shard.sleep(secs(4));
        }
        for reader in readers {
            shard.take(reader);
            shard.broker.handle_disconnect(shard.now, reader);
        }
        shard.over();
        shard.events();
        shard.ready();
        shard.sleep(secs(400));
        sizes.push(shard.size());
    }
    let (early, late) = (sizes[19], sizes[59]);
    assert!(late < early + early / 5, "{early} and then {late}");
}

/// Readers of all kinds, and one publisher for each audience that publishes only when it need not
/// wait.
#[test]
fn nobody_that_reads_loses_anything_to_publishers_that_wait() {
    let first = crate::kit::seed(1);
    for seed in first..first + 150 {
        Many::new(seed).run();
    }
}

const TOPICS: [&str; 3] = ["a/1", "a/2", "b"];

struct Reader {
    session: SessionId,
    /// How many events it takes at a time. 0: it is stopped.
    takes: u64,
    taken: usize,
}

struct Many {
    shard: Shard,
    rng: Rng,
    seed: u64,
    readers: Vec<Reader>,
    waits: Vec<(Audience, WaitId)>,
    published: u64,
    waited: u64,
}

impl Many {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut config = config();
        config.retention.events = some(rng.pick(&[1, 2, 3, 8, 40]));
        config.retention.bytes = some(rng.pick(&[300, 1_000, 1 << 20]));
        config.retention.age = None;
        config.session.stall_timeout = None;
        let (readers, waits) = (Vec::new(), Vec::new());
        Self { shard: Shard::new(config), rng, seed, readers, waits, published: 0, waited: 0 }
    }

    fn run(mut self) {
        for _ in 0..600 {
            match self.rng.below(10) {
                0 => self.come(),
                1 if self.rng.chance(30) => self.go(),
                1..=5 => self.read(),
                6 => _ = self.shard.sleep(millis(self.rng.below(2_000))),
                _ => self.publish(),
            }
            self.look();
        }
        // Those who read take all, so that nobody has to wait for more than the patience.
        self.shard.sleep(secs(3));
        for index in 0..self.readers.len() {
            if self.readers[index].takes > 0 {
                self.take(index, u64::MAX);
            }
        }
        self.look();
        assert_eq!(self.waits, [], "seed {}", self.seed);
        assert!(self.published > 20, "seed {}: {} published", self.seed, self.published);
    }

    fn come(&mut self) {
        if self.readers.len() >= 8 {
            return;
        }
        let mut request = anyone();
        for topic in TOPICS {
            if self.rng.chance(30) {
                request = request.with_topic(TopicFilter::new(topic).unwrap());
            }
        }
        if self.rng.chance(30) {
            request = request.with_topic(TopicPattern::new("a/*").unwrap());
        }
        if self.rng.chance(30) {
            request = request.with_start(StartAt::Oldest);
        }
        let session = self.shard.open(request);
        let takes = self.rng.pick(&[0, 1, 1, 2, 10]);
        self.readers.push(Reader { session, takes, taken: 0 });
    }

    fn go(&mut self) {
        if self.readers.is_empty() {
            return;
        }
        let index = usize::try_from(self.rng.below(self.readers.len() as u64)).unwrap();
        let gone = self.readers.swap_remove(index);
        self.shard.broker.handle_disconnect(self.shard.now, gone.session);
    }

    /// All who read take something, so that nobody has stalled.
    fn read(&mut self) {
        for index in 0..self.readers.len() {
            let takes = self.readers[index].takes;
            if takes > 0 {
                self.take(index, takes);
            }
        }
    }

    fn take(&mut self, index: usize, events: u64) {
        let reader = &mut self.readers[index];
        for _ in 0..events {
            match self.shard.next(reader.session) {
                None => break,
                Some(frame) => {
                    assert_ne!(
                        frame, END,
                        "seed {}: a reader that reads lost something",
                        self.seed
                    );
                    reader.taken += 1;
                }
            }
        }
    }

    fn publish(&mut self) {
        // Nobody has stalled of those who read.
        self.read();
        let audience = match self.rng.pick(&["", TOPICS[0], TOPICS[1], TOPICS[2]]) {
            "" => everyone(),
            name => topic(name).into(),
        };
        for _ in 0..self.rng.below(12) {
            match self.shard.wait(&audience, Pace::new()) {
                None => {
                    self.published += 1;
                    self.shard.publish(audience.clone(), "x");
                }
                Some(wait) => {
                    self.waited += 1;
                    if !self.waits.iter().any(|(_, one)| *one == wait) {
                        self.waits.push((audience.clone(), wait));
                    }
                    return;
                }
            }
        }
    }

    /// Each wait that is over is one that was begun.
    fn look(&mut self) {
        for wait in self.shard.over() {
            let before = self.waits.len();
            self.waits.retain(|(_, one)| *one != wait);
            assert_eq!(self.waits.len() + 1, before, "seed {}: {wait} came out twice", self.seed);
        }
    }
}
