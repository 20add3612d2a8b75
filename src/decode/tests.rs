use super::*;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

/// The steps of these chunks, with the data or comment after the colon.
fn steps(decoder: &mut Decoder, chunks: &[&[u8]]) -> Vec<String> {
    let mut steps = Vec::new();
    for chunk in chunks {
        decoder.handle_data(chunk);
        while let Some(step) = decoder.poll_step() {
            steps.push(match step {
                Step::Message => format!("message:{}", decoder.message().data()),
                Step::Comment => format!("comment:{}", decoder.comment()),
                Step::Retry(time) => format!("retry:{}", time.as_millis()),
                Step::Error(DecodeError::LineTooLong { .. }) => "line too long".to_string(),
                Step::Error(DecodeError::EventTooLarge { .. }) => "event too large".to_string(),
                Step::Error(DecodeError::IdTooLong { .. }) => "id too long".to_string(),
            });
        }
    }
    steps
}

fn limited(max_line: usize, max_event: usize) -> Decoder {
    Decoder::new().with_limits(Limits::default().with_max_line(max_line).with_max_event(max_event))
}

#[test]
fn a_line_of_the_limit_passes_and_one_byte_more_drops_its_block() {
    let decoder = &mut limited(10, 100);
    assert_eq!(steps(decoder, &[b"data: 6789\n\n"]), ["message:6789"]);
    assert_eq!(
        steps(decoder, &[b"data: a\ndata: 67890\ndata: b\n:c\nretry: 1\n\ndata: d\n\n"]),
        ["line too long", "message:d"]
    );
}

#[test]
fn a_line_without_an_end_is_reported_as_soon_as_it_is_too_long() {
    let decoder = &mut limited(10, 100);
    assert_eq!(steps(decoder, &[b"data: 6789"]), [""; 0]);
    assert_eq!(steps(decoder, &[b"0"]), ["line too long"]);
    assert_eq!(steps(decoder, &[b"more", b"\n", b"data: x\n"]), [""; 0]);
    assert_eq!(steps(decoder, &[b"\n", b"data: y\n\n"]), ["message:y"]);
}

#[test]
fn comments_and_unknown_fields_have_the_same_limit() {
    for line in [&b": 34567890x"[..], b"unknown: 0x", b"retry:7890x"] {
        assert_eq!(steps(&mut limited(10, 100), &[line, b"\n\n"]), ["line too long"]);
    }
}

#[test]
fn the_limit_of_a_line_counts_decoded_bytes() {
    let decoder = &mut limited(9, 100);
    assert_eq!(steps(decoder, &[b"data: \xff\n\n"]), ["message:\u{fffd}"]);
    assert_eq!(steps(decoder, &[b"data: \xffx\n\n"]), ["line too long"]);
    // The end of the stream makes the unfinished character count.
    assert_eq!(steps(decoder, &[b"data: x\xe2\x82"]), [""; 0]);
    decoder.handle_eof();
    assert_eq!(decoder.poll_step(), Some(Step::Error(DecodeError::LineTooLong { limit: 9 })));
    assert_eq!(decoder.poll_step(), None);
}

#[test]
fn the_data_of_an_event_is_limited_with_its_line_ends() {
    let decoder = &mut limited(100, 5);
    assert_eq!(steps(decoder, &[b"data: 12\ndata: 45\n\n"]), ["message:12\n45"]);
    assert_eq!(
        steps(decoder, &[b"data: 12\ndata: 456\ndata: 7\n\ndata: 123456\n\ndata: 1\n\n"]),
        ["event too large", "event too large", "message:1"]
    );
    assert_eq!(steps(decoder, &[b"data:12345\ndata\n\n"]), ["event too large"]);
}

#[test]
fn a_dropped_block_moves_no_id_and_leaves_no_type() {
    let decoder = &mut limited(20, 5);
    assert_eq!(
        steps(decoder, &[b"id: 1\n\nid: 2\nevent: t\ndata: 123456\nid: 3\n\ndata: x\n\n"]),
        ["event too large", "message:x"]
    );
    assert_eq!(decoder.last_event_id(), "1");
    decoder.handle_data(b"data: y\n\n");
    decoder.poll_step();
    assert_eq!(decoder.message().event_type(), "message");
}

