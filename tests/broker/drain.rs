//! Letting sessions go without a storm: drains, ages, and when peers are told to come back.

use crate::kit::broker::*;
use crate::kit::seed;
use sansse::broker::*;
use sansse::{Event, EventType, Notice};
use std::num::{NonZeroU16, NonZeroU32};
use std::time::{Duration, Instant};

fn drain(over: u64) -> Drain {
    Drain::new(secs(over))
}

fn ended(session: SessionId, reason: EndReason) -> BrokerEvent {
    BrokerEvent::SessionEnded { session, client: None, reason, undelivered: 0 }
}

/// The ends since last asked, with the sessions that ended.
fn ends(shard: &mut Shard) -> Vec<(SessionId, EndReason)> {
    let ended = |event| match event {
        BrokerEvent::SessionEnded { session, reason, .. } => Some((session, reason)),
        _ => None,
    };
    shard.events().into_iter().filter_map(ended).collect()
}

/// What is said with `retry:` in a frame.
fn retry_of(frame: &str) -> Option<Duration> {
    let line = frame.lines().find_map(|line| line.strip_prefix("retry: "))?;
    Some(millis(line.parse().unwrap()))
}

/// Drives a drain of all shards as a driver that sleeps exactly does. Gives for each session when it
/// ended and when it is to come back, since the start.
fn follow(shards: &mut [Broker], start: Instant) -> Vec<(Duration, Duration)> {
    let mut ended = Vec::new();
    for broker in shards {
        let mut now = start;
        loop {
            while let Some(session) = broker.poll_ready() {
                let mut retry = Duration::ZERO;
                while let Some(out) = broker.poll_transmit(now, session) {
                    match out {
                        Transmit::Frame(frame) => {
                            retry = retry_of(&text(frame.as_ref())).unwrap_or(retry);
                        }
                        Transmit::Ended(reason) => {
                            assert_eq!(reason, Some(EndReason::Drained));
                            ended.push((now - start, now - start + retry));
                            break;
                        }
                    }
                }
            }
            if broker.state() == BrokerState::Drained {
                break;
            }
            now = now.max(broker.poll_timeout().unwrap());
            broker.handle_timeout(now);
        }
    }
    ended
}

/// The most in any second, wherever it begins.
fn peak(mut times: Vec<Duration>) -> usize {
    times.sort_unstable();
    let mut first = 0;
    let in_second = |(index, time): (usize, &Duration)| {
        while times[first] + secs(1) <= *time {
            first += 1;
        }
        index + 1 - first
    };
    times.iter().enumerate().map(in_second).max().unwrap_or(0)
}

fn many(sessions: usize, shards: u16) -> (Vec<Broker>, Instant) {
    let start = Shard::new(config()).now;
    let brokers = ShardNumber::all(NonZeroU16::new(shards).unwrap()).map(|shard| {
        let mut config = config();
        config.shard = shard;
        config.limits.unread_events = 1_000_000.try_into().unwrap();
        config.session.heartbeat = None;
        config.seed = seed(1);
        let mut broker = Broker::new(start, config).unwrap();
        for _ in 0..sessions / usize::from(shards) {
            let session = broker.open(start, anyone()).unwrap().session;
            while broker.poll_transmit(start, session).is_some() {}
        }
        broker
    });
    (brokers.collect(), start)
}

