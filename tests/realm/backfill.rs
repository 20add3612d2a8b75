//! Readers that are older than what a node has in memory, for which the log is read.

use super::*;
use sansse::broker::{Backfill, TopicPattern};
use sansse::cluster::{Append, Appended, Head, Hello, Log, LogError, Page, Read};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A log whose reads are counted, and can be held up, one by one.
#[derive(Clone)]
struct Watched {
    log: MemoryLog,
    state: Arc<Watching>,
}

#[derive(Default)]
struct Watching {
    /// The reads that waited for nothing, of which only a backfill has several.
    reads: Mutex<Vec<u64>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
    is_held: Mutex<bool>,
    held: Mutex<Vec<std::task::Waker>>,
}

impl Watched {
    fn new(log: MemoryLog) -> Self {
        Self { log, state: Arc::default() }
    }

    fn hold(&self, is_held: bool) {
        *self.state.is_held.lock().unwrap() = is_held;
        self.state.held.lock().unwrap().drain(..).for_each(std::task::Waker::wake);
    }

    fn reads(&self) -> Vec<u64> {
        std::mem::take(&mut *self.state.reads.lock().unwrap())
    }
}

impl Log for Watched {
    fn hello(&self, hello: Hello) -> impl Future<Output = Result<Head, LogError>> + Send {
        let log = self.log.clone();
        async move { log.hello(hello).await }
    }

    fn append(&self, append: Append) -> impl Future<Output = Result<Appended, LogError>> + Send {
        let log = self.log.clone();
        async move { log.append(append).await }
    }

    fn read(&self, read: Read) -> impl Future<Output = Result<Page, LogError>> + Send {
        let Self { log, state } = self.clone();
        async move {
            if read.wait > Duration::ZERO {
                return log.read(read).await;
            }
            state.reads.lock().unwrap().push(read.after);
            let under_way = state.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            state.most.fetch_max(under_way, Ordering::SeqCst);
            std::future::poll_fn(|context| {
                if *state.is_held.lock().unwrap() {
                    state.held.lock().unwrap().push(context.waker().clone());
                    return std::task::Poll::Pending;
                }
                std::task::Poll::Ready(())
            })
            .await;
            state.under_way.fetch_sub(1, Ordering::SeqCst);
            log.read(read).await
        }
    }

    fn head(&self) -> impl Future<Output = Result<Head, LogError>> + Send {
        let log = self.log.clone();
        async move { log.head().await }
    }
}

/// A realm whose nodes have the newest ten events in memory.
struct Stage {
    world: World,
    log: Watched,
}

impl Stage {
    fn new() -> Self {
        let world = World::new();
        let log = Watched::new(world.log.clone());
        Self { world, log }
    }

    fn join(&self, number: u128) -> Realm {
        let mut config = BrokerConfig::new(Epoch(0xbeef));
        config.retention.events = NonZeroUsize::new(10).unwrap();
        let builder = HubBuilder::new(config).with_shards(NonZeroU16::new(2).unwrap());
        let (hub, drive) = builder.build(self.world.runtime.clone()).unwrap();
        self.world.runtime.spawn(drive);
        let config = NodeConfig::new(NodeId(number), 7);
        let realm = Realm::join(hub, self.log.clone(), config, &self.world.runtime).unwrap();
        self.world.runtime.run_tasks();
        self.log.reads();
        realm
    }

    /// Publishes so many events, each with its position and some bytes.
    fn fill(&self, realm: &Realm, count: u64, size: usize) {
        let first = realm.applied() + 1;
        for position in first..first + count {
            self.say(realm, Audience::Everyone, &format!("{position} {}", "x".repeat(size)));
        }
        self.world.runtime.run_tasks();
    }

    fn say(&self, realm: &Realm, to: impl Into<Audience>, text: &str) -> u64 {
        let (realm, to, event) = (realm.clone(), to.into(), Event::new(text.to_owned()));
        self.world.begin(async move { realm.publish(to, &event).await })().unwrap().unwrap()
    }
}

fn open(realm: &Realm, config: SessionConfig) -> SessionReader {
    SessionReader::new(realm.hub().open(config).unwrap())
}

