//! Ids that only their broker can make: positions under a message authentication code.

use super::Broker;
use super::config::{ConfigError, EventIds};
use super::names::Cursor;
use crate::event::EventId;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The shortest secret, in bytes: as long as the code that it makes.
pub const MIN_SECRET: usize = 16;

/// The secrets that sign the ids which a broker makes, so that a peer can come back only to a
/// place that it was given.
///
/// An id is then `epoch-position-code`. The code is the HMAC (RFC 2104) with SHA-256 of
/// `sansse`, NUL, the [stream's name](Self::for_stream), NUL and the text `epoch-position`, cut to
/// its first 128 bits (RFC 2104, 5) and written in base64url without padding (RFC 4648, 5), 22
/// characters. Any program that has the secret can make and check it. Codes are compared in
/// constant time.
///
/// With keys, a peer gets something replayed only for an id with the right code, or for the id
/// that an event brought and that is still kept. What has a position and not its code is
/// [`Resume::Forged`](super::Resume::Forged), and nothing is replayed for an unknown id either,
/// whatever [`BrokerConfig::unresumable`](super::BrokerConfig::unresumable) says. Ids that events
/// bring are not signed: whoever knows one that is kept can start from there.
///
/// The code proves that the id was given out, not to whom: what a session may read is for the
/// topics of its request to say.
///
/// The secret must be the same on all shards and machines of the stream, and where ids shall
/// outlive a restart. It is never shown, nor in `Debug` output. Clones share the keys.
///
/// ```
/// use sansse::broker::{
///     Broker, BrokerConfig, CursorKeys, Epoch, Resume, SessionRequest, Topic,
/// };
/// use sansse::{Event, LastEventId};
/// # let now = std::time::Instant::now();
///
/// // From the deployment's secrets; 32 random bytes are right.
/// let secret = [0x5a; 32];
/// let mut config = BrokerConfig::new(Epoch(0xbeef));
/// config.cursor_keys = Some(CursorKeys::new(&secret)?.for_stream("prices"));
/// let mut broker = Broker::new(now, config)?;
///
/// let published = broker.publish(now, Topic::Broadcast, &Event::new("hello"))?;
/// let frame = std::str::from_utf8(published.frame().as_ref())?;
/// assert_eq!(frame, "id: beef-1-YjVnx0VpeOufi2z4MoDQCQ\ndata: hello\n\n");
///
/// let mut resume = |id: &str| {
///     let id = LastEventId::from_header(id.as_bytes());
///     let request = SessionRequest::new().with_last_event_id(id);
///     broker.open(now, request).map(|opened| opened.resume)
/// };
/// assert_eq!(resume("beef-1-YjVnx0VpeOufi2z4MoDQCQ")?, Resume::Complete { replayed: 0 });
/// assert_eq!(resume("beef-0-YjVnx0VpeOufi2z4MoDQCQ")?, Resume::Forged);
/// assert_eq!(resume("beef-0")?, Resume::Forged);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// To change the secret, let every machine [accept](Self::accepting) the new one first, then sign
/// with the new one and accept the old one for as long as ids live, which is the age of what is
/// kept. [`Broker::set_cursor_keys`](super::Broker::set_cursor_keys) does both without a restart.
#[derive(Clone)]
pub struct CursorKeys {
    stream: Arc<str>,
    /// The one that signs first, then those that are accepted as well.
    keys: Arc<Vec<Hmac<Sha256>>>,
}

impl CursorKeys {
    /// Signs with `secret`, and accepts what it signed. 32 random bytes are right; no more than
    /// [`MIN_SECRET`] are required.
    ///
    /// # Errors
    ///
    /// [`KeyError`] for a secret that is too short, by the caller's fault.
    pub fn new(secret: &[u8]) -> Result<Self, KeyError> {
        Ok(Self { stream: "".into(), keys: Arc::new(alloc::vec![key(secret)?]) })
    }

    /// Accepts as well what `secret` signed: an earlier one for a time, or the next one before any
    /// machine signs with it. Each costs another check for an id that is forged.
    ///
    /// # Errors
    ///
    /// [`KeyError`] for a secret that is too short, by the caller's fault.
    pub fn accepting(mut self, secret: &[u8]) -> Result<Self, KeyError> {
        Arc::make_mut(&mut self.keys).push(key(secret)?);
        Ok(self)
    }

    /// Binds ids to a stream by its name, so that streams with one secret refuse each other's ids,
    /// also where their epochs are alike. Any text; default: the empty one.
    pub fn for_stream(mut self, name: &str) -> Self {
        self.stream = name.into();
        self
    }

    pub(super) fn sign(&self, cursor: Cursor) -> EventId {
        let place = cursor.event_id();
        let mut code = [0; CODE];
        // There is always a first.
        if let Some(key) = self.keys.first() {
            let whole = self.mac(key, place.as_str()).finalize().into_bytes();
            code.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        }
        EventId::trusted(format!("{place}-{}", encode(&code)))
    }