#[test]
fn a_drain_of_100_000_keeps_its_promise_in_every_second() {
    for (shards, over, least, spread) in
        [(1, 60, 2, 0), (1, 20, 1, 80), (4, 20, 1, 80), (1, 0, 3, 50)]
    {
        let (mut brokers, start) = many(100_000, shards);
        for broker in &mut brokers {
            let plan = drain(over).with_retry(secs(least), secs(spread));
            broker.drain(start, plan).unwrap();
        }
        let ended = follow(&mut brokers, start);
        assert_eq!(ended.len(), 100_000);
        let (ends, back): (Vec<_>, Vec<_>) = ended.into_iter().unzip();
        assert!(ends.iter().all(|end| *end <= secs(over)));
        let promised = |over: u64| 100_000_usize.div_ceil(usize::try_from(over).unwrap());
        // One more, and what a millisecond's rounding brings in.
        let allowed = |over: u64| promised(over) + 1 + promised(over) / 1_000;
        if over > 0 {
            assert!(peak(ends.clone()) <= allowed(over), "{} ends in a second", peak(ends));
        }
        let reconnects = peak(back.clone());
        println!(
            "{shards} shards, {over} s and {spread} s more: {reconnects} come back in a second, \
             {} are promised",
            promised(over + spread)
        );
        assert!(reconnects <= allowed(over + spread), "{reconnects} come back in a second");
        // It is even: neither is any second idle.
        let mut seconds = vec![0; usize::try_from(over + spread).unwrap()];
        for time in back {
            let second = usize::try_from((time - secs(least)).as_secs()).unwrap();
            let last = seconds.len() - 1;
            seconds[second.min(last)] += 1;
        }
        let least_busy = seconds.iter().min().unwrap();
        assert!(least_busy * 10 >= promised(over + spread) * 9, "{seconds:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_order_and_another_one_another() {
    let order = |seed| {
        let mut config = config();
        config.seed = seed;
        let mut shard = Shard::new(config);
        for _ in 0..50 {
            shard.parked(anyone());
        }
        shard.events();
        shard.broker.drain(shard.now, drain(50)).unwrap();
        let mut order = Vec::new();
        for _ in 0..50 {
            order.extend(shard.ready());
            shard.sleep(secs(1));
        }
        order
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    assert_eq!(order(1).len(), 50);
}

#[test]
fn a_session_gets_the_rest_then_the_farewell_then_its_end() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.broadcast("a");
    let farewell = Event::new("back soon").with_type(EventType::new("maintenance").unwrap());
    let plan = drain(10).with_farewell(farewell).with_retry(millis(1_500), secs(0));
    shard.broker.drain(shard.now, plan).unwrap();
    // Published after its turn.
    shard.broadcast("b");
    // The time stands where every peer keeps it, with a place from which nothing is missing.
    let farewell = "event: maintenance\ndata: back soon\n\nretry: 1500\n".to_owned();
    let farewell = farewell + &told_at(1, Notice::Ending);
    assert_eq!(shard.take(session), [event_at(1, "a"), farewell, END.to_owned()]);
}

#[test]
fn without_notices_the_reconnection_time_stands_with_the_farewell_or_alone() {
    for (farewell, expected) in
        [(Some(Event::new("bye")), "retry: 1500\ndata: bye\n\n"), (None, "retry: 1500\n\n")]
    {
        let mut shard = Shard::new(config());
        let session = shard.parked(anyone().with_notices(None));
        let mut plan = drain(10).with_retry(millis(1_500), secs(0));
        if let Some(event) = farewell {
            plan = plan.with_farewell(event);
        }
        shard.broker.drain(shard.now, plan).unwrap();
        assert_eq!(shard.take(session), [expected, END]);
    }
}

#[test]
fn what_a_session_is_told_last_is_of_the_type_that_it_chose() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone().with_notices(Some(sansse::event_type!("about"))));
    shard.broker.drain(shard.now, drain(10)).unwrap();
    let ending = told_at(0, Notice::Ending).replace("sansse-notice", "about");
    assert_eq!(shard.take(session), [ending, END.to_owned()]);
}

#[test]
fn a_session_whose_turn_has_not_come_is_served_as_ever() {
    let mut shard = Shard::new(config());
    let sessions = [shard.parked(anyone()), shard.parked(anyone())];
    shard.events();
    shard.broker.drain(shard.now, drain(10)).unwrap();
    let first = shard.ready();
    assert_eq!(first.len(), 1);
    let last = *sessions.iter().find(|session| **session != first[0]).unwrap();
    let ending = told_at(0, Notice::Ending);
    assert_eq!(shard.take(first[0]), [&ending, END]);
    shard.sleep(just_before(secs(5)));
    shard.broadcast("still here");
    assert_eq!(shard.ready(), [last]);
    assert_eq!(shard.data(last), ["still here"]);
    shard.sleep(TICK);
    assert_eq!(shard.ready(), [last]);
    assert_eq!(shard.take(last), [told_at(1, Notice::Ending), END.to_owned()]);
    assert_eq!(
        shard.events(),
        [
            ended(first[0], EndReason::Drained),
            ended(last, EndReason::Drained),
            BrokerEvent::Drained { shard: 0 }
        ]
    );
}

