//! What happens when a server with very many listeners goes: how many come back in any second,
//! and whether anybody misses anything.
//!
//! Each listener is a client machine with a connection of its own to broker machines, in virtual
//! time and one thread; the network takes its time, and differs by listener. `SANSSE_LISTENERS`
//! sets how many there are (100,000 otherwise, and 2,500 without optimisation), `SANSSE_SEED` what
//! is drawn. Seconds are sliding ones, wherever they begin.
#![cfg(all(feature = "broker", feature = "client"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

#[path = "../kit/mod.rs"]
mod kit;
mod world;

use allocation_counter::measure;
use sansse::broker::{BrokerConfig, Drain, EndReason, Epoch};
use sansse::client::Client;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use world::{LATENCY, World};

/// More than a client needs for itself, its request and what it has not told yet.
const BYTES_OF_CLIENT: i64 = 3_000;

#[test]
fn a_drain_brings_everybody_back_no_faster_than_it_promises() {
    for (shards, successors, over, least, spread) in
        [(1, 1, 20, 1, 80), (4, 4, 20, 1, 80), (1, 4, 60, 2, 0), (4, 1, 0, 3, 50)]
    {
        let mut world = world(true);
        let listeners = world.listeners.len();
        world.begin_server(shards, config());
        world.let_all_in(secs(10));
        world.begin_server(successors, config());
        let drain = Drain::new(secs(over)).with_retry(secs(least), secs(spread));
        let drained_at = world.now;
        world.drain(0, &drain);
        world.until_all_are_in(1, secs(over + least + spread + 1));
        world.check_all_ended(0, EndReason::Drained);
        world.check_nothing_is_missing();
        assert_eq!(world.asked.len(), listeners, "each asks once");

        let promised = per_second(listeners, secs(over + spread));
        let peak = peak(&world.asked);
        let took = *world.asked.iter().max().unwrap() - drained_at;
        println!(
            "{listeners} listeners, {shards} shards to {successors}, over {over} s and {spread} s \
             more: at most {peak} come back in a second, {promised:.0} are promised; the last \
             after {took:.1?}"
        );
        assert!(peak <= with_one_more(promised, shards), "{peak}, and {promised} are promised");
        // The promise is not kept by being late: all of the period is used.
        assert!(took <= secs(over + least + spread) + LATENCY.1 * 2);
        assert!(peak >= at_least(promised), "{peak}, and {promised} might come");
    }
}

/// Clients that add some of their own to what they are told come no faster for it.
#[test]
fn clients_that_spread_their_waits_keep_the_promise_as_well() {
    for shards in [1, 4] {
        let (over, least, spread) = (20, 1, 80);
        let mut world = world(false);
        let listeners = world.listeners.len();
        world.begin_server(shards, config());
        world.let_all_in(secs(10));
        world.begin_server(shards, config());
        world.drain(0, &Drain::new(secs(over)).with_retry(secs(least), secs(spread)));
        world.until_all_are_in(1, secs(over + 2 * (least + spread) + 1));
        world.check_all_ended(0, EndReason::Drained);
        world.check_nothing_is_missing();
        let promised = per_second(listeners, secs(over + spread));
        let peak = peak(&world.asked);
        println!(
            "{listeners} listeners, {shards} shards: {peak} in a second, {promised:.0} promised"
        );
        // They are drawn independently, so that a second may have some more by chance.
        let by_chance = 5.0 * promised.sqrt();
        assert!(peak <= with_one_more(promised + by_chance, shards), "{peak}, {promised} promised");
    }
}

/// Some are with the old server by then, some with the new one, and some between the two.
#[test]
fn an_answer_that_ends_during_a_drain_is_read_to_its_end_and_asked_for_no_more() {
    let mut world = world(true);
    let half = world.listeners.len().div_ceil(2);
    world.begin_answer();
    world.begin_server(3, config());
    world.let_all_in(secs(10));
    world.begin_server(2, config());
    world.drain(0, &Drain::new(secs(20)).with_retry(secs(1), secs(20)));
    world.run_until(world.now + secs(12));
    assert_eq!(world.finished(), 0);
    world.end_answer();
    world.until_all_are_in(1, secs(45));
    assert_eq!(world.finished(), half);
    world.check_all_ended(0, EndReason::Drained);
    world.check_nothing_is_missing();
}

