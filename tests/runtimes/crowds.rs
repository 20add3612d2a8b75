//! Clients that are slow, and clients that are many.

use crate::platform::Platform;
use crate::service::{Application, Service, config, message, numbers, placed};
use crate::shared::Shared;
use sansse::broker::{BrokerEvent, EndReason};
use sansse::net::Runtime;
use sansse::{LossReason, SourceEvent};
use std::sync::{Mutex, PoisonError};

/// Those who take nothing get what was on its way, and no more than the log beyond that; all
/// others get everything, at their own pace.
pub(crate) async fn slow_reader<P: Platform>(platform: P) {
    const KEPT: usize = 50;
    const ROUNDS: usize = 100;
    const EVENTS: usize = KEPT * ROUNDS;
    let mut config = config();
    config.retention.events = KEPT.try_into().unwrap();
    // On a network in memory the time of the whole scenario passes at once.
    config.session.stall_timeout = None;
    let application = Application::new(&platform, config);
    let service = Service::start(&platform, &application);
    let mut fast = Vec::new();
    for _ in 0..2 {
        let mut source = service.source(&platform, "");
        placed::<P>(&mut source).await;
        fast.push(source);
    }
    let mut skips = service.source(&platform, "?lag=skip");
    placed::<P>(&mut skips).await;
    let mut closes = service.source(&platform, "?lag=close&told=about");
    assert!(matches!(closes.next().await, Some(SourceEvent::Open { .. })));
    assert_eq!(
        message::<P>(&mut closes).await,
        r#"{"stream":"live","replayed":0,"lost":0,"reason":null}"#
    );

    // Far more than what systems keep between two ends of a connection.
    let filling = "x".repeat(4 << 10);
    let number = |data: &str| data.split_once(' ').unwrap().0.parse::<usize>().unwrap();
    for round in 0..ROUNDS {
        let numbers = round * KEPT..(round + 1) * KEPT;
        numbers.clone().for_each(|number| application.broadcast(format!("{number} {filling}")));
        for source in &mut fast {
            for expected in numbers.clone() {
                assert_eq!(number(&message::<P>(source).await), expected);
            }
        }
    }

    let (mut received, mut told) = (Vec::new(), 0);
    while received.last() != Some(&(EVENTS - 1)) {
        match skips.next().await.expect("it goes on") {
            SourceEvent::Message(message) => received.push(number(&message.data)),
            SourceEvent::Lost { events, reason: LossReason::Lag } => told += events.unwrap(),
            event => panic!("{event:?}"),
        }
    }
    assert!(received.is_sorted_by(|one, next| one < next), "in order, each once");
    assert!(received.len() < EVENTS - KEPT, "{} of {EVENTS}", received.len());
    assert!(received.ends_with(&(EVENTS - KEPT + 1..EVENTS).collect::<Vec<_>>()));
    let gaps: Vec<_> = received.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let skipped: u64 = application.happened.update(|happened| {
        let skipped = |event: &BrokerEvent| match event {
            BrokerEvent::SessionSkipped { lost, .. } => Some(*lost),
            _ => None,
        };
        happened.iter().filter_map(skipped).sum()
    });
    assert_eq!(skipped + received.len() as u64, EVENTS as u64, "what is lost is counted");
    assert_eq!(told, skipped, "and the peer is told");

    // The other one is ended as soon as it reads on, comes back, and is told that something is
    // missing.
    let mut before = 0;
    let told = loop {
        let message = message::<P>(&mut closes).await;
        if message.starts_with('{') {
            break message;
        }
        assert_eq!(number(&message), before);
        before += 1;
    };
    let ends = application.ended(1).await;
    assert!(matches!(ends[..], [EndReason::Lagged { lost: 1.. }]), "{ends:?}");
    assert!(before < EVENTS - KEPT);
    let lost = EVENTS - KEPT - before;
    let expected =
        format!(r#"{{"stream":"gap","replayed":{KEPT},"lost":{lost},"reason":"retention"}}"#);
    assert_eq!(told, expected);
    assert_eq!(number(&message::<P>(&mut closes).await), EVENTS - KEPT);
}

/// Runs [`thousand_clients`], in a process of its own where this one may not open enough files.
pub(crate) fn test_a_thousand_clients<P: Platform>(test: &str) {
    // One platform after the other, for the same reason.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, test) = test.split_once("::").unwrap();
    if !crate::has_open_files(4096) && crate::child::is_parent(test, 4096) {
        return;
    }
    P::run(P::seeds().start, thousand_clients::<P>);
}

async fn thousand_clients<P: Platform>(platform: P) {
    const CLIENTS: usize = 1_000;
    const EVENTS: usize = 5;
    let application = Application::new(&platform, config());
    let service = Service::start(&platform, &application);
    let received = Shared::new(Vec::new());
    // As many at a time as the shortest queue of a listener takes.
    for _ in 0..CLIENTS / 100 {
        let ready = Shared::new(0);
        for _ in 0..100 {
            let mut source = service.source(&platform, "");
            let (ready, received) = (ready.clone(), received.clone());
            platform.runtime().spawn(async move {
                placed::<P>(&mut source).await;
                ready.update(|ready| *ready += 1);
                let numbers = numbers::<P>(&mut source, EVENTS).await;
                received.update(|received| received.push((numbers, source)));
            });
        }
        ready.until(|ready| (*ready == 100).then_some(())).await;
    }
    assert_eq!(application.hub.counters().sessions, CLIENTS as u64);
    application.count(0..EVENTS);
    let all = received
        .until(|received| (received.len() == CLIENTS).then(|| std::mem::take(received)))
        .await;
    assert!(all.iter().all(|(numbers, _)| numbers.iter().copied().eq(0..EVENTS)));
    assert_eq!(service.counters.snapshot().accepted, CLIENTS as u64, "on its first connection");
    drop(all);
    let ends = application.ended(CLIENTS).await;
    assert_eq!(ends, vec![EndReason::Disconnected; CLIENTS]);
}