#[test]
fn a_farewell_that_a_write_did_not_take_is_not_lost_and_the_end_waits_for_it() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.broadcast("a");
    shard.broker.drain(shard.now, drain(0).with_farewell(Event::new("bye"))).unwrap();
    let (batch, end) = shard.batch(session, 1000, Framing::Plain);
    assert_eq!((text(batch.as_slice()), end), (event_at(1, "a"), Filled::More));
    let (batch, end) = shard.batch(session, 1000, Framing::Plain);
    let last_words = "data: bye\n\n".to_owned() + &told_at(1, Notice::Ending);
    assert_eq!((text(batch.as_slice()), end), (last_words.clone(), Filled::More));
    let rest = shard.broker.handle_partial_write(shard.now, session, &batch, 4);
    assert_eq!(rest, last_words.as_bytes()[4..]);
    let (batch, end) = shard.batch(session, 1000, Framing::Plain);
    assert_eq!((batch.len(), end), (0, Filled::Ended(Some(EndReason::Drained))));
}

#[test]
fn no_session_is_opened_during_a_drain_or_after_it() {
    let mut shard = Shard::new(config());
    let session = shard.parked(anyone());
    shard.broker.drain(shard.now, drain(10)).unwrap();
    assert!(shard.broker.state() == BrokerState::Draining);
    assert_eq!(shard.broker.open(shard.now, anyone()), Err(OpenError::Draining));
    shard.take(session);
    assert!(shard.broker.state() == BrokerState::Drained);
    assert_eq!(shard.broker.open(shard.now, anyone()), Err(OpenError::Draining));
    // What is published is for those on other shards.
    shard.broadcast("a");
}

#[test]
fn a_session_that_takes_nothing_is_ended_when_patience_is_over() {
    let mut config = config();
    config.session.stall_timeout = None;
    let mut shard = Shard::new(config);
    let stuck = shard.open(anyone());
    shard.broadcast("a");
    shard.events();
    shard.broker.drain(shard.now, drain(5).with_patience(secs(3))).unwrap();
    shard.sleep(just_before(secs(8)));
    assert_eq!(shard.events(), []);
    shard.sleep(TICK);
    let drained = BrokerEvent::Drained { shard: 0 };
    assert_eq!(shard.events(), [ended(stuck, EndReason::Aborted), drained]);
    assert_eq!(shard.ready(), [stuck]);
    shard.sleep(secs(1_000));
    assert_eq!(shard.events(), []);
}

#[test]
fn a_drain_of_nobody_is_over_at_once() {
    let mut shard = Shard::new(config());
    shard.broker.drain(shard.now, drain(10)).unwrap();
    assert_eq!(shard.events(), [BrokerEvent::Drained { shard: 0 }]);
    assert!(shard.broker.state() == BrokerState::Drained);
    assert_eq!(shard.broker.poll_timeout(), None);
}

#[test]
fn sessions_that_leave_before_their_turn_are_no_matter() {
    let mut shard = Shard::new(config());
    let sessions: Vec<_> = (0..10).map(|_| shard.parked(anyone())).collect();
    shard.events();
    shard.broker.drain(shard.now, drain(10)).unwrap();
    for session in sessions {
        shard.broker.handle_disconnect(shard.now, session);
    }
    assert_eq!(ends(&mut shard).len(), 10);
    assert!(shard.broker.state() == BrokerState::Drained);
    shard.sleep(secs(60));
    assert_eq!(shard.events(), []);
}

#[test]
fn closing_makes_short_work_of_a_drain() {
    let mut shard = Shard::new(config());
    for _ in 0..5 {
        shard.open(anyone());
    }
    shard.events();
    shard.broker.drain(shard.now, drain(100)).unwrap();
    shard.broker.abort(shard.now);
    let reasons: Vec<_> = ends(&mut shard).into_iter().map(|(_, reason)| reason).collect();
    // The first one's turn had come.
    assert_eq!(reasons.iter().filter(|reason| **reason == EndReason::Aborted).count(), 5);
    shard.sleep(secs(1_000));
    assert_eq!(shard.events(), []);
    assert_eq!(shard.broker.drain(shard.now, drain(1)), Err(DrainError::Closed));
}

