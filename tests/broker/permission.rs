//! To what a session may subscribe: what a pattern covers, and who is refused what.

use crate::kit::broker::*;
use crate::kit::seed;
use sansse::broker::*;

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

fn permitted(texts: &[&str]) -> SessionConfig {
    session_of("alice").with_permitted(texts.iter().map(|text| filter(text)))
}

fn asking(permission: &[&str], texts: &[&str]) -> SessionConfig {
    let request = permitted(permission);
    texts.iter().fold(request, |request, text| request.with_topic(filter(text)))
}

/// All texts of so many levels, each one of these.
fn texts(levels: &[&str], most: usize) -> Vec<String> {
    let mut all: Vec<String> = levels.iter().map(|level| (*level).to_owned()).collect();
    let mut last = all.clone();
    for _ in 1..most {
        last = last
            .iter()
            .flat_map(|text| levels.iter().map(move |level| format!("{text}/{level}")))
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

// What covers what.

#[test]
fn a_filter_covers_another_where_it_matches_all_that_the_other_matches() {
    // No filter names `z`, so that it stands for all others.
    let names: Vec<TopicName> = texts(&["a", "b", "", "z"], 4)
        .iter()
        .filter_map(|text| TopicName::new(text).ok())
        .collect();
    let bodies = texts(&["a", "b", "", "*"], 2);
    let open = bodies.iter().map(|text| format!("{text}/**"));
    let filters: Vec<TopicFilter> = bodies
        .iter()
        .cloned()
        .chain(open)
        .chain(["**".to_owned()])
        .filter_map(|text| TopicFilter::new(text).ok())
        .collect();
    let matched: Vec<Vec<bool>> = filters
        .iter()
        .map(|filter| names.iter().map(|name| filter.matches(name)).collect())
        .collect();
    let mut covered = 0;
    for (one, ones) in filters.iter().zip(&matched) {
        for (other, others) in filters.iter().zip(&matched) {
            let is_covered = others.iter().zip(ones).all(|(other, one)| *one || !*other);
            assert_eq!(one.covers(other), is_covered, "{one} and {other}");
            covered += usize::from(is_covered);
        }
    }
    println!("{covered} of {} pairs", filters.len().pow(2));
    assert!(covered > 3 * filters.len());
}

fn random_text(rng: &mut Rng, levels: &[&str], rest: u64) -> String {
    let mut all: Vec<&str> = (0..=rng.below(5)).map(|_| rng.pick(levels)).collect();
    if rng.chance(rest) {
        all.push("**");
    }
    all.join("/")
}

#[test]
fn what_a_random_filter_covers_it_matches_and_where_it_does_not_there_is_a_name_that_tells() {
    let first = seed(1);
    let (mut covered, mut told) = (0, 0);
    for seed in first..first + 20_000 {
        let mut rng = Rng::new(seed);
        let mut one = random_text(&mut rng, &["a", "b", "*", "*"], 50);
        let other = random_text(&mut rng, &["a", "b", "", "*"], 30);
        if rng.chance(50) {
            // One that is wider in some levels.
            let widen =
                |level: &str| if rng.chance(40) { "*".to_owned() } else { level.to_owned() };
            let levels: Vec<String> = other.trim_end_matches("/**").split('/').map(widen).collect();
            one = levels.join("/") + if rng.chance(60) { "/**" } else { "" };
        }
        let (Ok(one), Ok(other)) = (TopicFilter::new(&one), TopicFilter::new(&other)) else {
            continue;
        };
        let is_covered = one.covers(&other);
        // Names that `other` matches: with a level that no filter names in the place of `*`, and none,
        // one and two of them in that of `**`.
        let mut body: Vec<&str> = other.as_str().split('/').collect();
        let rests: &[&[&str]] = match body.pop_if(|last| *last == "**") {
            Some(_) => &[&[], &["z"], &["z", "z"]],
            None => &[&[]],
        };
        let mut is_told = false;
        for rest in rests {
            let name = [&body[..], rest].concat().join("/").replace('*', "z");
            // Only the empty one is none.
            let Ok(name) = TopicName::new(&name) else { continue };
            assert!(other.matches(&name));
            assert!(!is_covered || one.matches(&name), "SANSSE_SEED={seed}: {one} {other} {name}");
            is_told |= !one.matches(&name);
        }
        for _ in 0..10 {
            let name = random_text(&mut rng, &["a", "b", "", "c"], 0);
            let Ok(name) = TopicName::new(&name) else { continue };
            let is_right = !is_covered || !other.matches(&name) || one.matches(&name);
            assert!(is_right, "SANSSE_SEED={seed}: {one} {other} {name}");
        }
        assert!(is_covered || is_told, "SANSSE_SEED={seed}: {one} and {other}");
        covered += usize::from(is_covered);
        told += usize::from(is_told);
    }
    println!("{covered} cover, {told} do not");
    assert!(covered > 1_000 && told > 1_000, "{covered}, {told}");
}

// Who is refused what.

#[test]
fn a_session_gets_what_is_permitted_and_is_refused_what_is_not() {
    let mut shard = Shard::new(config());
    for (permission, texts) in [
        (&["a"][..], &["b"][..]),
        (&["a/*"], &["a/**"]),
        (&["a/b", "a/c"], &["a/*"]),
        (&["a/*/c", "b/**"], &["b/c", "a/b/c", "*/c"]),
        (&[], &["a"]),
        (&["**"], &["a", "**"]),
        (&["a/**", "b"], &["a", "a/*", "a/**", "b"]),
        (&[], &[]),
    ] {
        let is_permitted =
            texts.iter().all(|text| permission.iter().any(|one| filter(one).covers(&filter(text))));
        let opened = shard.broker.open(shard.now, asking(permission, texts));
        assert_eq!(opened.err(), (!is_permitted).then_some(OpenError::NotPermitted), "{texts:?}");
    }
    // Without one, everything.
    let session = shard.parked(anyone().with_topic(filter("**")));
    shard.publish(topic("secret"), "heard");
    assert_eq!(shard.data(session), ["heard"]);
}

#[test]
fn a_session_that_is_refused_leaves_nothing_behind() {
    let mut shard = Shard::new(config());
    let before = shard.size();
    let refused = shard.broker.open(shard.now, asking(&["a"], &["a", "b"]));
    assert_eq!(refused, Err(OpenError::NotPermitted));
    assert_eq!(shard.events(), []);
    let counters = shard.broker.counters();
    assert_eq!((counters.sessions, counters.clients, counters.topics), (0, 0, 0));
    assert_eq!((counters.refused.not_permitted, counters.refused.total()), (1, 1));
    // The counter itself.
    assert_eq!(shard.size(), before, "{:?}", shard.broker);
    assert_eq!(shard.broker.retry_after(shard.now, &OpenError::NotPermitted), None);
}

#[test]
fn a_session_that_may_not_hear_a_topic_does_not_learn_that_it_has_ended() {
    let mut shard = Shard::new(config());
    shard.broker.topic_mut(&topic("secret")).end(shard.now).unwrap();
    let only = |permission: &[&str]| asking(permission, &["secret"]).topics_only();
    let now = shard.now;
    assert_eq!(shard.broker.open(now, only(&["other"])), Err(OpenError::NotPermitted));
    assert_eq!(shard.broker.open(now, only(&["secret"])), Err(OpenError::TopicsEnded));
}

#[test]
fn what_is_not_permitted_is_refused_later_too_and_nothing_is_done() {
    let mut shard = Shard::new(config());
    let session = shard.parked(asking(&["room/*", "news"], &["room/1"]));
    shard.publish(topic("room/2"), "before");
    shard.events();
    let before = shard.size();
    for text in ["secret", "room/**", "**", "room/1/secret"] {
        let refused =
            shard.broker.session_mut(session).subscribe(shard.now, filter(text), StartAt::Oldest);
        assert_eq!(refused, Err(SubscribeError::NotPermitted), "{text}");
    }
    assert_eq!(shard.size(), before);
    // What it has already is no new subscription.
    for (text, replayed) in [("room/1", 0), ("news", 0), ("room/*", 1)] {
        let outcome =
            shard.broker.session_mut(session).subscribe(shard.now, filter(text), StartAt::Oldest);
        assert_eq!(outcome.unwrap().replayed(), replayed, "{text}");
    }
    assert_eq!(shard.data(session), ["before"]);
}

#[test]
fn the_broadcast_and_what_is_for_one_alone_need_no_permission() {
    let mut shard = Shard::new(config());
    let session = shard.parked(permitted(&[]));
    shard.broadcast("all");
    shard.publish(client("alice"), "her");
    shard.publish(session, "it");
    assert_eq!(shard.data(session), ["all", "her", "it"]);
}

#[test]
fn a_permission_is_bounded_and_naming_something_twice_is_the_same_as_once() {
    let mut config = config();
    config.limits.permitted_per_session = 2;
    let mut shard = Shard::new(config);
    let error = OpenError::TooManyPermitted { limit: 2 };
    assert_eq!(shard.broker.open(shard.now, permitted(&["a", "b", "c"])), Err(error));
    assert_eq!(shard.broker.retry_after(shard.now, &error), None);
    assert_eq!(shard.broker.counters().refused.invalid, 1);
    assert_eq!(shard.events(), []);
    shard.open(permitted(&["a", "b", "a", "b"]));
    // What was said last holds.
    let session = shard.open(permitted(&["a", "b", "c"]).with_permitted([filter("d")]));
    let subscribed =
        shard.broker.session_mut(session).subscribe(shard.now, filter("a"), StartAt::Now);
    assert_eq!(subscribed, Err(SubscribeError::NotPermitted));
}

// What is taken away.

#[test]
fn a_revoked_topic_stays_forbidden_for_the_rest_of_the_session() {
    let mut shard = Shard::new(config());
    // Of these, one has the topic, and the other one might ask for it.
    let has = shard.parked(asking(&["room/*"], &["room/7"]));
    let might = shard.parked(asking(&["room/**"], &["room/8"]));
    let free = shard.parked(session_of("alice").with_topic(topic("room/7")));
    let bob = shard.parked(permitted(&["room/*"]).with_client(client("bob")));
    assert_eq!(
        shard.broker.client_mut(&client("alice")).revoke_topic(shard.now, &topic("room/7")),
        Ok(2)
    );
    for session in [has, might] {
        for text in ["room/7", "room/*"] {
            let refused =
                shard.broker.session_mut(session).subscribe(shard.now, filter(text), StartAt::Now);
            assert_eq!(refused, Err(SubscribeError::NotPermitted), "{text}");
        }
        // Everything else is as it was.
        for text in ["room/8", "room/9"] {
            assert!(
                shard
                    .broker
                    .session_mut(session)
                    .subscribe(shard.now, filter(text), StartAt::Now)
                    .is_ok()
            );
        }
    }
    let deeper =
        shard.broker.session_mut(might).subscribe(shard.now, filter("room/7/*"), StartAt::Now);
    assert_eq!(deeper, Ok(Resumption::Live), "what only looks like it");
    let all = shard.broker.session_mut(might).subscribe(shard.now, filter("room/**"), StartAt::Now);
    assert_eq!(all, Err(SubscribeError::NotPermitted));
    // Without a permission the caller decides, and other clients are not concerned.
    for session in [free, bob] {
        let again =
            shard.broker.session_mut(session).subscribe(shard.now, topic("room/7"), StartAt::Now);
        assert_eq!(again, Ok(Resumption::Live));
    }
    shard.publish(topic("room/7"), "x");
    let heard = [has, might, free, bob].map(|session| shard.data(session).len());
    assert_eq!(heard, [0, 0, 1, 1]);
    // With what it may hear, it is let in again.
    shard.open(asking(&["room/*"], &["room/7"]));
}

#[test]
fn a_session_from_which_too_much_was_revoked_ends() {
    let mut config = config();
    config.limits.permitted_per_session = 2;
    let mut shard = Shard::new(config);
    let session = shard.parked(permitted(&["room/*"]));
    let listed = shard.parked(permitted(&["room/1", "room/2"]));
    let revoke = |shard: &mut Shard, name: &str| {
        shard.broker.client_mut(&client("alice")).revoke_topic(shard.now, &topic(name)).unwrap()
    };
    // What it may not hear anyway takes no room, nor what is revoked again.
    for name in ["room/1", "room/2", "room/1", "hall", "room/1/1"] {
        assert_eq!(revoke(&mut shard, name), 0);
    }
    shard.events();
    assert_eq!(revoke(&mut shard, "room/3"), 0, "it did not hear it");
    let ended = BrokerEvent::SessionEnded {
        session,
        client: Some(client("alice")),
        reason: EndReason::Revoked,
        undelivered: 0,
    };
    assert_eq!(shard.events(), [ended]);
    assert_eq!(shard.take(session), [END]);
    assert!(shard.broker.session(listed).is_open());
}
