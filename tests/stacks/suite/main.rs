//! One set of scenarios, lived on each HTTP stack that serves event streams: what a peer gets must be
//! the same on all of them.
//!
//! What a plain answer must be is what the core says it is: the same request is answered by
//! [`sansse::Hub::accept`] beside the stack, and compared.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]

/// All scenarios, as tests of a stack; but those that it excuses itself from, for a reason that stands
/// beside their names.
macro_rules! scenarios {
    ($stack:ty) => { scenarios! { $stack, but [], #[cfg(all())] } };
    ($stack:ty, but $but:tt, #[$attribute:meta]) => {
        scenarios! { $stack, $but, #[$attribute], answers:
            an_event_arrives_at_once_with_the_head_of_an_event_stream,
            what_asks_for_no_stream_gets_the_answer_of_the_core,
            the_head_of_a_stream_alone_says_nothing_of_a_length,
            a_page_of_another_origin_is_refused_before_anything_is_opened,
            what_a_page_may_read_says_so,
            a_full_hub_says_when_to_come_back,
            a_topic_that_is_over_ends_a_reader_for_good,
            a_stream_is_not_compressed,
            a_handler_that_panics_costs_its_own_request_alone,
            a_last_event_id_that_leads_nowhere_is_told
        }
        scenarios! { $stack, $but, #[$attribute], streams:
            a_reader_that_comes_back_gets_what_it_missed,
            thousands_of_events_arrive_in_order,
            a_reader_that_leaves_closes_its_session,
            a_topic_that_ends_ends_its_streams_in_good_order,
            a_drain_cuts_each_stream_after_it_is_told,
            an_answer_to_one_reader_is_whole,
            an_answer_that_fails_is_told_and_cut,
            an_answer_that_panics_is_cut
        }
        scenarios! { $stack, $but, #[$attribute], ends:
            a_server_drains_a_thousand_streams_within_its_period,
            a_peer_that_takes_nothing_loses_its_connection,
            an_old_client_gets_a_stream_until_the_connection_closes
        }
    };
    ($stack:ty, $but:tt, #[$attribute:meta], $room:ident: $($scenario:ident),+) => { $(
        #[test]
        #[$attribute]
        fn $scenario() {
            if !crate::is_excused(stringify!($but), stringify!($scenario)) {
                crate::run(crate::$room::$scenario::<$stack>());
            }
        }
    )+ };
}

mod answers;
mod ends;
mod peer;
#[allow(dead_code, reason = "it has more for other tests")]
#[path = "../../proxies/proxy.rs"]
mod proxy;
mod setup;
mod stacks;
mod streams;

use std::future::Future;
use std::time::Duration;

/// How long anything may take before a test gives it up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a list of names has this one.
fn is_excused(names: &str, scenario: &str) -> bool {
    names.split(|byte: char| !byte.is_alphanumeric() && byte != '_').any(|name| name == scenario)
}

/// For a proxy to start.
const ALL: Duration = Duration::from_secs(30);

fn run(scenario: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE * 2, scenario).await.expect("the scenario ends");
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
