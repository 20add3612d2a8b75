//! Names that subscribers invent: each costs memory, and none may keep a publisher from publishing
//! or another peer from subscribing.

use crate::report::{Broken, Report, Size, promise};
use sansse::Event;
use sansse::broker::{
    AddressKey, Broker, BrokerConfig, ClientId, Epoch, OpenError, SessionConfig, SessionId,
    TopicFilter, TopicName,
};
use std::time::{Duration, Instant};

/// Names of one session.
const NAMES: usize = 64;

/// How the sessions are told apart, if they are.
#[derive(Clone, Copy)]
enum From {
    Nowhere,
    OneAddress,
    ManyAddresses,
    OneClient,
}

/// Sessions with names of their own until all are refused that come; then publishers, and a peer
/// that has done nothing wrong.
pub(crate) fn run(size: Size, report: &mut Report) -> Result<(), Broken> {
    let sessions = size.pick(200, 1_600);
    for (from, what) in [
        (From::Nowhere, "sessions of which nothing is known"),
        (From::OneAddress, "sessions from one address"),
        (From::ManyAddresses, "sessions from 16 addresses"),
        (From::OneClient, "sessions of one client"),
    ] {
        println!("  {what}:");
        attack(size, sessions, from, report)?;
    }
    Ok(())
}

fn attack(size: Size, sessions: usize, from: From, report: &mut Report) -> Result<(), Broken> {
    let now = Instant::now();
    let mut config = BrokerConfig::new(Epoch(1));
    // The short form reaches the same limits with fewer names.
    let limits = &mut config.limits;
    for limit in [
        &mut limits.topics,
        &mut limits.subscribed_topics,
        &mut limits.subscriptions_per_client,
        &mut limits.subscriptions_per_address,
    ] {
        *limit /= size.pick(10, 1);
    }
    limits.sessions_per_address.most = 100_000.try_into()?;
    limits.sessions_per_client.most = 100_000.try_into()?;
    let (most, per_address) = (limits.subscribed_topics, limits.subscriptions_per_address);
    let per_client = limits.subscriptions_per_client;
    let mut broker = Broker::new(now, config)?;
    let mut opened: Vec<SessionId> = Vec::new();
    let mut refused = 0;
    for number in 0..sessions {
        match broker.open(now, invented(number, from)?) {
            Ok(session) => opened.push(session.session),
            Err(
                OpenError::TooManyTopics
                | OpenError::TooManySubscriptionsOfClient { .. }
                | OpenError::TooManySubscriptionsFromAddress { .. },
            ) => refused += 1,
            Err(error) => return Err(error.into()),
        }
    }
    let names = broker.counters().subscribed_topics;
    report.figure(
        "  names that exist, of those that were asked for",
        format_args!("{names} of {}", sessions * NAMES),
    );
    report.figure("  sessions refused", format_args!("{refused} of {sessions}"));
    let limit = match from {
        From::Nowhere => most,
        From::OneAddress => per_address,
        From::ManyAddresses => most.min(16 * per_address),
        From::OneClient => per_client,
    };
    promise(names <= u64::from(limit), || format!("{names} names, where {limit} may be"))?;

    let (mut failed, mut slowest) = (0, Duration::ZERO);
    for number in 0..1_000 {
        let started = Instant::now();
        let topic = TopicName::new(format!("news/{number}"))?;
        failed += usize::from(broker.publish(now, topic, &Event::new("x")).is_err());
        slowest = slowest.max(started.elapsed());
    }
    report.figure("  publishes to new topics that failed, of 1,000", failed);
    report.figure("  the slowest of them", format_args!("{slowest:?}"));
    promise(failed == 0, || format!("{failed} publishes failed"))?;

    let honest = SessionConfig::new()
        .with_client(ClientId::new("honest")?)
        .with_address(AddressKey::new("elsewhere")?);
    let known = honest.clone().with_topic(TopicName::new("news/7")?);
    promise(broker.open(now, known).is_ok(), || "a topic that is published is refused".into())?;
    let new = broker.open(now, honest.with_topic(TopicName::new("my own")?));
    // Where nothing is known of the peers, nothing tells the honest one from the others.
    let is_served = new.is_ok() || matches!(from, From::Nowhere | From::ManyAddresses);
    report.figure(
        "  a new name of a peer from elsewhere",
        if new.is_ok() { "served" } else { "refused" },
    );
    promise(is_served, || "one peer keeps the others from subscribing".into())?;

    for session in opened {
        broker.handle_disconnect(now, session);
    }
    let left = broker.counters().subscribed_topics;
    promise(left <= 1, || format!("{left} names are left of sessions that are gone"))
}

fn invented(number: usize, from: From) -> Result<SessionConfig, Broken> {
    let mut config = SessionConfig::new();
    for name in 0..NAMES {
        let pattern = if name % 8 == 0 { "/**" } else { "" };
        config = config.with_topic(TopicFilter::new(format!("invented/{number}/{name}{pattern}"))?);
    }
    Ok(match from {
        From::Nowhere => config,
        From::OneAddress => config.with_address(AddressKey::new("one")?),
        From::ManyAddresses => {
            config.with_address(AddressKey::new(format!("address {}", number % 16))?)
        }
        From::OneClient => config.with_client(ClientId::new("one")?),
    })
}