/// The numbers with which the data of all events begin.
fn numbers(reader: &mut SessionReader) -> Vec<u64> {
    let number = |text: String| text.split(' ').next().unwrap().parse().unwrap();
    data(reader).into_iter().map(number).collect()
}

const fn gap(replayed: u64, lost: Option<u64>) -> Notice {
    Notice::Gap { replayed, lost, reason: LossReason::Retention }
}

#[test]
fn a_reader_older_than_memory_gets_everything_once_and_in_order_on_another_node() {
    let stage = Stage::new();
    let (one, other) = (stage.join(1), stage.join(2));
    stage.fill(&one, 300, 4_000);
    let mut reader = open(&other, after(7));
    assert_eq!(other.hub().counters().waiting, 1);
    stage.world.runtime.run_tasks();
    assert_eq!(reader.notices(), [Notice::Complete { replayed: 293 }]);
    stage.fill(&one, 5, 1);
    assert_eq!(numbers(&mut reader), (8..=305).collect::<Vec<_>>());
    assert!(reader.notices().is_empty());
    let counters = other.backfilled();
    assert_eq!((counters.sessions, counters.failed, counters.waiting), (1, 0, 0));
    let reads = stage.log.reads();
    assert_eq!(counters.reads, reads.len() as u64);
    assert!(reads.len() > 3, "it has several pages");
    assert_eq!(one.backfilled().reads, 0);
}

#[test]
fn ten_thousand_readers_at_one_place_cost_one_read_of_each_page() {
    let stage = Stage::new();
    let (one, other) = (stage.join(1), stage.join(2));
    // Little of it is for them, so that they cost the test no more than they have to.
    let news = TopicName::new("news").unwrap();
    for round in 0..20 {
        stage.say(&one, news.clone(), &format!("{round} news"));
        stage.fill(&one, 9, 4_000);
    }
    stage.log.hold(true);
    let request = |number: u64| after(7 + number % 3).topics_only().with_topic(news.clone());
    let mut readers: Vec<_> = (0..10_000).map(|number| open(&other, request(number))).collect();
    stage.world.runtime.run_tasks();
    assert_eq!(stage.log.reads(), [7]);
    stage.log.hold(false);
    stage.world.runtime.run_tasks();
    let rest = stage.log.reads();
    assert!((1..=4).contains(&rest.len()), "{rest:?}");
    for reader in &mut readers {
        assert_eq!(reader.notices(), [Notice::Complete { replayed: 19 }]);
        assert_eq!(numbers(reader), (1..20).collect::<Vec<_>>());
    }
    // One that comes later costs none.
    let mut late = open(&other, after(20).topics_only().with_topic(news.clone()));
    stage.world.runtime.run_tasks();
    assert_eq!((numbers(&mut late).len(), stage.log.reads()), (18, vec![]));
    let counters = other.backfilled();
    assert_eq!((counters.sessions, counters.failed), (10_001, 0));
    assert_eq!(counters.served, counters.hits + counters.reads);
}

#[test]
fn no_more_than_eight_reads_are_under_way() {
    let stage = Stage::new();
    let realm = stage.join(1);
    stage.world.log.set_kept(1_000_000);
    for _ in 0..40 {
        let batch: Vec<_> = (0..500)
            .map(|_| {
                let realm = realm.clone();
                async move { realm.publish(Audience::Everyone, &Event::new("1 x")).await }
            })
            .collect();
        for one in batch {
            stage.world.runtime.spawn(async move {
                one.await.unwrap();
            });
        }
        stage.world.runtime.run_tasks();
    }
    assert_eq!(realm.applied(), 20_000);
    stage.log.hold(true);
    let mut readers: Vec<_> =
        (0..16).map(|number| open(&realm, after(1 + number * 1_200))).collect();
    stage.world.runtime.run_tasks();
    assert_eq!(stage.log.reads().len(), 8);
    stage.log.hold(false);
    stage.world.runtime.run_tasks();
    assert_eq!(stage.log.state.most.load(Ordering::SeqCst), 8);
    // The oldest of them have missed more than one session gets.
    assert_eq!(readers[0].notices(), [gap(10_000, Some(9_999))]);
    assert_eq!(readers[15].notices(), [Notice::Complete { replayed: 1_999 }]);
    assert_eq!(data(&mut readers[0]).len(), 10_000);
}