#[test]
fn the_blank_line_that_ends_dropping_may_end_in_any_way() {
    for blank in [&b"\n\n"[..], b"\r\r", b"\r\n\r\n", b"\n\r", b"\r\n\n", b"\n\r\n"] {
        let stream = [b"data: too long", blank, b"data: x\n\n"].concat();
        for split in 0..stream.len() {
            let (first, second) = stream.split_at(split);
            assert_eq!(
                steps(&mut limited(8, 8), &[first, second]),
                ["line too long", "message:x"],
                "{} split at {split}",
                stream.escape_ascii()
            );
        }
    }
    assert_eq!(
        steps(&mut limited(8, 8), &[b"data: too long\r", b"\n", b"data: x\n\n"]),
        ["line too long"]
    );
}

#[test]
fn a_cr_ends_its_line_at_once_and_an_lf_after_it_is_of_the_same_line_end() {
    let decoder = &mut Decoder::new();
    assert_eq!(steps(decoder, &[b"data: a\r", b"\r"]), ["message:a"]);
    assert_eq!(steps(decoder, &[b"\ndata: b\n", b"\r"]), ["message:b"]);
    assert_eq!(steps(decoder, &[b"", b"\n", b"data: c\r\n", b"\n"]), ["message:c"]);
}

#[test]
fn a_byte_order_mark_is_skipped_once_however_it_is_split() {
    for stream in [&b"\xef\xbb\xbf:\xef\xbb\xbf\n"[..], b":\xef\xbb\xbf\n"] {
        for length in 1..=stream.len() {
            let chunks: Vec<&[u8]> = stream.chunks(length).collect();
            assert_eq!(steps(&mut Decoder::new(), &chunks), ["comment:\u{feff}"]);
        }
    }
    assert_eq!(steps(&mut Decoder::new(), &[b"\xef\xbb", b":x\n:y\n"]), ["comment:y"]);
}

#[test]
fn what_is_lent_outlives_the_next_chunk_but_not_the_next_step() {
    let mut decoder = Decoder::new();
    decoder.handle_data(b":first\nevent: t\ndata: one\n\n");
    assert_eq!(decoder.poll_step(), Some(Step::Comment));
    decoder.handle_data(b":last\n");
    assert_eq!(decoder.comment(), "first");
    assert_eq!(decoder.message().data(), "");
    assert_eq!(decoder.poll_step(), Some(Step::Message));
    assert_eq!(decoder.comment(), "");
    for _ in 0..100 {
        decoder.handle_data(b"\n");
    }
    assert_eq!((decoder.message().event_type(), decoder.message().data()), ("t", "one"));
    assert_eq!(decoder.poll_step(), Some(Step::Comment));
    assert_eq!((decoder.message().event_type(), decoder.message().data()), ("message", ""));
    assert_eq!(decoder.poll_step(), None);
    assert_eq!(decoder.comment(), "");
}

#[test]
fn chunks_may_wait_and_be_polled_late() {
    let mut decoder = Decoder::new();
    for number in 0..100 {
        decoder.handle_data(format!("id: {number}\ndata: {number}\n").as_bytes());
        decoder.handle_data(b"\n");
    }
    let expected: Vec<String> = (0..100).map(|number| format!("message:{number}")).collect();
    assert_eq!(steps(&mut decoder, &[b""]), expected);
    assert_eq!(decoder.last_event_id(), "99");
}

#[test]
fn a_byte_order_mark_alone_may_be_used_up_while_the_rest_waits() {
    let mut decoder = Decoder::new();
    decoder.handle_data(b"\xef\xbb\xbf:\n");
    assert_eq!(steps(&mut decoder, &[b":\xff\n"]), ["comment:", "comment:\u{fffd}"]);
}

#[test]
fn an_id_beyond_its_limit_costs_its_block_and_leaves_the_last_event_id() {
    let mut decoder = Decoder::new().with_limits(Limits::default().with_max_id(3));
    decoder.handle_data(b"id: abc\ndata: a\n\ndata: b\nid: abcd\n");
    assert_eq!(decoder.poll_step(), Some(Step::Message));
    assert_eq!(decoder.poll_step(), Some(Step::Error(DecodeError::IdTooLong { limit: 3 })));
    assert_eq!(steps(&mut decoder, &[b"data: c\n", b"\ndata: d\n\n"]), ["message:d"]);
    assert_eq!(decoder.last_event_id(), "abc");
    assert_eq!(Limits::DEFAULT.max_id(), 1024);
}

