//! Ids under a key: only what the broker gave out leads anywhere.

use crate::kit::broker::*;
use crate::kit::seed;
use sansse::broker::*;
use sansse::{Event, LastEventId, LossReason, Notice};
use std::num::NonZeroU16;

const SECRET: &[u8] = b"thirty-two bytes of randomness..";
const NEXT_SECRET: &[u8] = b"thirty-two bytes for another day";

fn keys() -> CursorKeys {
    CursorKeys::new(SECRET).unwrap()
}

fn signed() -> BrokerConfig {
    let mut config = config();
    config.cursor_keys = Some(keys());
    config
}

/// The id of a published event, as its receivers see it.
fn id_of(published: &Published) -> String {
    let text = text(published.frame().as_ref());
    text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned()
}

fn resume(shard: &mut Shard, last: &str) -> Resumption {
    let opened = shard.broker.open(shard.now, after(last)).unwrap();
    shard.take(opened.session);
    shard.broker.handle_disconnect(shard.now, opened.session);
    shard.events();
    opened.resumption
}

/// A shard with three events, and their ids.
fn with_three(config: BrokerConfig) -> (Shard, Vec<String>) {
    let mut shard = Shard::new(config);
    let ids = ["a", "b", "c"].map(|data| id_of(&shard.publish(Audience::Everyone, data)));
    (shard, ids.to_vec())
}

#[test]
fn each_place_that_was_given_out_is_one_to_come_back_to() {
    let mut shard = Shard::new(signed());
    let opening = shard.parked(anyone());
    shard.broker.handle_disconnect(shard.now, opening);
    let session = shard.open(anyone());
    let place = shard.next(session).unwrap();
    let place = place.lines().next().unwrap().strip_prefix("id: ").unwrap().to_owned();
    assert!(place.starts_with("e-0-") && place.len() == 4 + 22, "{place}");
    let ids = ["a", "b", "c"].map(|data| id_of(&shard.publish(Audience::Everyone, data)));
    assert_eq!(resume(&mut shard, &place), Resumption::Complete { replayed: 3 });
    for (index, id) in ids.iter().enumerate() {
        assert!(id.starts_with(&format!("e-{}-", index + 1)), "{id}");
        let replayed = 2 - index as u64;
        assert_eq!(resume(&mut shard, id), Resumption::Complete { replayed }, "{id}");
    }
}

#[test]
fn a_place_made_by_hand_is_forged_and_gets_nothing() {
    let (mut shard, ids) = with_three(signed());
    let code = &ids[0][4..];
    let forged = [
        "e-0".to_owned(),
        "e-1".to_owned(),
        "e-1-".to_owned(),
        "d-1".to_owned(),
        format!("e-0-{code}"),
        format!("e-2-{code}"),
        format!("e-9-{code}"),
        format!("d-1-{code}"),
        format!("{}A", ids[0]),
        ids[0][..ids[0].len() - 1].to_owned(),
        format!("e-1-{}", "A".repeat(22)),
        format!("e-1-{}", code.to_lowercase()),
        format!("e-18446744073709551615-{code}"),
    ];
    for last in forged {
        let opened = shard.broker.open(shard.now, after(&last)).unwrap();
        assert_eq!(opened.resumption, Resumption::Forged, "{last}");
        assert!(opened.resumption.may_miss() && opened.resumption.replayed() == 0);
        let frames = shard.take(opened.session);
        let gap = Notice::Gap { replayed: 0, lost: None, reason: LossReason::ForgedId };
        let gap = format!("id: {}\n{}", ids[2], told(gap));
        assert_eq!(frames, [gap], "it starts where the stream is");
    }
    // What is no place at all is told apart, and gets no more.
    for last in ["nonsense", "e", "-", "e-x", "E-1", "e-01", &ids[0][1..], &"x".repeat(2_000)] {
        assert_eq!(resume(&mut shard, last), Resumption::UnknownId { replayed: 0 }, "{last}");
    }
    let malformed = anyone().with_last_event_id(LastEventId::Malformed);
    let opened = shard.broker.open(shard.now, malformed).unwrap();
    assert_eq!(opened.resumption, Resumption::UnknownId { replayed: 0 });
}