#[test]
fn each_gets_what_it_subscribed_to() {
    let stage = Stage::new();
    let (one, other) = (stage.join(1), stage.join(2));
    for round in 0..20 {
        stage.say(&one, Audience::Everyone, &format!("{round} all"));
        stage.say(&one, TopicName::new("room/1").unwrap(), &format!("{round} room"));
        stage.say(&one, TopicName::new("news").unwrap(), &format!("{round} news"));
        stage.say(&one, client("alice"), &format!("{round} alice"));
    }
    let rooms = TopicPattern::new("room/*").unwrap();
    let mut alice = open(&other, after(1).with_client(client("alice")));
    let mut room = open(&other, after(1).topics_only().with_topic(rooms));
    let mut bob = open(&other, after(4).with_client(client("bob")));
    stage.world.runtime.run_tasks();
    let room_data = data(&mut room);
    assert!(room_data.iter().all(|text| text.ends_with("room")));
    assert_eq!(room_data.len(), 20);
    assert_eq!(data(&mut alice).len(), 39);
    assert_eq!(bob.notices(), [Notice::Complete { replayed: 19 }]);
    assert_eq!(numbers(&mut bob), (1..20).collect::<Vec<_>>());
}

#[test]
fn a_log_that_was_trimmed_past_the_reader_is_a_gap_and_what_is_kept_follows() {
    let stage = Stage::new();
    let (one, other) = (stage.join(1), stage.join(2));
    stage.world.log.set_kept(50);
    stage.fill(&one, 100, 10);
    let mut reader = open(&other, after(7));
    let mut within = open(&other, after(60));
    stage.world.runtime.run_tasks();
    assert_eq!(reader.notices(), [gap(50, None)]);
    assert_eq!(numbers(&mut reader), (51..=100).collect::<Vec<_>>());
    assert_eq!(within.notices(), [Notice::Complete { replayed: 40 }]);
    assert_eq!(numbers(&mut within), (61..=100).collect::<Vec<_>>());
}

#[test]
fn while_the_engine_is_away_readers_get_memory_at_once_and_are_told_of_the_gap() {
    let stage = Stage::new();
    let realm = stage.join(1);
    stage.fill(&realm, 100, 10);
    stage.log.hold(true);
    let mut before = open(&realm, after(7));
    stage.world.runtime.run_tasks();
    assert!(before.notices().is_empty());
    stage.world.log.fail(Some(LogErrorKind::Unreachable));
    stage.world.runtime.run_tasks();
    assert_eq!(before.notices(), [gap(10, Some(83))]);
    let mut meanwhile = open(&realm, after(7));
    stage.world.runtime.run_tasks();
    assert_eq!(meanwhile.notices(), [gap(10, Some(83))]);
    assert_eq!(numbers(&mut meanwhile), (91..=100).collect::<Vec<_>>());
    stage.log.hold(false);
    stage.world.log.fail(None);
    stage.world.runtime.advance(10 * SECOND);
    let mut again = open(&realm, after(7));
    stage.world.runtime.run_tasks();
    assert_eq!(again.notices(), [Notice::Complete { replayed: 93 }]);
    assert_eq!(realm.backfilled().failed, 2);
}

#[test]
fn an_engine_that_does_not_answer_costs_the_reader_ten_seconds() {
    let stage = Stage::new();
    let realm = stage.join(1);
    stage.fill(&realm, 100, 10);
    stage.log.hold(true);
    let mut reader = open(&realm, after(7));
    stage.world.runtime.advance(9 * SECOND);
    assert!(reader.notices().is_empty());
    stage.world.runtime.advance(SECOND);
    assert_eq!(reader.notices(), [gap(10, Some(83))]);
    stage.log.hold(false);
    stage.world.runtime.run_tasks();
    assert_eq!(numbers(&mut reader), (91..=100).collect::<Vec<_>>());
}

