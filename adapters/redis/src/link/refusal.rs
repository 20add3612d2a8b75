//! What error replies mean.

use resp_rs::resp2::Frame;
use sansse::broker::Epoch;
use sansse::cluster::{LogError, LogErrorKind};

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another server of a cluster has the keys.
    Elsewhere(Elsewhere),
    /// The server does not have the script, or not any more.
    NoScript,
    /// What a node is told.
    Error(LogError),
}

/// Where in a cluster the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// Empty where it is the host that says so.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Whether they are only on their way there, so that each command needs `ASKING` before it.
    pub(crate) asking: bool,
}

/// Codes that say what is wrong wherever they stand first, and inside what Redis 6.2 makes of the
/// error of a command within a script.
const CODES: &[(&str, LogErrorKind)] = &[
    ("NOAUTH", LogErrorKind::Denied),
    ("WRONGPASS", LogErrorKind::Denied),
    ("NOPERM", LogErrorKind::Denied),
    // Its protected mode: it lets in nobody from elsewhere.
    ("DENIED", LogErrorKind::Denied),
    ("OOM", LogErrorKind::Full),
    ("MISCONF", LogErrorKind::Full),
    ("SANSSEEND", LogErrorKind::Full),
    ("READONLY", LogErrorKind::NotReady),
    ("LOADING", LogErrorKind::NotReady),
    ("CLUSTERDOWN", LogErrorKind::NotReady),
    ("MASTERDOWN", LogErrorKind::NotReady),
    ("UNBLOCKED", LogErrorKind::NotReady),
    ("NOREPLICAS", LogErrorKind::NotReady),
    ("BUSY", LogErrorKind::NotReady),
    ("TRYAGAIN", LogErrorKind::NotReady),
    ("SANSSESTALE", LogErrorKind::NotReady),
    ("SANSSENEWER", LogErrorKind::Newer),
    // The key has been in use for something else.
    ("WRONGTYPE", LogErrorKind::Malformed),
];

/// Words behind `ERR`, which is no code of its own.
const WORDS: &[(&str, LogErrorKind)] = &[
    ("unknown command", LogErrorKind::Unsupported),
    ("unknown subcommand", LogErrorKind::Unsupported),
    ("Unknown Redis command", LogErrorKind::Unsupported),
    ("not allowed in cluster mode", LogErrorKind::Unsupported),
    ("DB index is out of range", LogErrorKind::Unsupported),
    ("ACL failure in script", LogErrorKind::Denied),
    ("The user executing the script can't", LogErrorKind::Denied),
    ("max number of clients reached", LogErrorKind::NotReady),
    ("No space left", LogErrorKind::Full),
];

impl Refusal {
    /// Returns what the words of an error reply say.
    pub(crate) fn of(said: &[u8]) -> Self {
        let said = String::from_utf8_lossy(said);
        let said = said.trim();
        let mut words = said.split_ascii_whitespace();
        let code = words.next().unwrap_or_default();
        match code {
            "NOSCRIPT" => return Self::NoScript,
            "MOVED" | "ASK" => {
                let address = words.nth(1).and_then(|address| address.rsplit_once(':'));
                if let Some((host, port)) = address
                    && let Ok(port) = port.parse()
                {
                    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
                    return Self::Elsewhere(Elsewhere { host, port, asking: code == "ASK" });
                }
            }
            "SANSSEEPOCH" => {
                if let Some(Ok(epoch)) = words.next().map(|epoch| u64::from_str_radix(epoch, 16)) {
                    return Self::Error(LogErrorKind::OtherEpoch { epoch: Epoch(epoch) }.into());
                }
            }
            _ => {}
        }
        Self::Error(LogError::new(kind(code, said)).with_detail(said.to_owned()))
    }

    /// Returns what a node is told, which cannot go elsewhere by itself.
    pub(crate) fn into_error(self) -> LogError {
        match self {
            Self::Error(error) => error,
            Self::Elsewhere(_) => LogError::new(LogErrorKind::NotReady)
                .with_detail("another server of the cluster has the realm now"),
            Self::NoScript => {
                LogError::new(LogErrorKind::NotReady).with_detail("the script is gone")
            }
        }
    }
}