#[test]
fn no_id_but_the_exact_one_is_taken() {
    let seed = seed(8);
    let mut rng = Rng::new(seed);
    let (mut shard, ids) = with_three(signed());
    let letters: Vec<char> = ('!'..='~').chain(['é', ' ']).collect();
    for _ in 0..20_000 {
        let mut text: Vec<char> = rng.pick(&[0, 1, 2].map(|index| &ids[index])).chars().collect();
        for _ in 0..=rng.below(3) {
            let at = usize::try_from(rng.below(text.len() as u64)).unwrap();
            match rng.below(3) {
                0 => text[at] = rng.pick(&letters),
                1 => text.insert(at, rng.pick(&letters)),
                _ => drop(text.remove(at)),
            }
        }
        let text: String = text.into_iter().collect();
        let outcome = resume(&mut shard, &text);
        match ids.iter().position(|id| *id == text) {
            Some(index) => {
                assert_eq!(outcome, Resumption::Complete { replayed: 2 - index as u64 });
            }
            None => assert!(
                matches!(outcome, Resumption::Forged | Resumption::UnknownId { replayed: 0 }),
                "{text:?}: {outcome:?}, seed {seed}"
            ),
        }
    }
}

#[test]
fn a_place_of_an_earlier_life_is_believed_only_with_its_code() {
    let mut earlier = signed();
    earlier.epoch = Epoch(0xd);
    let (_, old) = with_three(earlier);
    let (mut shard, _) = with_three(signed());
    assert_eq!(resume(&mut shard, &old[1]), Resumption::OtherEpoch { replayed: 0 });
    assert_eq!(resume(&mut shard, "d-2"), Resumption::Forged);
    // Where all that is kept is promised, the code decides who gets it.
    let mut generous = signed();
    generous.session.on_unknown_id = OnUnknownId::ReplayKept;
    let (mut shard, _) = with_three(generous);
    assert_eq!(resume(&mut shard, &old[1]), Resumption::OtherEpoch { replayed: 3 });
    assert_eq!(resume(&mut shard, "d-2"), Resumption::Forged);
    assert_eq!(resume(&mut shard, "nonsense"), Resumption::UnknownId { replayed: 0 });
}

#[test]
fn a_place_that_only_another_shard_has_reached_is_believed_only_with_its_code() {
    let (mut shard, _) = with_three(signed());
    let mut elsewhere = Sequencer::new(Epoch(0xe), 3, EventIds::Assigned);
    elsewhere.set_cursor_keys(keys());
    let ahead = elsewhere.publish(Audience::Everyone, &Event::new("d"));
    assert_eq!(resume(&mut shard, &id_of(&ahead)), Resumption::Ahead { replayed: 0 });
    assert_eq!(resume(&mut shard, "e-4"), Resumption::Forged);
    shard.broker.shard_mut().apply(shard.now, &ahead).unwrap();
    assert_eq!(resume(&mut shard, &id_of(&ahead)), Resumption::Complete { replayed: 0 });
}

#[test]
fn streams_with_one_secret_and_one_epoch_refuse_each_others_ids() {
    let of_stream = |name: &str| {
        let mut config = config();
        config.cursor_keys = Some(keys().for_stream(name));
        with_three(config)
    };
    let (mut prices, price_ids) = of_stream("prices");
    let (mut chat, chat_ids) = of_stream("chat");
    assert_eq!(resume(&mut prices, &price_ids[0]), Resumption::Complete { replayed: 2 });
    assert_eq!(resume(&mut chat, &chat_ids[0]), Resumption::Complete { replayed: 2 });
    for index in 0..3 {
        assert_eq!(resume(&mut chat, &price_ids[index]), Resumption::Forged);
        assert_eq!(resume(&mut prices, &chat_ids[index]), Resumption::Forged);
    }
}

#[test]
fn every_shard_believes_what_any_of_them_gave_out() {
    let mut sequencer = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
    sequencer.set_cursor_keys(keys());
    let mut shards: Vec<Shard> = ShardNumber::all(NonZeroU16::new(3).unwrap())
        .map(|shard| {
            let mut config = signed();
            config.shard = shard;
            Shard::new(config)
        })
        .collect();
    let published = ["a", "b"].map(|data| sequencer.publish(Audience::Everyone, &Event::new(data)));
    for shard in &mut shards {
        for published in &published {
            shard.broker.shard_mut().apply(shard.now, published).unwrap();
        }
    }
    for shard in &mut shards {
        assert_eq!(resume(shard, &id_of(&published[0])), Resumption::Complete { replayed: 1 });
        assert_eq!(resume(shard, "e-1"), Resumption::Forged);
    }
}

#[test]
fn the_application_is_told_that_a_place_is_forged() {
    let (mut shard, _) = with_three(signed());
    shard.parked(after("e-1"));
    let told = shard.events().pop();
    assert!(
        matches!(told, Some(BrokerEvent::SessionOpened { resumption: Resumption::Forged, .. })),
        "{told:?}"
    );
}