#[test]
fn the_end_drops_what_is_unfinished_and_keeps_what_is_complete() {
    let mut decoder = Decoder::new();
    decoder.handle_data(b"id: 1\ndata: a\n\nid: 2\ndata: b\n");
    decoder.handle_eof();
    decoder.handle_data(b"\n");
    decoder.handle_eof();
    assert_eq!(steps(&mut decoder, &[b"\n"]), ["message:a"]);
    assert_eq!(decoder.last_event_id(), "1");
}

#[test]
fn a_new_stream_keeps_the_last_event_id_and_the_reconnection_time_alone() {
    let mut decoder = Decoder::new().with_last_event_id(EventId::new("0").unwrap());
    assert_eq!(decoder.last_event_id(), "0");
    let first: &[u8] = b"id: 1\nretry: 5\ndata: a\n\nid: 2\nevent: t\ndata: b\n\xe2\x82";
    // The second time, the stream stops at a CR and with steps that nobody polled.
    for tail in [&b""[..], b"\n\ndata: c\r\rdata: d\r"] {
        assert_eq!(steps(&mut decoder, &[first]), ["retry:5", "message:a"]);
        decoder.handle_data(tail);
        decoder.handle_eof();
        decoder.reset();
        assert_eq!(decoder.message().data(), "");
        assert_eq!(decoder.poll_step(), None);
        assert_eq!(decoder.last_event_id(), "1");
        assert_eq!(decoder.reconnection_time(), Some(Duration::from_millis(5)));
        assert_eq!(steps(&mut decoder, &[b"\ndata\n\n"]), ["message:"]);
        assert_eq!(steps(&mut decoder, &[b"\xef\xbb\xbf\n"]), [""; 0]);
        decoder.reset();
        assert_eq!(steps(&mut decoder, &[b"\xef\xbb\xbfdata: x\n"]), [""; 0]);
        decoder.handle_data(b"\n");
        decoder.poll_step();
        assert_eq!(
            decoder.message().into_owned(),
            OwnedMessage {
                event_type: crate::EventType::MESSAGE,
                data: "x".into(),
                last_event_id: EventId::new("1").unwrap(),
            }
        );
        decoder.reset();
    }
}

#[test]
fn a_reset_forgets_the_beginning_of_a_character() {
    let mut decoder = Decoder::new();
    decoder.handle_data(b"data: x\xe2\x82");
    decoder.reset();
    assert_eq!(steps(&mut decoder, &[b":\xac\n"]), ["comment:\u{fffd}"]);
}

#[test]
fn a_reset_ends_dropping() {
    let mut decoder = limited(5, 5);
    assert_eq!(steps(&mut decoder, &[b"too long"]), ["line too long"]);
    decoder.reset();
    assert_eq!(steps(&mut decoder, &[b":x\n"]), ["comment:x"]);
}

/// If the work were quadratic, this would take minutes.
#[test]
fn a_line_of_a_million_bytes_may_come_byte_by_byte() {
    let mut stream = vec![b'x'; 1_000_000];
    stream[..5].copy_from_slice(b"data:");
    let mut polled = Decoder::new();
    let mut late = Decoder::new();
    for byte in stream.chunks(1) {
        assert_eq!(steps(&mut polled, &[byte]), [""; 0]);
        late.handle_data(byte);
    }
    for mut decoder in [polled, late] {
        decoder.handle_data(b"\n\n");
        assert_eq!(decoder.poll_step(), Some(Step::Message));
        assert_eq!(decoder.message().data().len(), 999_995);
    }
}

/// As above: many events wait, and bytes come between them one by one.
#[test]
fn a_backlog_may_be_polled_while_bytes_come_one_by_one() {
    let mut decoder = Decoder::new();
    decoder.handle_data(&b"data: x\n\n".repeat(200_000));
    let mut events = 0;
    while decoder.poll_step().is_some() {
        events += 1;
        decoder.handle_data(b":");
    }
    assert_eq!(events, 200_000);
}
