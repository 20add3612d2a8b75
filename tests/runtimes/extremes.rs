//! Each setting of a hub and of a server at its extremes: nothing panics, and each server ends.

use crate::platform::Platform;
use crate::raw::Raw;
use crate::service::{Application, Service, config};
use sansse::http1::ServerConnectionConfig;
use sansse::hub::HubBuilder;
use sansse::serve::Server;
use std::num::NonZeroU16;
use std::time::Duration;

const TIMES: [Duration; 4] =
    [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1 << 40), Duration::MAX];
const NUMBERS: [usize; 3] = [0, 1, usize::MAX];

/// The setters of a builder that are used here, and those that take neither a time nor a number.
#[test]
fn no_setting_is_forgotten_here() {
    let setters = |source: &'static str| {
        let lines = source.lines().filter_map(|line| line.split_once("fn with_"));
        let names = lines.filter_map(|(_, rest)| Some(rest.split_once('(')?.0));
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        setters(include_str!("../../src/serve/mod.rs")),
        ["http", "hosts", "max_connections", "max_held_bytes", "shutdown_time"]
    );
    assert_eq!(
        setters(include_str!("../../src/hub/mod.rs")),
        ["shards", "response_head", "accept", "refusals", "early_end"]
    );
}

pub(crate) async fn a_server_lives_through_each_setting_at_its_extremes<P: Platform>(platform: P) {
    for time in TIMES {
        let http = ServerConnectionConfig::DEFAULT;
        live(&platform, |server| server.with_shutdown_time(time)).await;
        for http in [
            http.with_head_time(time),
            http.with_body_time(time),
            http.with_idle_time(time),
            http.with_write_time(time),
            http.with_linger_time(time),
        ] {
            live(&platform, |server| server.with_http(http)).await;
        }
    }
    for number in NUMBERS {
        live(&platform, |server| server.with_max_connections(number as u64)).await;
        live(&platform, |server| server.with_max_held_bytes(number)).await;
    }
}

pub(crate) async fn a_hub_lives_with_as_many_shards_as_there_can_be<P: Platform>(platform: P) {
    for shards in [NonZeroU16::MIN, NonZeroU16::MAX] {
        let set = |builder: HubBuilder| builder.with_shards(shards);
        let application = Application::with(&platform, config(), set);
        serve(&platform, &application, |server| server).await;
    }
}

async fn live<P: Platform>(
    platform: &P,
    set: impl FnOnce(Server<P::Runtime>) -> Server<P::Runtime>,
) {
    serve(platform, &Application::new(platform, config()), set).await;
}

/// A reader of events and one that publishes, each of which may be refused, and then the end.
async fn serve<P: Platform>(
    platform: &P,
    application: &Application,
    set: impl FnOnce(Server<P::Runtime>) -> Server<P::Runtime>,
) {
    let service = Service::start_with(platform, application, None, set);
    let mut reader = Raw::connect(platform, service.address).await;
    reader.write("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let first = reader.read().await;
    application.broadcast("x".repeat(10_000));
    // One that has said nothing.
    let mut idle = Raw::<P>::connect(platform, service.address).await;
    service.begin_shutdown();
    let (rest, _) = reader.read_to_end().await;
    let _ = idle.read_to_end().await;
    // Some wait for their peers for ever.
    drop((reader, idle));
    service.shut_down().await;
    assert_eq!(application.hub.counters().sessions, 0);
    if first.is_ok_and(|first| first.starts_with(b"HTTP/1.1 200")) {
        assert!(!rest.is_empty(), "the stream ends with what was published, or with its end");
    }
}
