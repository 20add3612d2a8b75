//! Waking at exactly the deadline, and at no other time.

use crate::kit::client::{millis, seconds};
use crate::kit::time::VirtualTimer;
use crate::memory::Memory;
use crate::network::{Conditions, Network};
use crate::platform::Platform;
use crate::service::{Application, Service, config, placed, quick};
use crate::stage::Stage;
use crate::watched::Watching;
use bytes::Bytes;
use futures_core::Stream;
use http::Request;
use sansse::client::{ClientConfig, ClientError, Timeout};
use sansse::feed::Http1;
use sansse::net::Runtime;
use sansse::serve::Server;
use sansse::{EventSource, Hub, SourceEvent};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

const NANOSECOND: Duration = Duration::from_nanos(1);

/// First it says nothing any more, and then it does not answer either.
pub(crate) async fn a_silent_and_then_dead_peer_wakes_a_client_at_exactly_its_deadlines<
    P: Platform,
>(
    platform: P,
) {
    let (mut stage, mut exchange) = Stage::open(&platform, ClientConfig::new(1)).await;
    exchange.write("data: a\n\n").await;
    assert_eq!(stage.message().await, "a");
    stage.quiet(Some(&exchange)).await;

    // One timer for each deadline, whenever and however often the client is polled meanwhile.
    let deadline = |stage: &Stage<P>| stage.reader.timer.sleeps();
    let begun = stage.reader.timer.begun();
    let silent_until = stage.reader.timer.elapsed() + seconds(90);
    assert_eq!(deadline(&stage), [silent_until]);
    for _ in 0..9 {
        stage.pass(seconds(9)).await;
    }
    stage.pass(seconds(9) - NANOSECOND).await;
    assert_eq!((deadline(&stage), stage.reader.timer.begun()), (vec![silent_until], begun));
    stage.reader.timer.advance(NANOSECOND);
    let (error, wait) = stage.retrying().await;
    assert_eq!(error, ClientError::Timeout(Timeout::Idle));

    for number in 1..=5 {
        let begun = stage.reader.timer.begun();
        stage.quiet(None).await;
        assert_eq!(stage.sent(), number);
        let wait_over = stage.reader.timer.elapsed() + wait;
        if number == 1 {
            assert_eq!(deadline(&stage), [wait_over]);
        }
        stage.reader.sleep();
        // The connection comes about, and nobody takes it.
        stage.quiet(None).await;
        let dead_until = stage.reader.timer.elapsed() + seconds(30);
        assert_eq!((deadline(&stage), stage.sent()), (vec![dead_until], number + 1));
        stage.pass(seconds(30) - NANOSECOND).await;
        stage.reader.timer.advance(NANOSECOND);
        let (error, _) = stage.retrying().await;
        assert_eq!(error, ClientError::Timeout(Timeout::Response));
        assert_eq!(stage.watch().held(), 0);
        assert_eq!(stage.reader.timer.begun(), begun + 2, "a wait, and a deadline");
    }
}