#[test]
fn a_drain_that_cannot_be_is_refused_and_nothing_is_done() {
    let mut shard = Shard::new(config());
    let with_id = Event::new("bye").with_id(id("1"));
    let plan = drain(1).with_farewell(with_id);
    assert_eq!(shard.broker.drain(shard.now, plan), Err(DrainError::FarewellWithId));
    assert!(shard.broker.state() == BrokerState::Open);
    shard.open(anyone());
    shard.broker.drain(shard.now, drain(1)).unwrap();
    assert_eq!(shard.broker.drain(shard.now, drain(1)), Err(DrainError::AlreadyDraining));
    // The longest periods there are do no harm.
    let mut config = config();
    config.session.heartbeat = None;
    let mut shard = Shard::new(config);
    shard.parked(anyone());
    shard.parked(anyone());
    let plan = Drain::new(Duration::MAX).with_retry(Duration::MAX, Duration::MAX);
    shard.broker.drain(shard.now, plan.with_patience(Duration::MAX)).unwrap();
    shard.sleep(secs(30));
    assert_eq!(shard.broker.counters().sessions, 2);
}

#[test]
fn an_answer_that_is_streamed_once_is_completed_and_no_longer_waited_for_than_patience() {
    let mut shard = Shard::new(config());
    let (answer, endless) = (topic("answer"), topic("endless"));
    let on = |name: &TopicName| anyone().topics_only().with_topic(name.clone());
    let sessions = [shard.parked(on(&answer)), shard.parked(on(&endless)), shard.parked(anyone())];
    shard.events();
    let plan = drain(0).with_patience(secs(5)).letting_topics_end();
    shard.broker.drain(shard.now, plan).unwrap();
    assert_eq!(shard.data(sessions[2]), [END]);
    assert_eq!(ends(&mut shard), [(sessions[2], EndReason::Drained)]);
    shard.publish(answer.clone(), "the rest");
    shard.broker.topic_mut(&answer).end(shard.now).unwrap();
    assert_eq!(shard.data(sessions[0]), ["the rest", END]);
    assert_eq!(ends(&mut shard), [(sessions[0], EndReason::TopicsEnded)]);
    shard.sleep(secs(5));
    let drained = BrokerEvent::Drained { shard: 0 };
    assert_eq!(shard.events(), [ended(sessions[1], EndReason::Aborted), drained]);
}

// Ages.

#[test]
fn a_session_of_the_maximum_age_ends_with_all_that_was_published_and_misses_nothing() {
    let mut config = config();
    config.session.max_age = Some(MaxAge::new(secs(100), secs(0)).unwrap());
    config.session.heartbeat = None;
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    shard.events();
    shard.sleep(just_before(secs(100)));
    shard.take(session);
    assert!(shard.broker.session(session).is_open());
    shard.broadcast("a");
    shard.pass(TICK);
    shard.broker.handle_timeout(shard.now);
    shard.broadcast("b");
    let ending = told_at(1, Notice::Ending);
    assert_eq!(shard.take(session), [event_at(1, "a"), ending, END.to_owned()]);
    assert_eq!(ends(&mut shard), [(session, EndReason::MaxAge)]);
    let again = shard.open(after("e-1"));
    let begins = told_at(1, Notice::Complete { replayed: 1 });
    assert_eq!(shard.take(again), [begins, event_at(2, "b")]);
}

#[test]
fn a_busy_session_grows_no_older_than_a_quiet_one() {
    let mut config = config();
    config.session.max_age = Some(MaxAge::new(secs(30), secs(0)).unwrap());
    let mut shard = Shard::new(config);
    let session = shard.parked(anyone());
    for _ in 0..29 {
        shard.broadcast("x");
        assert_eq!(shard.data(session), ["x"]);
        shard.sleep(secs(1));
    }
    shard.sleep(secs(1));
    assert_eq!(shard.data(session), [END]);
}

#[test]
fn ages_are_spread_over_the_jitter() {
    let mut config = config();
    config.session.max_age = Some(MaxAge::new(secs(100), secs(50)).unwrap());
    config.limits.unread_events = 1_000_000.try_into().unwrap();
    config.session.heartbeat = None;
    let mut shard = Shard::new(config);
    for _ in 0..10_000 {
        shard.parked(anyone());
    }
    let mut counts = Vec::new();
    for second in 0..100 {
        shard.sleep(secs(1));
        let ready = shard.ready();
        assert!(second >= 50 || ready.is_empty(), "{second}");
        for session in &ready {
            assert_eq!(shard.data(*session), [END]);
        }
        counts.push(ready.len());
    }
    assert_eq!(shard.broker.counters().sessions, 0);
    let peak = counts.iter().max().unwrap();
    assert!(*peak < 260, "{peak} in a second, where 200 are the average");
}

