//! F: closing and reporting.

use super::live;
use crate::kit::client::{Answer, Seen, both, millis};
use sansse::client::ReadyState::{Closed, Connecting, Open};
use sansse::net::FailureKind;

#[test]
fn f10_a_whole_life() {
    for mut config in both() {
        config.policy.reconnection.floor = millis(0);
        let is_plain = config.policy.reconnection.max_backoff.is_none();
        let life = live(
            config,
            [
                Answer::stream("retry: 2\ndata: a\n\n"),
                Answer::stream("data: b\n\n"),
                Answer::status(204),
            ],
        );
        assert_eq!(
            life.shorts(),
            ["open", "data a", "retrying", "open", "data b", "retrying", "closed"],
        );
        assert_eq!(life.states, [Open, Open, Connecting, Open, Open, Connecting, Closed]);
        assert_eq!(life.requests.len(), 3);
        assert!(!is_plain || life.gaps() == [millis(2); 2]);
    }
}

#[test]
fn f11_messages_come_in_stream_order_each_once_however_they_are_cut() {
    let blocks: Vec<String> = (0..500).map(|n| format!("id: {n}\ndata: {n}\n\n")).collect();
    let stream = blocks.concat();
    for config in both() {
        for size in [1, 7, 1000, stream.len()] {
            let answer = Answer::stream(&stream).in_chunks_of(size).held();
            let life = live(config.clone(), [answer]);
            let numbers: Vec<usize> =
                life.messages().iter().map(|message| message.data.parse().unwrap()).collect();
            assert_eq!(numbers, (0..500).collect::<Vec<_>>(), "chunks of {size}");
        }
    }
}

#[test]
fn f7_one_open_a_connection_before_its_first_event() {
    for config in both() {
        let streams = ["data: a\n\ndata: b\n\n", "data: c\n\n", ""].map(Answer::stream);
        assert_eq!(
            live(config, streams).shorts(),
            [
                "open", "data a", "data b", "retrying", "open", "data c", "retrying", "open",
                "retrying"
            ],
        );
    }
}

#[test]
fn f8_one_error_a_loss_while_connecting() {
    for config in both() {
        let losses = [
            Answer::stream("data: a\n\n"),
            Answer::stream("data: a").cut(FailureKind::Truncated),
            Answer::none(FailureKind::Connect),
            Answer::none(FailureKind::Protocol),
        ];
        let life = live(config, losses);
        let mut retries = 0;
        for (seen, state) in life.seen.iter().zip(&life.states) {
            if let Seen::Retrying { .. } = seen {
                retries += 1;
                assert_eq!(*state, Connecting);
            }
        }
        assert_eq!(retries, 4);
    }
}

/// That nothing comes after it, and no request, is part of every life that ends.
#[test]
fn f9_one_error_at_the_end_and_nothing_after_it() {
    for config in both() {
        let life = live(config, [Answer::status(404), Answer::stream("data: never\n\n")]);
        assert_eq!((life.shorts(), life.states), (vec!["closed".to_owned()], vec![Closed]));
        assert_eq!(life.requests.len(), 1);
    }
}
