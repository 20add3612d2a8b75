//! What the model does about ids under a key.
//!
//! That a code is the right one for its secret and its place is for the tests of the library to
//! say; here a place has the code that the library gives it, and no other.

use super::model::Model;
use sansse::broker::*;

/// How many secrets there are.
pub(super) const SECRETS: u64 = 3;

#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) signs: u64,
    pub(super) accepts: Vec<u64>,
}

/// What an id says of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceOf {
    At(u64, u64),
    Forged,
    Unknown,
}

#[cfg(feature = "signed")]
pub(super) fn cursor_keys(keys: &Keys) -> CursorKeys {
    let secret = |number: u64| [u8::try_from(number).unwrap() + 1; 32];
    let signs = CursorKeys::new(&secret(keys.signs)).unwrap();
    let others = keys.accepts.iter().filter(|number| **number != keys.signs);
    others.fold(signs, |keys, number| keys.accepting(&secret(*number)).unwrap())
}

/// The id that this secret gives to the place.
#[cfg(feature = "signed")]
pub(super) fn signed(secret: u64, epoch: u64, position: u64) -> String {
    let keys = cursor_keys(&Keys { signs: secret, accepts: Vec::new() });
    let id =
        |text: &str| text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    let Some(before) = position.checked_sub(1) else {
        // Only an opening tells the place before all events.
        let mut shard = super::kit::Shard::new({
            let mut config = BrokerConfig::new(Epoch(epoch));
            config.cursor_keys = Some(keys);
            config
        });
        let session = shard.open(SessionRequest::new());
        return id(&shard.next(session).unwrap());
    };
    let mut sequencer = Sequencer::new(Epoch(epoch), before, EventIds::Assigned);
    sequencer.set_cursor_keys(keys);
    let published = sequencer.publish(Topic::Broadcast, &sansse::Event::new("x"));
    id(&super::kit::text(published.frame().as_ref()))
}

#[cfg(not(feature = "signed"))]
pub(super) fn signed(_: u64, epoch: u64, position: u64) -> String {
    format!("{epoch:x}-{position}-AAAAAAAAAAAAAAAAAAAAAA")
}

impl Model {
    pub(super) fn id_of(&self, position: u64) -> String {
        let epoch = self.config.epoch.0;
        match &self.keys {
            Some(keys) => signed(keys.signs, epoch, position),
            None => format!("{epoch:x}-{position}"),
        }
    }

    pub(super) fn place_of(&self, id: &str) -> PlaceOf {
        if self.config.event_ids != EventIds::Assigned {
            return PlaceOf::Unknown;
        }
        let Some(keys) = &self.keys else {
            return place(id).map_or(PlaceOf::Unknown, |(epoch, at)| PlaceOf::At(epoch, at));
        };
        let parts: Vec<&str> = id.splitn(3, '-').collect();
        let first = parts[..parts.len().min(2)].join("-");
        let Some((epoch, position)) = place(&first) else { return PlaceOf::Unknown };
        let accepted = [keys.signs].into_iter().chain(keys.accepts.iter().copied());
        if accepted.into_iter().any(|secret| signed(secret, epoch, position) == id) {
            PlaceOf::At(epoch, position)
        } else {
            PlaceOf::Forged
        }
    }
}

/// The epoch and the position that an id of the broker's making says.
fn place(id: &str) -> Option<(u64, u64)> {
    let (epoch, position) = id.split_once('-')?;
    let place = (u64::from_str_radix(epoch, 16).ok()?, position.parse().ok()?);
    (format!("{:x}-{}", place.0, place.1) == id).then_some(place)
}