#[test]
fn an_age_that_cannot_hold_is_refused() {
    let error = |age, jitter| MaxAge::new(age, jitter).err();
    assert_eq!(error(secs(0), secs(0)), Some(ConfigError::ZeroSessionAge));
    assert_eq!(error(secs(1), secs(1)), Some(ConfigError::JitterBeyondAge));
    assert_eq!(error(secs(2), secs(1)), None);
}

// Coming back.

#[test]
fn those_who_lose_their_connections_together_come_back_one_after_the_other() {
    for shards in [1, 3] {
        let rate = 500;
        let start = Shard::new(config()).now;
        let mut told = Vec::new();
        for shard in ShardNumber::all(NonZeroU16::new(shards).unwrap()) {
            let mut config = config();
            config.shard = shard;
            config.reconnect.spread_retry = true;
            config.reconnect.retry = Some(secs(2));
            config.reconnect.per_second = NonZeroU32::new(rate).unwrap();
            let mut broker = Broker::new(start, config).unwrap();
            let mut open = Vec::new();
            let mut rng = Rng::new(seed(1));
            // Sessions come and go before that.
            for _ in 0..10_000 / u32::from(shards) {
                let session = broker.open(start, anyone()).unwrap().session;
                let Some(Transmit::Frame(frame)) = broker.poll_transmit(start, session) else {
                    panic!("told nothing")
                };
                open.push((session, retry_of(&text(frame.as_ref())).unwrap()));
                if rng.chance(40) {
                    let index = usize::try_from(rng.below(open.len() as u64)).unwrap();
                    let (gone, _) = open.swap_remove(index);
                    broker.handle_disconnect(start, gone);
                }
            }
            told.extend(open.into_iter().map(|(_, retry)| retry));
        }
        assert!(told.len() > 5_000);
        assert!(told.iter().all(|retry| *retry >= secs(2)));
        let peak = peak(told);
        assert!(peak <= 502, "{peak} come back in a second, of {shards} shards");
    }
}

#[test]
fn each_refused_peer_is_told_a_later_time_than_the_one_before() {
    let mut config = config();
    config.limits.sessions.most = 1.try_into().unwrap();
    config.reconnect.per_second = NonZeroU32::new(10).unwrap();
    let mut shard = Shard::new(config);
    shard.open(anyone());
    let told = |shard: &mut Shard| {
        let error = shard.broker.open(shard.now, anyone()).unwrap_err();
        shard.broker.retry_after(shard.now, &error).unwrap()
    };
    let times: Vec<_> = (0..1_000).map(|_| told(&mut shard)).collect();
    // As many in each second as may come in it.
    let expected: Vec<_> = (0..1_000).map(|number| secs(5 + number / 10)).collect();
    assert_eq!(times, expected);
    // When they have come back, it is as before.
    shard.pass(secs(200));
    assert_eq!(told(&mut shard), secs(5));
    // A flood sends nobody away for hours.
    let longest = (0..10_000).map(|_| told(&mut shard)).max().unwrap();
    assert_eq!(longest, secs(300));
}

/// What is told to many who are refused at any times, and when they come back then.
fn returns(config: &BrokerConfig, shards: u16, rng: &mut Rng) -> Vec<Duration> {
    let start = Shard::new(config.clone()).now;
    let brokers = ShardNumber::all(NonZeroU16::new(shards).unwrap()).map(|shard| {
        let mut config = config.clone();
        config.shard = shard;
        Broker::new(start, config).unwrap()
    });
    let mut brokers: Vec<Broker> = brokers.collect();
    let (mut now, mut returns) = (Duration::ZERO, Vec::new());
    let mut last = vec![Duration::ZERO; usize::from(shards)];
    for _ in 0..2_000 {
        now += match rng.below(20) {
            0 => millis(rng.below(1_500)),
            1..4 => Duration::from_nanos(rng.below(50_000_000)),
            _ => Duration::ZERO,
        };
        let shard = usize::try_from(rng.below(shards.into())).unwrap();
        let error = OpenError::TooManySessions;
        let after = brokers[shard].retry_after(start + now, &error).unwrap();
        assert_eq!(after.subsec_nanos(), 0, "{after:?}");
        assert!(after >= secs(5) && after <= secs(300), "{after:?}");
        assert!(now + after >= last[shard], "an earlier time than the one before");
        last[shard] = now + after;
        returns.push(now + after);
    }
    returns
}

