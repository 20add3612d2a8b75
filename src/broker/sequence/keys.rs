//! The keys that sign positions, so that only their broker can make ids. Without the feature
//! `signed` there are none, and nothing here takes any room.

use super::IdMeaning;
use super::cursor::Cursor;
use crate::event::EventId;
use alloc::format;
use core::fmt;

#[cfg(not(feature = "signed"))]
use core::convert::Infallible as Secrets;
#[cfg(feature = "signed")]
use signed::Secrets;
#[cfg(feature = "signed")]
pub use signed::{KeyError, MIN_SECRET};

/// The secrets that sign the ids which a broker makes, so that a peer can come back only to a
/// place that it was given. They need the feature `signed`, without which there are none.
///
/// An id is then `epoch-position-code`. The code is the HMAC (RFC 2104) with SHA-256 of
/// `sansse`, NUL, the stream's name, NUL and the text `epoch-position`, cut to its first 128 bits
/// (RFC 2104, 5) and written in base64url without padding (RFC 4648, 5), 22 characters. Any program
/// that has the secret can make and check it. Codes are compared in constant time.
///
/// With keys, a peer gets something replayed only for an id with the right code, or for the id that
/// an event brought and that is still kept. An id that has a position and not its code is
/// [`Resumption::Forged`](crate::broker::Resumption::Forged). Nothing is replayed for an unknown id
/// either, whatever [`on_gap`](crate::broker::SessionDefaults::on_gap) says. Ids that events bring
/// are not signed: a peer that knows one that is kept can start from there.
///
/// The code proves that the id was given out, not to whom. What a session may read is for the
/// topics of its request to say.
///
/// The secret must be the same on all shards and machines of the stream, and where ids shall
/// outlive a restart. It is never shown, nor in `Debug` output. Clones share the keys.
///
/// To change the secret, let every machine accept the new one first. Then sign with the new one,
/// and accept the old one for as long as ids live, which is the age of what is kept.
/// `ShardMut::set_cursor_keys` does both without a restart.
#[derive(Clone)]
pub struct CursorKeys(Secrets);

impl fmt::Debug for CursorKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(not(feature = "signed"))]
impl CursorKeys {
    fn sign(&self, _: Cursor) -> EventId {
        match self.0 {}
    }

    fn verify(&self, _: &EventId) -> Option<Cursor> {
        match self.0 {}
    }
}

/// How ids are written and read: by keys, if there are any.
#[derive(Clone, Debug)]
pub(super) struct Signer(Option<CursorKeys>);

impl Signer {
    /// Writes ids without a code, which any peer can make.
    pub(super) const PLAIN: Self = Self(None);

    pub(super) const fn new(keys: Option<CursorKeys>) -> Self {
        Self(keys)
    }

    /// Returns whether ids are signed.
    pub(super) const fn is_signing(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the id of a place.
    pub(super) fn sign(&self, cursor: Cursor) -> EventId {
        match &self.0 {
            Some(keys) => keys.sign(cursor),
            None => cursor.event_id(),
        }
    }

    /// Returns what an id says; the reverse of [`sign`](Self::sign).
    pub(super) fn read(&self, id: &EventId) -> IdMeaning {
        let cursor = match &self.0 {
            Some(keys) => keys.verify(id),
            None => Cursor::parse(id),
        };
        match cursor {
            Some(cursor) => IdMeaning::At(cursor.epoch(), cursor.position()),
            None if self.is_signing() && names_a_place(id.as_str()) => IdMeaning::Forged,
            None => IdMeaning::Unknown,
        }
    }
}

/// Returns whether the text begins with a place, such as one without a code, or with a wrong one.
fn names_a_place(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    match (parts.next(), parts.next()) {
        (Some(epoch), Some(position)) => parse(&format!("{epoch}-{position}")).is_some(),
        _ => false,
    }
}

fn parse(place: &str) -> Option<Cursor> {
    Cursor::parse(&EventId::trusted(place.into()))
}

#[cfg(feature = "signed")]
mod signed {
    use super::{Cursor, CursorKeys, parse};
    use crate::broker::sequence::Sequencer;
    use crate::event::EventId;
    use crate::fault::Fault;
    use alloc::format;
    use alloc::string::String;
    use alloc::sync::Arc;
    use alloc::vec::Vec;
    use core::fmt;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    /// The shortest secret, in bytes: as long as the code that it makes.
    pub const MIN_SECRET: usize = 16;

    #[derive(Clone)]
    pub(super) struct Secrets {
        stream: Arc<str>,
        /// The one that signs first, then those that are accepted as well.
        keys: Arc<Vec<Hmac<Sha256>>>,
    }

