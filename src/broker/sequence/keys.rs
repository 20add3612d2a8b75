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
///
/// # Hidden places
///
/// An id tells how much was published to all between two events of its receiver, and when the
/// process was started anew if epochs tell that: see [`EventIds::Assigned`](super::EventIds). With
/// `hiding_places`, an id is 44 characters that say nothing but that two are alike: the place,
/// encrypted, and the code of that.
///
/// ```text
///     place   the epoch and the position, 8 bytes each, big-endian
///     key     HMAC-SHA-256 of "sansse place key", NUL, the stream's name
///     hidden  base64url of the place as one block of AES-256 (FIPS 197) under that key
///     code    base64url of the first 16 bytes of the HMAC-SHA-256 of
///             "sansse hidden", NUL, the stream's name, NUL, hidden
///     id      hidden code
/// ```
///
/// Each place is a block of its own and is encrypted once, so that a block cipher alone hides it:
/// there is nothing to chain, and no nonce that could be used twice. One place has one id, so that
/// an event is still encoded once for all its receivers, on all machines alike. Any program that
/// has the secret can make, check and read such ids.
///
/// Ids of both forms are read, whichever is written. So one form follows the other as one secret
/// follows another: once every machine runs a version that reads hidden places.
///
/// What a session is told of itself stays as it is: how many events it was replayed, and how many
/// it lost. The times at which events come are not hidden either.
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

    fn names_a_hidden_place(&self, _: &EventId) -> bool {
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
            None if self.names_a_place(id) => IdMeaning::Forged,
            None => IdMeaning::Unknown,
        }
    }

    /// Returns whether an id has the form of one of these keys, whatever its code.
    fn names_a_place(&self, id: &EventId) -> bool {
        self.0
            .as_ref()
            .is_some_and(|keys| names_a_place(id.as_str()) || keys.names_a_hidden_place(id))
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
    use crate::broker::sequence::{Epoch, Sequencer};
    use crate::event::EventId;
    use crate::fault::Fault;
    use aes::Aes256;
    use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt};
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
        keys: Arc<Vec<Key>>,
        hides_places: bool,
    }

    /// What is made of one secret, for one stream.
    #[derive(Clone)]
    struct Key {
        mac: Hmac<Sha256>,
        cipher: Aes256,
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
            let stream: Arc<str> = "".into();
            let keys = Arc::new(alloc::vec![Key::new(secret, &stream)?]);
            Ok(Self(Secrets { stream, keys, hides_places: false }))
        }

        /// Accepts as well what `secret` signed: an earlier one for a time, or the next one before
        /// any machine signs with it. Each costs another check for an id that is forged.
        ///
        /// # Errors
        ///
        /// [`KeyError`] for a secret that is too short, by the caller's fault.
        pub fn accepting(mut self, secret: &[u8]) -> Result<Self, KeyError> {
            let key = Key::new(secret, &self.0.stream)?;
            Arc::make_mut(&mut self.0.keys).push(key);
            Ok(self)
        }

        /// Binds ids to a stream by its name, so that streams with one secret refuse each other's
        /// ids, also where their epochs are alike. Any text; default: the empty one.
        pub fn for_stream(mut self, name: &str) -> Self {
            self.0.stream = name.into();
            for key in Arc::make_mut(&mut self.0.keys) {
                *key = Key::of(key.mac.clone(), name);
            }
            self
        }

        /// Hides in ids which place they name, so that nobody learns from them how much others are
        /// sent; [see above](Self#hidden-places). Default: ids show their places.
        ///
        /// ```
        /// use sansse::broker::{Broker, BrokerConfig, CursorKeys, Epoch, Resumption, SessionConfig};
        /// use sansse::{Event, LastEventId, topic_name};
        /// # let now = std::time::Instant::now();
        ///
        /// let mut config = BrokerConfig::new(Epoch(0xbeef));
        /// config.cursor_keys = Some(CursorKeys::new(&[0x5a; 32])?.hiding_places());
        /// let mut broker = Broker::new(now, config)?;
        ///
        /// let published = broker.publish(now, topic_name!("news"), &Event::new("hello"))?;
        /// let frame = std::str::from_utf8(published.frame().as_ref())?;
        /// let id = frame.lines().next().and_then(|line| line.strip_prefix("id: ")).unwrap();
        /// assert!(id.len() == 44 && !id.contains("beef"));
        /// let last = LastEventId::from_header(id.as_bytes());
        /// let opened = broker.open(now, SessionConfig::new().with_last_event_id(last))?;
        /// assert_eq!(opened.resumption, Resumption::Complete { replayed: 0 });
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn hiding_places(mut self) -> Self {
            self.0.hides_places = true;
            self
        }

        pub(super) fn sign(&self, cursor: Cursor) -> EventId {
            let Secrets { stream, keys, hides_places } = &self.0;
            // There is always a first.
            let Some(key) = keys.first() else { return cursor.event_id() };
            EventId::trusted(if *hides_places {
                let hidden = encode(&key.hide(cursor));
                let code = key.code(HIDDEN, stream, &hidden);
                format!("{hidden}{}", encode(&code))
            } else {
                let place = cursor.event_id();
                let code = key.code(SHOWN, stream, place.as_str());
                format!("{place}-{}", encode(&code))
            })
        }

        /// Returns the cursor in `id`, if its code is right.
        pub(super) fn verify(&self, id: &EventId) -> Option<Cursor> {
            self.verify_shown(id).or_else(|| self.verify_hidden(id))
        }

        fn verify_shown(&self, id: &EventId) -> Option<Cursor> {
            let text = id.as_str();
            let (place, code) = text.split_at_checked(text.len().checked_sub(CODE_TEXT + 1)?)?;
            let code = decode(code.strip_prefix('-')?)?;
            let cursor = parse(place)?;
            let is_right = |key: &Key| key.is_right(SHOWN, &self.0.stream, place, &code);
            self.0.keys.iter().any(is_right).then_some(cursor)
        }

        fn verify_hidden(&self, id: &EventId) -> Option<Cursor> {
            let (hidden, block, code) = hidden_parts(id)?;
            let is_right = |key: &&Key| key.is_right(HIDDEN, &self.0.stream, hidden, &code);
            self.0.keys.iter().find(is_right).map(|key| key.reveal(block))
        }

        /// Returns whether an id has the form of a hidden place, where ids have that form.
        pub(super) fn names_a_hidden_place(&self, id: &EventId) -> bool {
            self.0.hides_places && hidden_parts(id).is_some()
        }
    }

    /// With what the text begins of which a code is made, by the form of the id. No text of one
    /// form is one of another, since each ends with NUL.
    const SHOWN: &str = "sansse\0";
    const HIDDEN: &str = "sansse hidden\0";
    const PLACE_KEY: &str = "sansse place key\0";

    /// Returns the hidden place of an id, as text and as bytes, and its code.
    fn hidden_parts(id: &EventId) -> Option<(&str, [u8; CODE], [u8; CODE])> {
        let (hidden, code) = id.as_str().split_at_checked(CODE_TEXT)?;
        Some((hidden, decode(hidden)?, decode(code)?))
    }

    impl Key {
        fn new(secret: &[u8], stream: &str) -> Result<Self, KeyError> {
            let length = secret.len();
            if length < MIN_SECRET {
                return Err(KeyError::TooShort { length });
            }
            // HMAC takes keys of any length.
            let mac = Hmac::new_from_slice(secret).map_err(|_| KeyError::TooShort { length })?;
            Ok(Self::of(mac, stream))
        }

        fn of(mac: Hmac<Sha256>, stream: &str) -> Self {
            let key = mac.clone().chain_update(PLACE_KEY).chain_update(stream).finalize();
            Self { mac, cipher: Aes256::new(&key.into_bytes()) }
        }

        /// Neither the name of a form nor the last part holds NUL, so that no two texts are alike.
        fn mac(&self, form: &str, stream: &str, text: &str) -> Hmac<Sha256> {
            let mac = self.mac.clone();
            mac.chain_update(form).chain_update(stream).chain_update("\0").chain_update(text)
        }

        fn code(&self, form: &str, stream: &str, text: &str) -> [u8; CODE] {
            let whole = self.mac(form, stream, text).finalize().into_bytes();
            let mut code = [0; CODE];
            code.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
            code
        }

        fn is_right(&self, form: &str, stream: &str, text: &str, code: &[u8; CODE]) -> bool {
            self.mac(form, stream, text).verify_truncated_left(code).is_ok()
        }

        fn hide(&self, cursor: Cursor) -> [u8; CODE] {
            let place = u128::from(cursor.epoch().0) << 64 | u128::from(cursor.position());
            let mut block = Array::from(place.to_be_bytes());
            self.cipher.encrypt_block(&mut block);
            block.into()
        }

        fn reveal(&self, block: [u8; CODE]) -> Cursor {
            let mut block = Array::from(block);
            self.cipher.decrypt_block(&mut block);
            let place = u128::from_be_bytes(block.into());
            #[expect(clippy::cast_possible_truncation, reason = "each half is 64 bits")]
            let (epoch, position) = ((place >> 64) as u64, place as u64);
            Cursor::new(Epoch(epoch), position)
        }
    }

    /// Shows the stream and the number of keys, and no secret.
    impl fmt::Debug for Secrets {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("CursorKeys")
                .field("stream", &self.stream)
                .field("keys", &self.keys.len())
                .field("hides_places", &self.hides_places)
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

        #[test]
        fn a_hidden_place_is_one_block_of_aes_and_its_code() {
            let keys = CursorKeys::new(&[0x0b; 20]).unwrap().for_stream("Hi There").hiding_places();
            let id = keys.sign(Cursor::new(Epoch(0xbeef), 17));
            // As other programs make it: Python's `hmac` and `base64`, and `openssl enc`.
            assert_eq!(id.as_str(), "jyFQVKKPcOKm7mcnKojYQA3BLVzdcSWWf51SYKK0UVag");
        }

        #[test]
        fn the_stream_may_be_named_before_other_keys_and_after_them() {
            let (one, other) = ([1; 32], [2; 32]);
            let new = || CursorKeys::new(&one).unwrap();
            let before = new().for_stream("s").accepting(&other).unwrap().hiding_places();
            let after = new().hiding_places().accepting(&other).unwrap().for_stream("s");
            let cursor = Cursor::new(Epoch(u64::MAX), u64::MAX - 1);
            assert_eq!(before.sign(cursor), after.sign(cursor));
            let by_other = CursorKeys::new(&other).unwrap().for_stream("s").hiding_places();
            for keys in [before, after] {
                assert_eq!(keys.verify(&by_other.sign(cursor)), Some(cursor));
            }
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