#[test]
fn after_what_an_answer_says_no_more_come_back_in_any_second_than_were_promised() {
    let mut rng = Rng::new(seed(1));
    for (rate, shards) in [(10, 1), (100, 1), (50, 1), (100, 4), (101, 4), (7, 7), (40, 16)] {
        let mut config = config();
        config.reconnect.per_second = NonZeroU32::new(rate).unwrap();
        let returns = returns(&config, shards, &mut rng);
        let took = *returns.iter().max().unwrap();
        let peak = peak(returns);
        println!("{peak} of {rate} a second, {shards} shards, the last after {took:?}");
        assert!(peak <= usize::try_from(rate).unwrap(), "{peak} of {rate}, {shards} shards");
    }
}

#[test]
fn those_who_are_refused_wait_for_their_turn_and_no_longer_than_they_took_to_ask() {
    let mut config = config();
    config.reconnect.per_second = NonZeroU32::new(10).unwrap();
    let mut shard = Shard::new(config);
    let error = OpenError::TooManySessions;
    // A few less than may come, at any times: all wait as long as they have to anyway.
    for _ in 0..1_000 {
        shard.pass(millis(103));
        assert_eq!(shard.broker.retry_after(shard.now, &error), Some(secs(5)));
    }
    // All at once: each second is used.
    let told = (0..100).map(|_| shard.broker.retry_after(shard.now, &error).unwrap());
    assert_eq!(told.max(), Some(secs(5 + 10)));
    shard.pass(secs(60));
    // Twice as many as may come, for 50 seconds. Who asks later in a second than others before is
    // told the next one, of which the beginning is lost.
    let begin = shard.now;
    let mut last = begin;
    for _ in 0..1_000 {
        shard.pass(millis(50));
        last = shard.now + shard.broker.retry_after(shard.now, &error).unwrap();
    }
    let took = last - begin;
    assert!(took >= secs(100) && took <= secs(5 + 100 + 50), "{took:?}");
}

#[test]
fn shards_that_may_let_less_than_one_back_in_a_second_let_one_back_in_several() {
    let mut config = config();
    config.reconnect.per_second = NonZeroU32::MIN;
    config.shard = ShardNumber::new(3, NonZeroU16::new(4).unwrap()).unwrap();
    let mut shard = Shard::new(config);
    let error = OpenError::TooManySessions;
    let told = (0..4).map(|_| shard.broker.retry_after(shard.now, &error).unwrap());
    assert_eq!(told.collect::<Vec<_>>(), [5, 9, 13, 17].map(secs));
}

#[test]
fn the_least_wait_is_rounded_up_to_what_an_answer_can_say() {
    let mut config = config();
    config.reconnect.retry_after = millis(1_001);
    let mut shard = Shard::new(config);
    for error in [OpenError::Closed, OpenError::TooManySessionsOfClient { limit: 1 }] {
        assert_eq!(shard.broker.retry_after(shard.now, &error), Some(secs(2)));
    }
}

#[test]
fn waiting_is_advised_only_where_it_helps() {
    let mut shard = Shard::new(config());
    let now = shard.now;
    for error in [OpenError::ZeroHeartbeat, OpenError::TooManyTopicsOfSession { limit: 1 }] {
        assert_eq!(shard.broker.retry_after(now, &error), None);
    }
    // Who has too many of its own does not make others wait.
    for error in [
        OpenError::TooManySessionsOfClient { limit: 1 },
        OpenError::TooManySessionsFromAddress { limit: 1 },
        OpenError::TooManySessionsOfClient { limit: 1 },
        OpenError::Draining,
    ] {
        assert_eq!(shard.broker.retry_after(now, &error), Some(secs(5)), "{error:?}");
    }
}
