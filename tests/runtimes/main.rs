//! One set of scenarios, written once and run on every runtime: tokio on one thread and on
//! several, smol, async-std, a hand-written executor, and a network in memory with virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by it, as tests do")]
#![expect(clippy::disallowed_types, reason = "platforms listen on real sockets")]
#![allow(clippy::duplicate_mod, reason = "the rows are lived on each platform")]
#![cfg(all(feature = "feed", feature = "serve"))]

#[path = "../../adapters/tokio/tests/common/child.rs"]
mod child;
#[path = "../kit/mod.rs"]
mod kit;

/// All scenarios, as tests of a platform. In brackets stands with how many of the platform's seeds.
macro_rules! scenarios {
    ($platform:ty) => {
        scenarios! { $platform:
            streams[20]: connect, broadcast, per_client_send;
            losses[20]: resume_after_cut, restart_with_the_same_hub, restart_with_a_new_epoch;
            endings[20]: drain, cancel_a_client_by_drop, cancel_a_wait_by_drop,
                cancel_readers_of_a_feed_by_drop, cancel_a_session_by_drop,
                cancel_a_server_by_drop, cancel_a_hub_by_drop, cancel_a_read_by_drop;
            refusals[5]: a_client_comes_back_to_a_hub_that_was_full,
                a_client_comes_back_to_a_server_that_had_no_room,
                a_client_comes_back_after_a_drain_and_a_restart;
            ends[5]: a_stream_that_is_not_complete_is_truncated_for_one_who_reads_once,
                a_stream_that_is_complete_is_finished_for_one_who_reads_once,
                an_early_end_is_in_good_order_where_that_is_set,
                an_old_peer_is_told_by_a_reset_that_its_stream_is_not_complete;
            leaving[10]: a_handler_whose_peer_has_gone_is_dropped,
                a_handler_that_asked_for_it_is_finished_though_its_peer_has_gone,
                a_peer_that_ends_its_side_alone_gets_what_is_ready_or_asked_to_be_finished,
                what_comes_while_a_handler_runs_is_not_lost,
                a_flood_behind_a_request_is_left_in_the_socket;
            answers[5]: an_answer_of_ten_thousand_pieces_arrives_whole,
                an_answer_is_not_made_faster_than_it_is_read,
                an_answer_whose_reader_leaves_is_dropped,
                an_answer_that_fails_says_so_and_is_cut,
                an_old_peer_gets_a_whole_answer_and_its_proper_end,
                a_head_request_gets_the_head_of_an_answer_and_makes_none,
                a_silent_answer_has_heartbeats,
                a_reader_that_takes_nothing_of_an_answer_is_given_up,
                a_shutdown_waits_for_an_answer_no_longer_than_its_time;
            budgets[3]: an_answer_that_is_not_read_gives_way_to_another,
                the_largest_request_gives_way_and_the_others_are_answered,
                a_request_that_would_not_fit_alone_is_refused,
                a_reader_that_holds_the_most_is_cut_comes_back_and_is_told,
                a_host_that_is_none_is_refused;
            extremes[1]: a_server_lives_through_each_setting_at_its_extremes,
                a_hub_lives_with_as_many_shards_as_there_can_be;
            crowds[1]: slow_reader;
            bad_input[2]: bad_input;
            deadlines[5]: a_silent_and_then_dead_peer_wakes_a_client_at_exactly_its_deadlines,
                an_idle_hub_wakes_for_its_heartbeats_alone;
            steps[5]: a8_at_first_it_is_connecting_and_reports_nothing,
                b1_a_good_head_opens_before_any_byte_of_the_body,
                b15_the_connection_of_a_failed_response_is_given_up,
                d8_the_error_is_reported_then_the_wait_begins,
                d13_back_off_ends_with_a_good_response,
                d17_after_several_losses_no_connection_is_left_over,
                f1_close_while_connecting_aborts_the_request_or_never_sends_it,
                f2_close_while_open_drops_the_connection,
                f3_close_with_events_waiting_delivers_none_of_them,
                f4_close_when_the_opening_is_reported_delivers_no_event,
                f5_close_while_waiting_cancels_the_wait,
                f6_close_twice_or_when_closed_has_no_effect,
                g3_silence_is_an_error_and_reconnects_and_any_byte_is_life,
                g4_restart_drops_the_connection_and_asks_again_at_once;
        }

        // For the rows.
        fn live(
            config: sansse::client::ClientConfig,
            answers: impl IntoIterator<Item = crate::kit::client::Answer>,
        ) -> crate::kit::client::Life {
            live_with(crate::kit::client::get(crate::kit::client::URL), config, answers)
        }

        fn live_with(
            request: http::Request<bytes::Bytes>,
            config: sansse::client::ClientConfig,
            answers: impl IntoIterator<Item = crate::kit::client::Answer>,
        ) -> crate::kit::client::Life {
            crate::life::live::<$platform>(request, config, answers.into_iter().collect())
        }

        #[test]
        fn a_thousand_clients() {
            let test = concat!(module_path!(), "::a_thousand_clients");
            crate::crowds::test_a_thousand_clients::<$platform>(test);
        }

        #[test]
        fn bad_input_takes_little_memory() {
            crate::bad_input::bad_input_takes_little_memory::<$platform>();
        }
    };
    ($platform:ty: $($subject:ident[$seeds:literal]: $($scenario:ident),*;)*) => { $($(
        #[test]
        fn $scenario() {
            for seed in <$platform as crate::platform::Platform>::seeds().take($seeds) {
                <$platform as crate::platform::Platform>::run(
                    seed,
                    crate::$subject::$scenario::<$platform>,
                );
            }
        }
    )*)* };
}

/// What takes a real process.
macro_rules! processes {
    ($platform:ty) => {
        #[cfg(unix)]
        #[test]
        fn a_stopped_process_keeps_its_stream() {
            let test = concat!(module_path!(), "::a_stopped_process_keeps_its_stream");
            crate::stopped::test::<$platform>(test);
        }
    };
}

mod answers;
mod async_std;
mod bad_input;
mod budgets;
mod crowds;
mod cutting;
mod deadlines;
mod endings;
mod ends;
mod extremes;
mod leaving;
mod life;
mod losses;
mod memory;
mod misdeed;
mod network;
mod own_executor;
mod peer;
mod platform;
mod raw;
mod reader;
mod refusals;
mod service;
mod shared;
mod simulated_network;
mod smol;
mod stage;
mod steps;
#[cfg(unix)]
mod stopped;
mod streams;
mod tokio_current_thread;
mod tokio_multi_thread;
mod tokio_runtime;
mod watched;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A listener of the system's, on a free address or on a given one.
fn bind(address: Option<SocketAddr>) -> TcpListener {
    TcpListener::bind(address.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into())).unwrap()
}

/// Whether so many files may be open at a time, as far as a system tells.
fn has_open_files(count: u64) -> bool {
    let Ok(limits) = std::fs::read_to_string("/proc/self/limits") else { return true };
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(u64::MAX);
    soft >= count
}