    /// With the feature `signed`.
    impl CursorKeys {
        /// Signs with `secret`, and accepts what it signed. 32 random bytes are right; no more than
        /// [`MIN_SECRET`] are required.
        ///
        /// ```
        /// use sansse::broker::{
        ///     Broker, BrokerConfig, CursorKeys, Epoch, Resumption, SessionConfig, Audience,
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
        /// let published = broker.publish(now, Audience::Everyone, &Event::new("hello"))?;
        /// let frame = std::str::from_utf8(published.frame().as_ref())?;
        /// assert_eq!(frame, "id: beef-1-YjVnx0VpeOufi2z4MoDQCQ\ndata: hello\n\n");
        ///
        /// let mut resume = |id: &str| {
        ///     let id = LastEventId::from_header(id.as_bytes());
        ///     let config = SessionConfig::new().with_last_event_id(id);
        ///     broker.open(now, config).map(|opened| opened.resumption)
        /// };
        /// assert_eq!(resume("beef-1-YjVnx0VpeOufi2z4MoDQCQ")?, Resumption::Complete { replayed: 0 });
        /// assert_eq!(resume("beef-0-YjVnx0VpeOufi2z4MoDQCQ")?, Resumption::Forged);
        /// assert_eq!(resume("beef-0")?, Resumption::Forged);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// # Errors
        ///
        /// [`KeyError`] for a secret that is too short, by the caller's fault.
        pub fn new(secret: &[u8]) -> Result<Self, KeyError> {
            Ok(Self(Secrets { stream: "".into(), keys: Arc::new(alloc::vec![key(secret)?]) }))
        }

        /// Accepts as well what `secret` signed: an earlier one for a time, or the next one before
        /// any machine signs with it. Each costs another check for an id that is forged.
        ///
        /// # Errors
        ///
        /// [`KeyError`] for a secret that is too short, by the caller's fault.
        pub fn accepting(mut self, secret: &[u8]) -> Result<Self, KeyError> {
            Arc::make_mut(&mut self.0.keys).push(key(secret)?);
            Ok(self)
        }

        /// Binds ids to a stream by its name, so that streams with one secret refuse each other's
        /// ids, also where their epochs are alike. Any text; default: the empty one.
        pub fn for_stream(mut self, name: &str) -> Self {
            self.0.stream = name.into();
            self
        }

        pub(super) fn sign(&self, cursor: Cursor) -> EventId {
            let place = cursor.event_id();
            let mut code = [0; CODE];
            // There is always a first.
            if let Some(key) = self.0.keys.first() {
                let whole = self.0.mac(key, place.as_str()).finalize().into_bytes();
                code.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
            }
            EventId::trusted(format!("{place}-{}", encode(&code)))
        }

        /// Returns the cursor in `id`, if its code is right.
        pub(super) fn verify(&self, id: &EventId) -> Option<Cursor> {
            let text = id.as_str();
            let (place, code) = text.split_at_checked(text.len().checked_sub(CODE_TEXT + 1)?)?;
            let code = decode(code.strip_prefix('-')?)?;
            let cursor = parse(place)?;
            let is_right = |key| self.0.mac(key, place).verify_truncated_left(&code).is_ok();
            self.0.keys.iter().any(is_right).then_some(cursor)
        }
    }

    impl Secrets {
        fn mac(&self, key: &Hmac<Sha256>, place: &str) -> Hmac<Sha256> {
            let mut mac = key.clone();
            // Neither the first nor the last part holds NUL, so that no two messages are alike.
            for part in ["sansse", "\0", &self.stream, "\0", place] {
                mac.update(part.as_bytes());
            }
            mac
        }
    }

    /// Shows the stream and the number of keys, and no secret.
    impl fmt::Debug for Secrets {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("CursorKeys")
                .field("stream", &self.stream)
                .field("keys", &self.keys.len())
                .finish_non_exhaustive()
        }
    }

    impl Sequencer {
        /// Signs the ids that it makes from now on, as
        /// [`BrokerConfig::cursor_keys`](crate::broker::BrokerConfig::cursor_keys) does. All shards
        /// must accept them.
        #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
        pub fn set_cursor_keys(&mut self, keys: CursorKeys) {
            self.signer.0 = Some(keys);
        }
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

    impl KeyError {
        /// Returns whose fault it is.
        pub const fn fault(&self) -> Fault {
            Fault::Caller
        }
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

    /// How many bytes of the code are kept.
    const CODE: usize = 16;
    /// How many characters these take.
    const CODE_TEXT: usize = 22;

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    /// Returns the key of a secret that is long enough.
    fn key(secret: &[u8]) -> Result<Hmac<Sha256>, KeyError> {
        let length = secret.len();
        if length < MIN_SECRET {
            return Err(KeyError::TooShort { length });
        }
        // HMAC takes keys of any length.
        Hmac::new_from_slice(secret).map_err(|_| KeyError::TooShort { length })
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

    /// Reads a code. Only the exact text that [`encode`] writes is one.
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
        use crate::broker::sequence::Epoch;

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
            let cursor = Cursor::new(Epoch(0xbeef), 17);
            // As other programs make it: Python's `hmac` and `base64`.
            assert_eq!(keys.sign(cursor).as_str(), "beef-17-vXTMhUF7ckdaamg-wMkymg");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sequence::Epoch;

    #[test]
    fn without_keys_an_id_is_its_place() {
        let id = Signer::PLAIN.sign(Cursor::new(Epoch(0xbeef), 17));
        assert_eq!(id.as_str(), "beef-17");
        assert_eq!(Signer::PLAIN.read(&id), IdMeaning::At(Epoch(0xbeef), 17));
        let other = EventId::new("beef-17-code").unwrap();
        assert_eq!(Signer::PLAIN.read(&other), IdMeaning::Unknown);
    }

    #[cfg(not(feature = "signed"))]
    #[test]
    fn without_the_feature_a_signer_takes_no_room() {
        assert_eq!(size_of::<Signer>(), 0);
    }
}