/// The server that takes over has room for half of them, and another one comes later.
#[test]
fn those_who_are_refused_come_back_no_faster_than_the_server_says() {
    for shards in [1, 4] {
        let mut world = world(true);
        let listeners = world.listeners.len();
        let rate = u32::try_from(listeners / 200).unwrap();
        world.begin_server(shards, config());
        world.let_all_in(secs(10));
        let mut small = config();
        small.limits.sessions.most =
            u32::try_from(listeners / 2 / shards).unwrap().try_into().unwrap();
        small.reconnect.per_second = NonZeroU32::new(rate).unwrap();
        world.begin_server(shards, small);
        // They come faster than the rate at which those whom it refuses are to come again.
        world.drain(0, &Drain::new(secs(25)).with_retry(secs(1), Duration::ZERO));
        world.run_until(world.now + secs(40));
        let refused = world.told_to_come_at.len();
        assert!(refused >= listeners / 3, "only {refused} are refused");
        // A listener that is refused now is told another time, again within the rate.
        world.begin_server(shards, config());
        world.until_all_are_in(2, secs(200));
        world.check_all_ended(0, EndReason::Drained);
        world.check_nothing_is_missing();

        let told = peak(&world.told_to_come_at);
        let came = peak(&world.came_again);
        println!(
            "{listeners} listeners, {shards} shards: {refused} refused; told to come at most \
             {told} in a second, came {came}, {rate} promised"
        );
        assert!(told <= usize::try_from(rate).unwrap(), "{told}, and {rate} are promised");
        assert!(came <= with_one_more(f64::from(rate), shards), "{came}, {rate} promised");
        assert_eq!(world.came_again.len(), world.told_to_come_at.len(), "all come, each once");
    }
}

/// Nobody was told anything before: what each session learnt at its start is all there is.
#[test]
fn when_all_connections_break_at_once_they_come_back_at_the_rate_that_is_configured() {
    for shards in [1, 4] {
        let mut world = world(true);
        let listeners = world.listeners.len();
        let rate = u32::try_from(listeners / 50).unwrap();
        let mut spread = config();
        spread.reconnect.spread_retry = true;
        spread.reconnect.per_second = NonZeroU32::new(rate).unwrap();
        world.begin_server(shards, spread);
        world.let_all_in(secs(10));
        world.begin_server(shards, config());
        world.lose(0);
        world.until_all_are_in(1, secs(70));
        world.check_nothing_is_missing();
        let peak = peak(&world.asked);
        println!("{listeners} listeners, {shards} shards: {peak} in a second, {rate} promised");
        assert_eq!(world.asked.len(), listeners, "each asks once");
        // Shards that have more sessions than others are later with their last ones, and no faster.
        assert!(peak <= with_one_more(f64::from(rate), shards), "{peak}, and {rate} are promised");
        assert!(peak >= at_least(f64::from(rate)), "{peak}, and {rate} might come");
    }
}

#[test]
fn what_a_listener_holds_at_rest_is_little() {
    let mut world = world(true);
    world.begin_server(1, config());
    world.let_all_in(secs(10));
    world.publish();
    world.run_until(world.now + secs(20));
    let clients: Vec<Client> = world.listeners.drain(..).map(|listener| listener.client).collect();
    let count = i64::try_from(clients.len()).unwrap();
    let struct_size = size_of::<Client>();
    let held = -measure(|| drop(clients)).bytes_current / count;
    println!("a client holds {held} bytes, {struct_size} of them in itself");
    assert!(held > 0 && held < BYTES_OF_CLIENT, "{held} bytes");
}

fn world(keeps_to_what_it_is_told: bool) -> World {
    #[expect(clippy::disallowed_methods, reason = "the only way to make an Instant; read once")]
    let start = Instant::now();
    let listeners = number("SANSSE_LISTENERS");
    let listeners = listeners.unwrap_or(if cfg!(debug_assertions) { 2_500 } else { 100_000 });
    let seed = number("SANSSE_SEED").unwrap_or(1);
    // Shown where a test fails.
    println!("SANSSE_SEED={seed} SANSSE_LISTENERS={listeners}");
    World::new(seed, start, usize::try_from(listeners).unwrap(), keeps_to_what_it_is_told)
}

fn config() -> BrokerConfig {
    let mut config = BrokerConfig::new(Epoch(0x57));
    config.reconnect.retry = Some(secs(3));
    config.session.heartbeat = Some(secs(30));
    config.limits.sessions.most = 1_000_000.try_into().unwrap();
    config.seed = number("SANSSE_SEED").unwrap_or(1);
    config
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[expect(clippy::cast_precision_loss, reason = "they are few enough")]
fn per_second(listeners: usize, period: Duration) -> f64 {
    listeners as f64 / period.as_secs_f64()
}

/// What may come in a second of the server's: as many as are promised, to within a millisecond, and
/// those whom the network brings in from the times before and after; and one for each shard.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they are few enough")]
fn with_one_more(promised: f64, shards: usize) -> usize {
    let jitter = (LATENCY.1 - LATENCY.0) * 2 + Duration::from_millis(1);
    (promised * (1.0 + jitter.as_secs_f64())).ceil() as usize + shards
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they are few enough")]
fn at_least(promised: f64) -> usize {
    (promised * 0.9) as usize
}

/// The most in any second, wherever it begins.
fn peak(times: &[Instant]) -> usize {
    let mut times = times.to_vec();
    times.sort_unstable();
    let mut first = 0;
    let in_second = |(index, time): (usize, &Instant)| {
        while times[first] + secs(1) <= *time {
            first += 1;
        }
        index + 1 - first
    };
    times.iter().enumerate().map(in_second).max().unwrap_or(0)
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