    /// The cursor in `id`, if its code is right.
    pub(super) fn verify(&self, id: &EventId) -> Result<Cursor, Unsigned> {
        let text = id.as_str();
        let signed = text
            .len()
            .checked_sub(CODE_TEXT + 1)
            .and_then(|end| text.split_at_checked(end))
            .and_then(|(place, code)| Some((place, decode(code.strip_prefix('-')?)?)))
            .and_then(|(place, code)| Some((place, parse(place)?, code)));
        let Some((place, cursor, code)) = signed else {
            return Err(if has_place(text) { Unsigned::Forged } else { Unsigned::Unknown });
        };
        let is_right = |key| self.mac(key, place).verify_truncated_left(&code).is_ok();
        if self.keys.iter().any(is_right) { Ok(cursor) } else { Err(Unsigned::Forged) }
    }

    fn mac(&self, key: &Hmac<Sha256>, place: &str) -> Hmac<Sha256> {
        let mut mac = key.clone();
        // Neither the first nor the last part holds NUL, so that no two messages are alike.
        for part in ["sansse", "\0", &self.stream, "\0", place] {
            mac.update(part.as_bytes());
        }
        mac
    }
}

impl fmt::Debug for CursorKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CursorKeys")
            .field("stream", &self.stream)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// Signs the ids of all that is published from now on with other keys. What the earlier ones
    /// signed stays valid if the new keys [accept](CursorKeys::accepting) it; without that, whoever
    /// holds such an id is told that it is [forged](super::Resume::Forged).
    ///
    /// # Errors
    ///
    /// [`ConfigError::NothingToSign`] with [`EventIds::Own`]; then nothing was done.
    pub fn set_cursor_keys(&mut self, keys: CursorKeys) -> Result<(), ConfigError> {
        if self.sequencer.ids() == EventIds::Own {
            return Err(ConfigError::NothingToSign);
        }
        self.sequencer.set_cursor_keys(keys);
        Ok(())
    }
}

/// Why an id is no signed cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsigned {
    /// It names a place without the code for it.
    Forged,
    /// It names no place at all.
    Unknown,
}

/// Why a secret is none, by the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// It is shorter than [`MIN_SECRET`].
    TooShort {
        /// Its length in bytes.
        length: usize,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { length } => {
                write!(f, "a secret of {length} bytes, fewer than {MIN_SECRET}")
            }
        }
    }
}

impl core::error::Error for KeyError {}

/// How many bytes of the code are kept, and how many characters they take.
const CODE: usize = 16;
const CODE_TEXT: usize = 22;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn key(secret: &[u8]) -> Result<Hmac<Sha256>, KeyError> {
    let length = secret.len();
    if length < MIN_SECRET {
        return Err(KeyError::TooShort { length });
    }
    // HMAC takes keys of any length.
    Hmac::new_from_slice(secret).map_err(|_| KeyError::TooShort { length })
}

fn parse(place: &str) -> Option<Cursor> {
    Cursor::parse(&EventId::trusted(place.into()))
}

/// Whether the text begins with a place, such as one without a code, or with a wrong one.
fn has_place(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    match (parts.next(), parts.next()) {
        (Some(epoch), Some(position)) => parse(&format!("{epoch}-{position}")).is_some(),
        _ => false,
    }
}

fn encode(code: &[u8; CODE]) -> String {
    let bits = u128::from_be_bytes(*code);
    let digit = |index: usize| {
        // The last of 22 times 6 bits has four that are not of the code, and zero.
        let shift = 122 - 6 * index.min(CODE_TEXT - 2);
        let six = if index == CODE_TEXT - 1 { bits << 4 } else { bits >> shift };
        char::from(ALPHABET[(six & 63) as usize])
    };
    (0..CODE_TEXT).map(digit).collect()
}

/// Only the exact text that [`encode`] writes is a code.
fn decode(text: &str) -> Option<[u8; CODE]> {
    let mut bits = 0_u128;
    let mut last = 0;
    for (index, byte) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|letter| *letter == byte)? as u128;
        if index == CODE_TEXT - 1 {
            bits = bits << 2 | digit >> 4;
            last = digit & 15;
        } else {
            bits = bits << 6 | digit;
        }
    }
    (text.len() == CODE_TEXT && last == 0).then(|| bits.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Epoch;

    #[test]
    fn codes_are_written_as_rfc_4648_says() {
        assert_eq!(encode(&[0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(encode(&[0xff; 16]), "_____________________w");
        assert_eq!(encode(b"a cursor's code!"), "YSBjdXJzb3IncyBjb2RlIQ");
    }

    #[test]
    fn only_the_exact_text_of_a_code_is_one() {
        for code in [[0; 16], [0xff; 16], *b"a cursor's code!"] {
            let text = encode(&code);
            assert_eq!(decode(&text), Some(code));
            // Other values of the bits that are not of the code.
            for last in ALPHABET.map(char::from) {
                let other = format!("{}{last}", &text[..21]);
                assert_eq!(decode(&other).is_some(), "AQgw".contains(last), "{other}");
            }
            assert_eq!(decode(&text[1..]), None);
            assert_eq!(decode(&format!("{text}A")), None);
            assert_eq!(decode(&text.replace(&text[3..4], "+")), None);
        }
    }

    #[test]
    fn the_code_is_the_hmac_of_the_place() {
        let keys = CursorKeys::new(&[0x0b; 20]).unwrap().for_stream("Hi There");
        let cursor = Cursor { epoch: Epoch(0xbeef), position: 17 };
        // As other programs make it: Python's `hmac` and `base64`.
        assert_eq!(keys.sign(cursor).as_str(), "beef-17-vXTMhUF7ckdaamg-wMkymg");
    }
}