fn kind(code: &str, said: &str) -> LogErrorKind {
    let named = |code: &str| CODES.iter().find(|(name, _)| *name == code).map(|(_, kind)| *kind);
    if let Some(kind) = named(code) {
        return kind;
    }
    if let Some((_, kind)) = WORDS.iter().find(|(words, _)| said.contains(words)) {
        return *kind;
    }
    // `ERR Error running script (call to f_…): @user_script:9: -OOM command not allowed …`
    let inside = said.strip_prefix("ERR Error running script").unwrap_or_default();
    let mut inside = inside.split_ascii_whitespace().map(|word| word.trim_start_matches('-'));
    inside.find_map(named).unwrap_or(LogErrorKind::NotReady)
}

/// Returns the reply, if it is no error.
pub(crate) fn accepted(reply: Frame) -> Result<Frame, Refusal> {
    match reply {
        Frame::Error(said) => Err(Refusal::of(&said)),
        reply => Ok(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(said: &str) -> LogError {
        match Refusal::of(said.as_bytes()) {
            Refusal::Error(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_code_has_its_kind_and_the_words_go_along() {
        for (said, kind) in [
            ("NOAUTH Authentication required.", LogErrorKind::Denied),
            ("NOPERM this user has no permissions", LogErrorKind::Denied),
            ("OOM command not allowed when used memory > 'maxmemory'.", LogErrorKind::Full),
            ("MISCONF Errors writing to the AOF file: No space left", LogErrorKind::Full),
            ("ERR write: No space left on device", LogErrorKind::Full),
            ("READONLY You can't write against a read only replica.", LogErrorKind::NotReady),
            ("LOADING Redis is loading the dataset in memory", LogErrorKind::NotReady),
            ("CLUSTERDOWN Hash slot not served", LogErrorKind::NotReady),
            ("MASTERDOWN Link with MASTER is down", LogErrorKind::NotReady),
            ("UNBLOCKED force unblock from blocking operation", LogErrorKind::NotReady),
            ("NOREPLICAS Not enough good replicas to write.", LogErrorKind::NotReady),
            ("BUSY Redis is busy running a script.", LogErrorKind::NotReady),
            ("TRYAGAIN Multiple keys request during rehashing of slot", LogErrorKind::NotReady),
            ("ERR max number of clients reached", LogErrorKind::NotReady),
            ("ERR unknown command 'EVALSHA', with args", LogErrorKind::Unsupported),
            ("ERR SELECT is not allowed in cluster mode", LogErrorKind::Unsupported),
            ("ERR ACL failure in script: User app has no permissions", LogErrorKind::Denied),
            ("SANSSENEWER the data is of version 2", LogErrorKind::Newer),
            ("SANSSEEND the positions are used up", LogErrorKind::Full),
            ("WRONGTYPE Operation against a key", LogErrorKind::Malformed),
            ("ERR whatever else", LogErrorKind::NotReady),
            ("", LogErrorKind::NotReady),
        ] {
            assert_eq!((error(said).kind(), error(said).detail()), (kind, said));
        }
    }

    #[test]
    fn the_code_is_found_in_what_the_older_redis_makes_of_an_error_in_a_script() {
        let said = "ERR Error running script (call to f_0): @user_script:9: \
            -OOM command not allowed when used memory > 'maxmemory'.";
        assert_eq!(error(said).kind(), LogErrorKind::Full);
    }

    #[test]
    fn another_epoch_is_read() {
        let kind = LogErrorKind::OtherEpoch { epoch: Epoch(0x2a) };
        assert_eq!(error("SANSSEEPOCH 2a").kind(), kind);
        assert_eq!(error("SANSSEEPOCH x").kind(), LogErrorKind::NotReady);
    }

    #[test]
    fn another_place_is_read_and_nonsense_is_an_error() {
        let elsewhere = |said: &str| match Refusal::of(said.as_bytes()) {
            Refusal::Elsewhere(Elsewhere { host, port, asking }) => Some((host, port, asking)),
            _ => None,
        };
        assert_eq!(elsewhere("MOVED 7 127.0.0.1:6381"), Some(("127.0.0.1".into(), 6381, false)));
        assert_eq!(elsewhere("ASK 7 ::1:6381"), Some(("::1".into(), 6381, true)));
        assert_eq!(elsewhere("MOVED 7 :6381"), Some((String::new(), 6381, false)));
        for said in ["MOVED", "MOVED 7", "MOVED 7 a", "ASK 7 a:b", "ASK 7 a:99999"] {
            assert_eq!(elsewhere(said), None, "{said}");
        }
    }
}
