//! What is said first on a connection, and what the answer tells of the server.

use super::command::{Commands, number, word};
use super::malformed;
use super::refusal::{Refusal, accepted};
use bytes::Bytes;
use resp_rs::resp2::Frame;
use sansse::cluster::{LogError, LogErrorKind};
use std::fmt;

/// The oldest version that does: `XADD` with `MINID` is of 6.2.
const OLDEST: (u32, u32) = (6, 2);

/// A user and a password.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// What is said first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handshake<'a> {
    pub(crate) credentials: Option<&'a Credentials>,
    pub(crate) database: u32,
    /// The name of the connection in `CLIENT LIST`; it has no spaces.
    pub(crate) name: &'a str,
    /// A script that is to be there.
    pub(crate) script: Option<&'static str>,
}

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// Its life: another one after each start.
    pub(crate) run_id: String,
    pub(crate) is_cluster: bool,
    /// The name that the script has there, where it took it.
    pub(crate) script: Option<Bytes>,
}

impl Handshake<'_> {
    pub(crate) fn commands(&self) -> Commands {
        let mut commands = Commands::default();
        if let Some(credentials) = self.credentials {
            commands = commands.with(auth(credentials));
        }
        if self.database > 0 {
            commands = commands.with([word("SELECT"), number(self.database.into())]);
        }
        let name = Bytes::from(self.name.to_owned());
        commands = commands
            .with([word("CLIENT"), word("SETNAME"), name])
            .with([word("INFO"), word("server")])
            .with([word("INFO"), word("replication")]);
        if let Some(script) = self.script {
            commands = commands.with([word("SCRIPT"), word("LOAD"), word(script)]);
        }
        commands
    }

    /// Reads the replies to [`commands`](Self::commands).
    pub(crate) fn server(&self, replies: Vec<Frame>) -> Result<Server, LogError> {
        let mut replies = replies.into_iter();
        let mut next = || replies.next().ok_or_else(|| malformed("it answers too little"));
        if self.credentials.is_some() {
            check_auth(&next()?)?;
        }
        if self.database > 0 {
            check_select(next()?)?;
        }
        // A name is for people: a user that may not set one can do without.
        let _ = next()?;
        let about = info(next()?)?;
        let replication = info(next()?)?;
        check_version(&about)?;
        // Valkey has a name of its own for it.
        let mode = field(&about, "redis_mode").or_else(|| field(&about, "server_mode"));
        let is_cluster = mode == Some("cluster");
        if mode == Some("sentinel") {
            return Err(LogError::new(LogErrorKind::Unsupported).with_detail(
                "it is a Sentinel; a URL with redis+sentinel:// asks it for the master",
            ));
        }
        // In a cluster a replica says where the keys are.
        if !is_cluster {
            check_role(&replication)?;
        }
        let run_id = field(&about, "run_id").filter(|run_id| !run_id.is_empty());
        let run_id = run_id.ok_or_else(|| {
            LogError::new(LogErrorKind::Unsupported).with_detail("it does not say its run_id")
        })?;
        let script = match self.script.map(|_| next()).transpose()? {
            Some(Frame::BulkString(name)) => name,
            // Then the text is sent each time.
            _ => None,
        };
        Ok(Server { run_id: run_id.to_owned(), is_cluster, script })
    }
}

/// Logs in.
pub(crate) fn auth(credentials: &Credentials) -> Vec<Bytes> {
    let mut words = vec![word("AUTH")];
    words.extend(credentials.user.clone().map(Bytes::from));
    words.push(Bytes::from(credentials.password.clone()));
    words
}

/// Reads the reply to [`auth`]. What a server says of a command that it does not know repeats its
/// words, and with them the password; so none of it is passed on.
pub(crate) fn check_auth(reply: &Frame) -> Result<(), LogError> {
    match reply {
        Frame::SimpleString(said) if *said == "OK" => Ok(()),
        Frame::Error(said) => {
            let (kind, detail) = match Refusal::of(said) {
                Refusal::Error(error) if error.kind() == LogErrorKind::Unsupported => {
                    (LogErrorKind::Unsupported, "it does not know AUTH")
                }
                Refusal::Error(error)
                    if error.kind() == LogErrorKind::NotReady && !said.starts_with(b"ERR") =>
                {
                    (LogErrorKind::NotReady, "it does not serve now")
                }
                _ if said.starts_with(b"ERR AUTH") => {
                    (LogErrorKind::Denied, "it has no password for this user, and was given one")
                }
                _ => (LogErrorKind::Denied, "it does not accept the user and the password"),
            };
            Err(LogError::new(kind).with_detail(detail))
        }
        _ => Err(malformed("its answer to AUTH is none")),
    }
}

fn check_select(reply: Frame) -> Result<(), LogError> {
    match accepted(reply) {
        Ok(Frame::SimpleString(said)) if said == "OK" => Ok(()),
        Ok(_) => Err(malformed("its answer to SELECT is none")),
        Err(refusal) => Err(refusal.into_error()),
    }
}

