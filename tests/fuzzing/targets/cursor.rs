//! Ids that peers send: only the exact text of a place is one, every place that was given out is
//! found again, and with a key nothing else leads anywhere.

use super::input::Input;
use super::kit::broker::{Shard, config, text};
use sansse::broker::{
    Audience, BrokerConfig, ClientId, Epoch, EventIds, MAX_NAME, PublishError, Resumption,
    SessionConfig, TopicName,
};
use sansse::{Event, EventId, LastEventId, UnusableId};

/// Two bytes say what was published; the rest is the value of a `Last-Event-ID` header.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let epochs = [0, 1, 0xe, 0xbeef, 10, u64::MAX];
    let epoch = Epoch(epochs[input.below(epochs.len())]);
    let events = input.below(8) as u64;
    let header = input.rest();
    plain(epoch, events, header);
    own(epoch, header);
    #[cfg(feature = "signed")]
    signed(epoch, events, header);
    names(header);
}

/// As many events as are kept.
const KEPT: u64 = 4;

fn settings(epoch: Epoch) -> BrokerConfig {
    let mut config = config();
    config.epoch = epoch;
    config.retention.events = usize::try_from(KEPT).unwrap().try_into().unwrap();
    config
}

fn open(shard: &mut Shard, header: &[u8]) -> (Resumption, u64) {
    let request = SessionConfig::new().with_last_event_id(LastEventId::from_header(header));
    let opened = shard.broker.open(shard.now, request).unwrap();
    let replayed = shard.data(opened.session).len() as u64;
    (opened.resumption, replayed)
}

fn plain(epoch: Epoch, events: u64, header: &[u8]) {
    let mut shard = Shard::new(settings(epoch));
    let mut places = vec![format!("{epoch}-0")];
    for number in 1..=events {
        let published = shard.publish(Audience::Everyone, "x");
        let frame = text(published.frame().as_ref());
        let id = frame.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
        assert_eq!(id, format!("{epoch}-{number}"));
        places.push(id.to_owned());
    }
    let lost = events.saturating_sub(KEPT);
    let after = |position: u64| {
        let replayed = events - position.max(lost);
        if position < lost {
            Resumption::Gap { replayed }
        } else {
            Resumption::Complete { replayed }
        }
    };
    for (position, id) in (0..).zip(&places) {
        assert_eq!(open(&mut shard, id.as_bytes()).0, after(position), "{id}");
    }
    let replayed = 0;
    let expected = match LastEventId::from_header(header) {
        LastEventId::Absent => Resumption::Live,
        LastEventId::Malformed => Resumption::UnknownId { replayed },
        LastEventId::Id(id) => match exact_place(id.as_str()) {
            None => Resumption::UnknownId { replayed },
            Some((other, _)) if other != epoch.0 => Resumption::OtherEpoch { replayed },
            Some((_, position)) if position > events => Resumption::Ahead { replayed },
            Some((_, position)) => after(position),
        },
    };
    let (outcome, replayed) = open(&mut shard, header);
    assert_eq!(outcome, expected);
    assert_eq!(replayed, outcome.replayed());
}

/// An id that an event brought is found, whatever its text is, unless it reads like a place.
fn own(epoch: Epoch, header: &[u8]) {
    let LastEventId::Id(id) = LastEventId::from_header(header) else { return };
    for ids in [EventIds::Own, EventIds::Assigned] {
        let mut config = settings(epoch);
        config.event_ids = ids;
        let mut shard = Shard::new(config);
        shard.publish(Audience::Everyone, "before");
        let event = Event::new("x").with_id(id.clone());
        let published = shard.broker.publish(shard.now, Audience::Everyone, &event);
        if ids == EventIds::Assigned && exact_place(id.as_str()).is_some() {
            assert_eq!(published, Err(PublishError::UnusableId(UnusableId::LikeAPlace)));
            continue;
        }
        published.unwrap();
        shard.publish(Audience::Everyone, "after");
        assert_eq!(open(&mut shard, header), (Resumption::Complete { replayed: 1 }, 1));
    }
}

#[cfg(feature = "signed")]
fn signed(epoch: Epoch, events: u64, header: &[u8]) {
    use sansse::broker::{CursorKeys, Sequencer};

    let keys = CursorKeys::new(&[5; 32]).unwrap();
    let mut config = settings(epoch);
    config.cursor_keys = Some(keys.clone());
    let mut shard = Shard::new(config);
    for _ in 0..events {
        shard.publish(Audience::Everyone, "x");
    }
    let lost = events.saturating_sub(KEPT);
    let expected = |other: u64, position: u64| match position {
        _ if other != epoch.0 => Resumption::OtherEpoch { replayed: 0 },
        _ if position > events => Resumption::Ahead { replayed: 0 },
        _ if position < lost => Resumption::Gap { replayed: events - lost },
        _ => Resumption::Complete { replayed: events - position },
    };
    let id_of = |epoch: u64, position: u64| {
        let mut sequencer = Sequencer::new(Epoch(epoch), position - 1, EventIds::Assigned);
        sequencer.set_cursor_keys(keys.clone());
        let published = sequencer.publish(Audience::Everyone, &Event::new("x"));
        let frame = text(published.frame().as_ref());
        frame.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned()
    };
    for position in 1..=2 * KEPT {
        let (id, expected) = (id_of(epoch.0, position), expected(epoch.0, position));
        assert_eq!(open(&mut shard, id.as_bytes()), (expected, expected.replayed()), "{id}");
    }
    let (outcome, replayed) = open(&mut shard, header);
    assert_eq!(replayed, outcome.replayed());
    let id = LastEventId::from_header(header);
    let text = id.id().map_or("", EventId::as_str);
    // A fuzzer sees what is compared, and so finds codes.
    let place = text.split_at_checked(text.len().saturating_sub(23)).map(|(place, _)| place);
    match (&id, place.and_then(exact_place)) {
        (LastEventId::Absent, _) => assert_eq!(outcome, Resumption::Live),
        _ if exact_place(text).is_some() => {
            assert_eq!(outcome, Resumption::Forged, "a place without a code");
        }
        // That of a stream's beginning is made only for an opening.
        (_, Some((_, 0))) => {}
        (_, Some((other, position))) if id_of(other, position) == text => {
            assert_eq!(outcome, expected(other, position));
        }
        _ => assert!(matches!(outcome, Resumption::Forged | Resumption::UnknownId { replayed: 0 })),
    }
}

fn names(bytes: &[u8]) {
    let name = String::from_utf8_lossy(bytes);
    let fits = (1..=MAX_NAME).contains(&name.len());
    let client = ClientId::new(&name);
    assert_eq!(client.is_ok(), fits, "{client:?}");
    if let Ok(topic) = TopicName::new(&name) {
        assert!(fits && topic.as_str() == name);
        assert!(!name.chars().any(char::is_control));
    }
    if let Ok(id) = EventId::new(name.clone().into_owned()) {
        assert!(id.as_str() == name && !name.contains(['\r', '\n', '\0']));
    }
}

/// The epoch and the position, if the text is exactly what a broker writes for them.
fn exact_place(text: &str) -> Option<(u64, u64)> {
    let (epoch, position) = text.split_once('-')?;
    let (number, place) = (u64::from_str_radix(epoch, 16).ok()?, position.parse::<u64>().ok()?);
    (format!("{number:x}") == epoch && place.to_string() == position).then_some((number, place))
}