#[test]
fn what_is_published_meanwhile_comes_after_what_was_missed() {
    let stage = Stage::new();
    let (one, other) = (stage.join(1), stage.join(2));
    stage.fill(&one, 100, 10);
    stage.log.hold(true);
    let mut reader = open(&other, after(7));
    let mut live = open(&other, SessionConfig::new());
    for round in 0..6 {
        stage.fill(&one, 5, 10);
        let first = 101 + round * 5;
        assert_eq!(numbers(&mut live), (first..first + 5).collect::<Vec<_>>());
    }
    assert_eq!(numbers(&mut reader), [0; 0]);
    stage.log.hold(false);
    stage.world.runtime.run_tasks();
    assert_eq!(reader.notices(), [Notice::Complete { replayed: 123 }]);
    stage.fill(&one, 1, 10);
    assert_eq!(numbers(&mut reader), (8..=131).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_leaves_and_one_that_loses_its_rights_cost_nothing_more() {
    let stage = Stage::new();
    let realm = stage.join(1);
    stage.fill(&realm, 100, 10);
    stage.log.hold(true);
    let gone = open(&realm, after(7));
    let mut revoked = open(&realm, after(7).with_client(client("ann")));
    stage.world.runtime.run_tasks();
    drop(gone);
    let done = stage.world.begin({
        let realm = realm.clone();
        async move { realm.revoke(&client("ann")).await }
    });
    assert!(matches!(done(), Some(Ok(_))));
    assert!(data(&mut revoked).is_empty() && revoked.is_over());
    stage.log.hold(false);
    stage.world.runtime.run_tasks();
    assert_eq!((realm.hub().counters().waiting, realm.backfilled().waiting), (0, 0));
    assert_eq!(realm.hub().counters().sessions, 0);
}

#[test]
fn a_node_that_shuts_down_lets_readers_have_what_is_in_memory() {
    let stage = Stage::new();
    let realm = stage.join(1);
    stage.fill(&realm, 100, 10);
    stage.log.hold(true);
    let mut reader = open(&realm, after(7));
    stage.world.runtime.run_tasks();
    let done = stage.world.begin({
        let realm = realm.clone();
        async move { realm.shut_down().await }
    });
    stage.world.runtime.advance(6 * SECOND);
    assert_eq!(done(), Some(()));
    assert_eq!(reader.notices(), [gap(10, Some(83))]);
    let session = realm.hub().open(after(7)).unwrap();
    assert_eq!(session.resumption(), Resumption::Gap { replayed: 10 });
}

#[test]
fn a_node_that_joins_late_has_what_lies_before_its_window() {
    let stage = Stage::new();
    let one = stage.join(1);
    stage.fill(&one, 100, 10);
    let mut config = NodeConfig::new(NodeId(2), 7);
    config.window = 5;
    let late = Realm::join(stage.world.hub(), stage.log.clone(), config, &stage.world.runtime);
    let late = late.unwrap();
    stage.world.runtime.run_tasks();
    let mut early = open(&late, after(7));
    stage.world.runtime.run_tasks();
    assert_eq!(early.notices(), [Notice::Complete { replayed: 93 }]);
    assert_eq!(numbers(&mut early), (8..=100).collect::<Vec<_>>());
    let mut reader = open(&late, after(50));
    stage.world.runtime.run_tasks();
    assert_eq!(numbers(&mut reader), (51..=100).collect::<Vec<_>>());
    let session = late.hub().open(after(96)).unwrap();
    assert_eq!(session.resumption(), Resumption::Complete { replayed: 4 });
}

#[test]
fn without_backfill_a_reader_older_than_memory_has_a_gap_at_once() {
    let stage = Stage::new();
    let realm = stage.join(1);
    stage.fill(&realm, 100, 10);
    realm.set_backfill(None);
    let session = realm.hub().open(after(7)).unwrap();
    assert_eq!(session.resumption(), Resumption::Gap { replayed: 10 });
    let mut few = Backfill::DEFAULT;
    few.events = 20.try_into().unwrap();
    realm.set_backfill(Some(few));
    let mut reader = open(&realm, after(7));
    stage.world.runtime.run_tasks();
    let told = reader.notices();
    let [Notice::Gap { replayed, lost: Some(lost), .. }] = told[..] else { panic!("{told:?}") };
    assert_eq!(replayed + lost, 93);
    assert!((20..=30).contains(&replayed));
}