fn info(reply: Frame) -> Result<String, LogError> {
    match accepted(reply).map_err(Refusal::into_error)? {
        Frame::BulkString(Some(text)) => Ok(String::from_utf8_lossy(&text).into_owned()),
        _ => Err(malformed("its answer to INFO is none")),
    }
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn check_version(info: &str) -> Result<(), LogError> {
    let version = field(info, "redis_version").unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if (major, minor) >= OLDEST {
        return Ok(());
    }
    let version: String = version.chars().take(32).collect();
    let detail = format!("it is of version {version:?}, and 6.2 is needed at least");
    Err(LogError::new(LogErrorKind::Unsupported).with_detail(detail))
}

/// Reads the reply to `INFO replication`.
pub(crate) fn check_master(reply: Frame) -> Result<(), LogError> {
    check_role(&info(reply)?)
}

fn check_role(info: &str) -> Result<(), LogError> {
    if field(info, "role") == Some("master") {
        return Ok(());
    }
    Err(LogError::new(LogErrorKind::NotReady).with_detail("it is a replica, and no master"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: &str =
        "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:ab\r\n";
    const MASTER: &str = "# Replication\r\nrole:master\r\n";

    fn ok() -> Frame {
        Frame::SimpleString(Bytes::from("OK"))
    }

    fn text(text: &str) -> Frame {
        Frame::BulkString(Some(Bytes::from(text.to_owned())))
    }

    fn error(said: &str) -> Frame {
        Frame::Error(Bytes::from(said.to_owned()))
    }

    fn handshake(credentials: Option<&Credentials>) -> Handshake<'_> {
        Handshake { credentials, database: 0, name: "sansse", script: None }
    }

    fn server(about: &str, replication: &str) -> Result<Server, LogError> {
        handshake(None).server(vec![ok(), text(about), text(replication)])
    }

    #[test]
    fn a_server_says_who_it_is() {
        let server = server(ABOUT, MASTER).unwrap();
        assert_eq!((server.run_id.as_str(), server.is_cluster), ("ab", false));
    }

    #[test]
    fn there_is_a_reply_to_each_command() {
        let credentials = Credentials { user: Some("ann".into()), password: "secret".into() };
        let handshake = Handshake {
            credentials: Some(&credentials),
            database: 3,
            name: "sansse",
            script: Some("return 1"),
        };
        assert_eq!(handshake.commands().count(), 6);
        let replies = vec![ok(), ok(), ok(), text(ABOUT), text(MASTER), text("e0e1")];
        let server = handshake.server(replies).unwrap();
        assert_eq!(server.script, Some(Bytes::from("e0e1")));
    }

    #[test]
    fn what_is_too_old_or_something_else_is_unsupported() {
        for version in ["6.0.16", "5.0.3", "2.4", "", "x.y", "6"] {
            let about = ABOUT.replace("7.0.15", version);
            let error = server(&about, MASTER).unwrap_err();
            assert_eq!(error.kind(), LogErrorKind::Unsupported, "{version}");
        }
        for version in ["6.2.0", "7.2.4", "10.0", "8.0.0-rc1"] {
            server(&ABOUT.replace("7.0.15", version), MASTER).unwrap();
        }
        for about in [ABOUT.replace("run_id:ab", ""), ABOUT.replace("standalone", "sentinel")] {
            assert_eq!(server(&about, MASTER).unwrap_err().kind(), LogErrorKind::Unsupported);
        }
    }

    #[test]
    fn a_replica_is_not_ready_unless_it_can_say_where_the_keys_are() {
        let replica = MASTER.replace("master", "slave");
        assert_eq!(server(ABOUT, &replica).unwrap_err().kind(), LogErrorKind::NotReady);
        for mode in ["redis_mode", "server_mode"] {
            let about = ABOUT.replace("redis_mode:standalone", &format!("{mode}:cluster"));
            assert!(server(&about, &replica).unwrap().is_cluster);
        }
    }

    /// Some servers repeat the words of a command that they do not know.
    #[test]
    fn no_error_repeats_the_password() {
        let credentials = Credentials { user: Some("ann".into()), password: "secret".into() };
        let echo = Frame::Array(Some(vec![text("AUTH"), text("ann"), text("secret")]));
        for (reply, kind) in [
            (
                error("ERR unknown command `AUTH`, with args beginning with: `ann`, `secret`, "),
                LogErrorKind::Unsupported,
            ),
            (error("WRONGPASS secret"), LogErrorKind::Denied),
            (error("ERR AUTH secret called without any password"), LogErrorKind::Denied),
            (error("LOADING secret"), LogErrorKind::NotReady),
            (error("secret"), LogErrorKind::NotReady),
            (echo, LogErrorKind::Malformed),
        ] {
            let replies = vec![reply, ok(), text(ABOUT), text(MASTER)];
            let error = handshake(Some(&credentials)).server(replies).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(!format!("{error:?} {error}").contains("secret"), "{error}");
        }
        assert!(!format!("{credentials:?}").contains("secret"));
    }

    #[test]
    fn a_user_that_may_not_name_its_connection_is_let_in() {
        let replies = vec![error("NOPERM client|setname"), text(ABOUT), text(MASTER)];
        assert!(handshake(None).server(replies).is_ok());
    }

    #[test]
    fn too_few_replies_and_replies_of_other_kinds_make_no_sense() {
        for replies in [vec![], vec![ok()], vec![ok(), ok(), ok()]] {
            let error = handshake(None).server(replies).unwrap_err();
            assert_eq!(error.kind(), LogErrorKind::Malformed);
        }
    }
}
