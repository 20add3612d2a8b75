//! E: `Last-Event-ID`.

use super::{live, live_with};
use crate::kit::client::{Answer, URL, both, get};
use sansse::EventId;
use sansse::client::{ClientConfig, ClientError, CloseReason};

/// What the requests send when the streams before them are these.
fn ids(config: ClientConfig, streams: &[&str]) -> Vec<Option<String>> {
    let life = live(config, streams.iter().map(Answer::stream));
    assert_eq!(life.requests.len(), streams.len() + 1, "{life:?}");
    let text = |id: Option<&[u8]>| id.map(|id| String::from_utf8(id.to_vec()).unwrap());
    life.ids().into_iter().map(text).collect()
}

#[track_caller]
fn sends_last(streams: &[&str], expected: Option<&str>) {
    for config in both() {
        let ids = ids(config, streams);
        assert_eq!(ids.last().unwrap().as_deref(), expected, "{streams:?}");
    }
}

#[test]
fn e1_the_id_of_the_last_event_is_sent() {
    sends_last(&["id: abc\ndata: a\n\n"], Some("abc"));
    sends_last(&["id: abc\ndata: a\n\nid: def\ndata: b\n\n"], Some("def"));
}

#[test]
fn e2_later_events_without_an_id_keep_it() {
    sends_last(&["id: abc\ndata: a\n\ndata: b\n\ndata: c\n\n"], Some("abc"));
}

#[test]
fn e3_an_empty_id_clears_it_and_the_header_is_absent() {
    for empty in ["id", "id:", "id: "] {
        sends_last(&[&format!("id: abc\ndata: a\n\n{empty}\ndata: b\n\n")], None);
    }
}

#[test]
fn e4_the_id_of_an_unfinished_block_does_not_count() {
    sends_last(&["id: abc\ndata: a\n\nid: def\ndata: b\n"], Some("abc"));
    sends_last(&["id: def\ndata: b"], None);
}

/// As the text has it, and Chromium does.
#[test]
fn e5_the_id_of_a_block_without_data_counts() {
    sends_last(&["id: abc\n\n"], Some("abc"));
}

#[test]
fn e6_it_outlives_connections_that_say_nothing_of_it() {
    for second in ["data: b\n\n", "", "\n\n\n"] {
        sends_last(&["id: abc\ndata: a\n\n", second], Some("abc"));
    }
    for config in both() {
        let answers = ["id: abc\ndata: a\n\n", "data: b\n\n"].map(Answer::stream);
        let life = live(config, answers);
        assert_eq!(life.messages()[1].last_event_id.as_str(), "abc");
    }
}

#[test]
fn e7_an_id_with_nul_is_ignored() {
    sends_last(&["id: abc\ndata: a\n\nid: d\0f\ndata: b\n\n"], Some("abc"));
}

#[test]
fn e8_the_header_holds_the_ids_utf_8_bytes() {
    for config in both() {
        let life = live(config, [Answer::stream("id: …😀é\ndata: a\n\n")]);
        assert_eq!(life.ids(), [None, Some("…😀é".as_bytes())]);
    }
}

/// Sent as it is, as Firefox does; a receiver trims it.
#[test]
fn e9_the_event_has_the_spaces_around_its_id() {
    for config in both() {
        let life = live(config, [Answer::stream("id:  a\t\ndata: a\n\n")]);
        assert_eq!(life.messages()[0].last_event_id.as_str(), " a\t");
        assert_eq!(life.ids()[1], Some(&b" a\t"[..]));
    }
}

/// An `http::HeaderValue` takes no control characters but the tab. The id takes another way to a
/// driver that writes headers itself, and goes out as it is, as browsers send it.
#[test]
fn e10_an_id_with_control_characters_is_sent_as_it_is_and_stops_nothing() {
    for config in both() {
        for control in ('\u{1}'..='\u{1f}').chain(['\u{7f}']) {
            if matches!(control, '\n' | '\r' | '\t') {
                continue;
            }
            let id = format!("a{control}b");
            let first = format!("id: old\ndata: x\n\nid: {id}\ndata: y\n\n");
            let second = "id: new\ndata: z\n\n".to_owned();
            let life = live(config.clone(), [first, second].map(Answer::stream));
            assert_eq!(life.messages()[1].last_event_id.as_str(), id);
            let sent = [None, Some(id.as_bytes()), Some(&b"new"[..])];
            assert_eq!(life.ids(), sent, "{control:?}");
        }
        assert_eq!(ids(config, &["id: a\tb\n\n"])[1].as_deref(), Some("a\tb"));
    }
}

#[test]
fn e11_a_long_id_goes_out_whole() {
    // By default up to the limit; an id of some thousand characters where the caller allows it.
    for (length, mut config) in [1024, 5000].into_iter().flat_map(|n| both().map(|c| (n, c))) {
        let id = "x".repeat(length);
        config.limits = config.limits.with_max_id(length);
        let stream = format!("id: {id}\ndata: a\n\n");
        for status in [431, 400] {
            let answers = [Answer::stream(&stream), Answer::status(status)];
            let life = live(config.clone(), answers);
            assert_eq!(life.ids(), [None, Some(id.as_bytes())]);
            let reason = life.close_reason().and_then(CloseReason::error);
            assert!(matches!(reason, Some(ClientError::Status(answer)) if answer.status == status));
        }
    }
}

#[test]
fn e12_an_initial_id_is_sent_carried_and_cleared_as_if_it_had_been_received() {
    for mut config in both() {
        config.last_event_id = Some(EventId::new("start").unwrap());
        let answers = ["data: a\n\n", "id\ndata: b\n\n"].map(Answer::stream);
        let life = live(config, answers);
        assert_eq!(life.ids(), [Some(&b"start"[..]), Some(b"start"), None]);
        let carried: Vec<_> =
            life.messages().iter().map(|message| message.last_event_id.as_str()).collect();
        assert_eq!(carried, ["start", ""]);
    }
}

#[test]
fn e12_an_initial_id_can_stand_in_the_requests_header() {
    for config in both() {
        let mut request = get(URL);
        request.headers_mut().insert("last-event-id", "start".parse().unwrap());
        let life = live_with(request, config, [Answer::stream("id: next\n\n")]);
        assert_eq!(life.ids(), [Some(&b"start"[..]), Some(b"next")]);
    }
    // The configuration, which is more explicit, wins.
    let mut request = get(URL);
    request.headers_mut().insert("last-event-id", "header".parse().unwrap());
    let mut config = ClientConfig::new(1);
    config.last_event_id = Some(EventId::new("config").unwrap());
    assert_eq!(live_with(request, config, []).ids(), [Some(&b"config"[..])]);
}