#[test]
fn an_id_that_an_event_brought_is_not_signed_and_found_as_long_as_it_is_kept() {
    let mut config = signed();
    config.retention.events = 2.try_into().unwrap();
    let mut shard = Shard::new(config);
    for own in ["mine", "e-7"] {
        let event = Event::new("x").with_id(id(own));
        let published = shard.broker.publish(shard.now, Audience::Everyone, &event).unwrap();
        assert_eq!(id_of(&published), own);
    }
    assert_eq!(resume(&mut shard, "mine"), Resumption::Complete { replayed: 1 });
    assert_eq!(resume(&mut shard, "e-7"), Resumption::Complete { replayed: 0 });
    shard.broadcast("one more");
    assert_eq!(resume(&mut shard, "mine"), Resumption::UnknownId { replayed: 0 });
    shard.broadcast("and another");
    assert_eq!(resume(&mut shard, "e-7"), Resumption::Forged, "it reads like a place now");
}

#[test]
fn a_key_is_changed_without_anybody_losing_a_place() {
    let (mut shard, old) = with_three(signed());
    let next = CursorKeys::new(NEXT_SECRET).unwrap();
    // Before anything is signed with it, every machine accepts it.
    shard.broker.shard_mut().set_cursor_keys(keys().accepting(NEXT_SECRET).unwrap()).unwrap();
    let mut elsewhere = Shard::new({
        let mut config = config();
        config.cursor_keys = Some(next.clone().accepting(SECRET).unwrap());
        config
    });
    let news: Vec<_> =
        ["a", "b", "c"].map(|data| id_of(&elsewhere.publish(Audience::Everyone, data))).into();
    assert_ne!(old, news);
    for shard in [&mut shard, &mut elsewhere] {
        for (index, (old, new)) in old.iter().zip(&news).enumerate() {
            let expected = Resumption::Complete { replayed: 2 - index as u64 };
            assert_eq!(resume(shard, old), expected);
            assert_eq!(resume(shard, new), expected);
        }
    }
    // Now it signs with the new one, and in the end it forgets the old one.
    shard.broker.shard_mut().set_cursor_keys(next.clone().accepting(SECRET).unwrap()).unwrap();
    assert_eq!(resume(&mut shard, &old[0]), Resumption::Complete { replayed: 2 });
    let signed_with_new = id_of(&shard.publish(Audience::Everyone, "d"));
    shard.broker.shard_mut().set_cursor_keys(next).unwrap();
    assert_eq!(resume(&mut shard, &old[0]), Resumption::Forged);
    assert_eq!(resume(&mut shard, &news[0]), Resumption::Complete { replayed: 3 });
    assert_eq!(resume(&mut shard, &signed_with_new), Resumption::Complete { replayed: 0 });
}

#[test]
fn no_secret_is_in_debug_output() {
    let keys = CursorKeys::new(SECRET).unwrap().accepting(NEXT_SECRET).unwrap();
    let shown = r#"CursorKeys { stream: "prices", keys: 2, hides_places: false, .. }"#;
    let keys = keys.for_stream("prices");
    assert_eq!(format!("{keys:?}"), shown);
    let mut config = config();
    config.cursor_keys = Some(keys);
    let broker = format!("{:?}", Shard::new(config.clone()).broker);
    for text in [format!("{config:?}"), broker] {
        assert!(text.contains(shown), "{text}");
        assert!(!text.contains("thirty-two") && !text.contains(&format!("{SECRET:?}")), "{text}");
    }
}

#[test]
fn keys_that_cannot_hold_are_refused() {
    assert_eq!(CursorKeys::new(b"").unwrap_err(), KeyError::TooShort { length: 0 });
    assert_eq!(CursorKeys::new(&[7; 15]).unwrap_err(), KeyError::TooShort { length: 15 });
    assert_eq!(keys().accepting(b"short").unwrap_err(), KeyError::TooShort { length: 5 });
    for length in [MIN_SECRET, 64, 65, 10_000] {
        assert!(CursorKeys::new(&vec![7; length]).is_ok(), "{length}");
    }
    let mut config = signed();
    config.event_ids = EventIds::Own;
    let mut shard = Shard::new(crate::kit::broker::config());
    let refused = Broker::new(shard.now, config.clone()).unwrap_err();
    assert_eq!(refused, ConfigError::NothingToSign);
    config.cursor_keys = None;
    let mut own = Broker::new(shard.now, config).unwrap();
    assert_eq!(own.shard_mut().set_cursor_keys(keys()), Err(ConfigError::NothingToSign));
    // A broker whose ids were plain believes none of them from then on.
    shard.broadcast("a");
    shard.broker.shard_mut().set_cursor_keys(keys()).unwrap();
    assert_eq!(resume(&mut shard, "e-0"), Resumption::Forged);
}

fn hidden() -> BrokerConfig {
    let mut config = config();
    config.cursor_keys = Some(keys().hiding_places());
    config
}

