//! What Sentinels are asked: where the master is.

use crate::config::Sentinel;
use crate::link::{
    Commands, MAX_SHORT_ANSWER, Refusal, accepted, auth, check_auth, malformed, word,
};
use crate::url;
use crate::wire::Wire;
use bytes::Bytes;
use resp_rs::resp2::Frame;
use sansse::Timer;
use sansse::cluster::{LogError, LogErrorKind};
use sansse::net::{Connector, Target};
use std::time::Instant;

/// Asks one Sentinel for the master's address. The answer is awaited until `deadline`.
pub(crate) async fn master<C: Connector>(
    connector: &C,
    timer: &dyn Timer,
    sentinel: &Sentinel,
    at: &Target,
    deadline: Instant,
) -> Result<Target, LogError> {
    let mut wire = Wire::open(connector, timer, at, deadline).await?;
    let mut commands = Commands::default();
    if let Some(credentials) = &sentinel.credentials {
        commands = commands.with(auth(credentials));
    }
    let name = Bytes::from(sentinel.name.clone());
    commands = commands.with([word("SENTINEL"), word("get-master-addr-by-name"), name]);
    let replies = wire.ask(timer, commands, MAX_SHORT_ANSWER, deadline).await?;
    let mut replies = replies.into_iter();
    if sentinel.credentials.is_some() {
        check_auth(&replies.next().ok_or_else(|| malformed("it answers too little"))?)?;
    }
    let reply = replies.next().ok_or_else(|| malformed("it answers too little"))?;
    let address = match accepted(reply).map_err(Refusal::into_error)? {
        Frame::Array(Some(address)) => address,
        Frame::Array(None) | Frame::BulkString(None) => {
            return Err(LogError::new(LogErrorKind::NotReady)
                .with_detail("the Sentinel knows no master of this name"));
        }
        _ => return Err(malformed("the Sentinel's answer is none")),
    };
    let target = match address.as_slice() {
        [host, port] => host.as_str().zip(port.as_str()).and_then(|(host, port)| {
            let port = port.parse().ok().filter(|port| *port > 0)?;
            url::to(host, port, at.secure)
        }),
        _ => None,
    };
    target.ok_or_else(|| malformed("the Sentinel's answer is none"))
}