/// A hub with nothing to do wakes for heartbeats, once for all sessions.
pub(crate) async fn an_idle_hub_wakes_for_its_heartbeats_alone<P: Platform>(platform: P) {
    const SESSIONS: usize = 5;
    let timer = VirtualTimer::new();
    let (hub, drive) = Hub::new(timer.clone(), config()).unwrap();
    let (listener, address) = platform.listen(None);
    let streams = hub.clone();
    let handler = move |request: Request<Bytes>| {
        let answer = streams.accept(&request, sansse::broker::SessionConfig::new());
        async move { answer }
    };
    let server = Server::new(platform.runtime(), hub.clone());
    let cancel = crate::shared::Shared::new(false);
    let cancelled = cancel.clone();
    platform.runtime().spawn(async move {
        let serving = server.serve(listener, pending(), handler);
        crate::service::unless(&cancelled, serving).await;
    });
    // Here, and not in a task, so that it is known when it has had its turn.
    let mut drive = pin!(drive);
    let mut sources = Vec::new();
    for _ in 0..SESSIONS {
        let mut config = quick();
        config.comments = true;
        let request = Request::get(format!("http://{address}/")).body(Bytes::new()).unwrap();
        let http = Http1::new(platform.connector());
        let mut source = EventSource::new(http, platform.runtime(), request, config);
        placed::<P>(&mut source).await;
        sources.push(source);
    }
    // Until each has got a heartbeat, or, with none due, once.
    let mut turn = async |due: bool| {
        let mut beats = [0; SESSIONS];
        poll_fn(|context| {
            assert!(drive.as_mut().poll(context).is_pending());
            for (source, beats) in sources.iter_mut().zip(&mut beats) {
                while let Poll::Ready(event) = Pin::new(&mut *source).poll_next(context) {
                    assert_eq!(event, Some(SourceEvent::Comment(String::new())));
                    *beats += 1;
                }
            }
            if !due || beats == [1; SESSIONS] { Poll::Ready(beats) } else { Poll::Pending }
        })
        .await
    };
    assert_eq!(turn(false).await, [0; SESSIONS]);
    let begun = timer.begun();
    for round in 1..=20 {
        let [until] = timer.sleeps()[..] else { panic!("{:?}", timer.sleeps()) };
        assert_eq!(until, timer.elapsed() + seconds(15));
        timer.advance(seconds(15) - NANOSECOND);
        assert_eq!(turn(false).await, [0; SESSIONS]);
        timer.advance(NANOSECOND);
        assert_eq!(turn(true).await, [1; SESSIONS]);
        assert_eq!(turn(false).await, [0; SESSIONS], "and no second one");
        // Until when the heartbeats are to be taken, and when the next ones are due.
        assert!(timer.begun() <= begun + 2 * round, "one timer for each deadline");
    }
    cancel.set();
}

/// An hour of silence but for heartbeats, and then not even those: client, server and network
/// with one clock.
#[test]
fn an_idle_hour_costs_a_few_polls_for_each_heartbeat_and_its_end_is_noticed_in_time() {
    let latency = millis(5);
    let conditions =
        Conditions { latency: (latency, latency), splits: false, ..Conditions::default() };
    let network = Network::new(1, conditions);
    let running = network.clone();
    running.block_on(async move {
        let platform = Memory(network.clone());
        let application = Application::new(&platform, config());
        let service = Service::start(&platform, &application);
        let connector = Watching::new(platform.connector(), service.address);
        let watch = connector.watch();
        let request = Request::get(service.url("")).body(Bytes::new()).unwrap();
        let config = ClientConfig::new(1);
        let mut source =
            EventSource::new(Http1::new(connector), platform.runtime(), request, config);
        assert!(matches!(source.next().await, Some(SourceEvent::Open { .. })));

        let (begun, polls, began) = (network.sleeps_begun(), network.polls(), network.elapsed());
        let mut heard = (0, began);
        let mut beats = 0;
        let mut is_silent = false;
        let event = poll_fn(|context| {
            let event = Pin::new(&mut source).poll_next(context);
            let read = watch.read(0);
            if read > heard.0 {
                heard = (read, network.elapsed());
                beats += 1;
            }
            if !is_silent && network.elapsed() >= began + seconds(3600) {
                is_silent = true;
                network.be_silent(true);
                let (begun, polls) = (network.sleeps_begun() - begun, network.polls() - polls);
                // The hub's timer, and the client's.
                assert!(begun <= 2 * beats + 4, "{begun} timers for {beats} heartbeats");
                // The hub's driver, the connection, the client, each for what came and what was due.
                assert!(polls <= 8 * beats + 20, "{polls} polls for {beats} heartbeats");
            }
            event
        })
        .await;
        assert!((239..=242).contains(&beats), "{beats}");
        let Some(SourceEvent::Retrying { error, .. }) = event else { panic!("{event:?}") };
        assert_eq!(error, ClientError::Timeout(Timeout::Idle));
        assert_eq!(network.elapsed(), heard.1 + seconds(90));
    });
}