#[test]
fn a_hidden_place_is_one_to_come_back_to_and_says_nothing() {
    let mut shard = Shard::new(hidden());
    let session = shard.open(anyone());
    let place = shard.next(session).unwrap();
    let place = place.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    let mut ids = vec![place];
    ids.extend((0..50).map(|_| id_of(&shard.publish(Audience::Everyone, "x"))));
    for (index, id) in ids.iter().enumerate() {
        let replayed = 50 - index as u64;
        assert_eq!(resume(&mut shard, id), Resumption::Complete { replayed }, "{id}");
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        assert!(id.len() == 44 && id.chars().all(is_base64), "{id}");
    }
    // Neighbours have nothing in common: of 22 characters that are alike by chance, one of 64 is.
    for pair in ids.windows(2) {
        let same = pair[0].chars().zip(pair[1].chars()).filter(|(one, other)| one == other);
        assert!(same.count() < 12, "{pair:?}");
    }
    let mut sorted = ids.clone();
    sorted.sort();
    assert_ne!(sorted, ids, "their order is not that of the places");
}

#[test]
fn both_forms_are_read_whichever_is_written_and_whatever_the_secret() {
    let next = |keys: CursorKeys| keys.accepting(SECRET).unwrap();
    let (_, shown) = with_three(signed());
    let (_, hid) = with_three(hidden());
    let mut renewed = config();
    renewed.cursor_keys = Some(next(CursorKeys::new(NEXT_SECRET).unwrap()).hiding_places());
    for settings in [signed(), hidden(), renewed] {
        let (mut shard, _) = with_three(settings);
        for (index, (shown, hid)) in shown.iter().zip(&hid).enumerate() {
            let replayed = 2 - index as u64;
            assert_eq!(resume(&mut shard, shown), Resumption::Complete { replayed });
            assert_eq!(resume(&mut shard, hid), Resumption::Complete { replayed });
        }
    }
}

#[test]
fn a_hidden_place_that_was_not_given_out_is_forged_and_gets_nothing() {
    let (mut shard, ids) = with_three(hidden());
    let (first, second) = (&ids[0], &ids[1]);
    let other = |change: fn(CursorKeys) -> CursorKeys| {
        let mut config = config();
        config.cursor_keys = Some(change(keys()).hiding_places());
        with_three(config).1[0].clone()
    };
    for last in [
        format!("{}{}", &first[..22], &second[22..]),
        format!("{}{}", &first[22..], &first[..22]),
        format!("{}{}", "A".repeat(22), &first[22..]),
        "A".repeat(44),
        other(|keys| keys.for_stream("another")),
        other(|_| CursorKeys::new(NEXT_SECRET).unwrap()),
        "e-1".to_owned(),
        format!("e-1-{}", &first[22..]),
    ] {
        assert_eq!(resume(&mut shard, &last), Resumption::Forged, "{last}");
    }
    for last in ["nonsense", &first[..43], &format!("{first}A"), &"+".repeat(44), &"é".repeat(22)]
    {
        assert_eq!(resume(&mut shard, last), Resumption::UnknownId { replayed: 0 }, "{last}");
    }
    let seed = seed(9);
    let mut rng = Rng::new(seed);
    let letters: Vec<char> = ('!'..='~').collect();
    for _ in 0..5_000 {
        let mut text: Vec<char> = first.chars().collect();
        let at = usize::try_from(rng.below(44)).unwrap();
        text[at] = rng.pick(&letters);
        let text: String = text.into_iter().collect();
        let outcome = resume(&mut shard, &text);
        assert!(text == *first || outcome.replayed() == 0 && outcome.may_miss(), "{text} {seed}");
    }
}

#[test]
fn an_id_of_another_life_says_so_though_it_is_hidden() {
    let (_, ids) = with_three(hidden());
    let mut config = hidden();
    config.epoch = Epoch(0xf);
    let mut shard = Shard::new(config);
    assert_eq!(resume(&mut shard, &ids[2]), Resumption::OtherEpoch { replayed: 0 });
    let mut shard = Shard::new(hidden());
    assert_eq!(resume(&mut shard, &ids[2]), Resumption::Ahead { replayed: 0 });
}

#[test]
fn all_shards_write_one_hidden_id_for_one_place() {
    let mut sequencer = Sequencer::new(Epoch(0xe), 0, EventIds::Assigned);
    sequencer.set_cursor_keys(keys().hiding_places());
    let published = sequencer.publish(Audience::Everyone, &Event::new("a"));
    let (_, ids) = with_three(hidden());
    assert_eq!(id_of(&published), ids[0]);
    assert_eq!(format!("{:?}", keys().hiding_places()).matches("hides_places: true").count(), 1);
}
