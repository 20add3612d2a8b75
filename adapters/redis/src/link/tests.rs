use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn start() -> Instant {
    Instant::now()
}

fn two() -> Commands {
    Commands::default().with([word("XREAD")]).with([word("TIME")])
}

const ANSWER: &[u8] =
    b"*1\r\n*2\r\n$1\r\nl\r\n*1\r\n*2\r\n$3\r\n9-2\r\n*2\r\n$1\r\nd\r\n$4\r\na\r\n\0\r\n\
    *2\r\n$1\r\n7\r\n$1\r\n8\r\n";

fn asked() -> Link {
    let mut link = Link::new();
    let deadline = start() + Duration::from_secs(5);
    link.request(two(), MAX_SHORT_ANSWER, deadline);
    link
}

/// What comes of bytes that come in these pieces.
fn answered<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Option<Result<Vec<Frame>, LogError>> {
    let mut link = asked();
    for piece in pieces {
        link.handle_bytes(piece);
    }
    link.poll_answer()
}

fn kind(link: &mut Link) -> LogErrorKind {
    link.poll_answer().unwrap().unwrap_err().kind()
}

#[test]
fn every_split_of_an_answer_gives_the_same() {
    let whole = answered([ANSWER]).unwrap().unwrap();
    assert_eq!(whole.len(), 2);
    for first in 0..ANSWER.len() {
        for second in first..ANSWER.len() {
            let pieces = [&ANSWER[..first], &ANSWER[first..second], &ANSWER[second..]];
            assert_eq!(answered(pieces), Some(Ok(whole.clone())));
        }
    }
    assert_eq!(answered(ANSWER.chunks(1)), Some(Ok(whole)));
}

#[test]
fn an_answer_is_there_when_its_last_byte_is() {
    assert_eq!(answered([&ANSWER[..ANSWER.len() - 1]]), None);
}

#[test]
fn output_is_kept_until_it_is_written() {
    let mut link = asked();
    let all = two().into_bytes();
    assert_eq!(link.output(), all);
    link.handle_written(3);
    assert_eq!(link.output(), &all[3..]);
    link.handle_written(usize::MAX);
    assert!(link.output().is_empty());
}

#[test]
fn one_request_follows_another() {
    let mut link = asked();
    link.handle_bytes(ANSWER);
    assert!(link.poll_answer().unwrap().is_ok());
    assert!(link.poll_answer().is_none());
    assert!(link.poll_timeout().is_none());
    link.request(two(), MAX_SHORT_ANSWER, start() + Duration::from_secs(5));
    link.handle_bytes(b"+a\r\n+b\r\n");
    assert_eq!(link.poll_answer().unwrap().unwrap().len(), 2);
}

#[test]
fn nonsense_is_malformed() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x03\0\x02\x02\x46",
        b":x\r\n",
        b"$-2\r\n",
        b"$99999999999999999999\r\n",
        b"*1\r\n!",
    ] {
        let mut link = asked();
        link.handle_bytes(bytes);
        assert_eq!(kind(&mut link), LogErrorKind::Malformed, "{bytes:?}");
    }
}

#[test]
fn nesting_without_end_is_malformed_and_overflows_no_stack() {
    let mut link = asked();
    link.handle_bytes(&b"*1\r\n".repeat(50_000));
    assert_eq!(kind(&mut link), LogErrorKind::Malformed);
}

#[test]
fn an_answer_beyond_the_limit_is_malformed() {
    let mut link = asked();
    link.handle_bytes(b"$300000\r\n");
    for _ in 0..30 {
        link.handle_bytes(&[b'a'; 10_000]);
    }
    assert_eq!(kind(&mut link), LogErrorKind::Malformed);
    assert!(link.input.is_empty() && link.replies.is_empty());
}

#[test]
fn bytes_that_nobody_asked_for_are_malformed() {
    let mut link = asked();
    link.handle_bytes(&[ANSWER, b"+"].concat());
    assert_eq!(kind(&mut link), LogErrorKind::Malformed);
    let mut link = Link::new();
    link.handle_bytes(b"+OK\r\n");
    assert_eq!(kind(&mut link), LogErrorKind::Malformed);
    let mut link = asked();
    link.handle_bytes(ANSWER);
    link.handle_bytes(b"+OK\r\n");
    assert_eq!(kind(&mut link), LogErrorKind::Malformed);
}

#[test]
fn a_link_that_has_failed_stays_so() {
    let mut link = asked();
    link.handle_bytes(&ANSWER[..10]);
    link.handle_end();
    assert_eq!(kind(&mut link), LogErrorKind::Unreachable);
    link.handle_bytes(&ANSWER[10..]);
    link.request(two(), MAX_SHORT_ANSWER, start());
    assert!(link.output().is_empty());
    assert_eq!(kind(&mut link), LogErrorKind::Unreachable);
}

#[test]
fn an_end_behind_an_error_has_its_reason() {
    let mut link = asked();
    link.handle_bytes(b"-UNBLOCKED force unblock from blocking operation\r\n");
    assert!(link.poll_answer().is_none());
    link.handle_end();
    assert_eq!(kind(&mut link), LogErrorKind::NotReady);
}

#[test]
fn a_deadline_ends_it_and_no_earlier_time_does() {
    let mut link = Link::new();
    let deadline = start() + Duration::from_secs(5);
    link.request(two(), MAX_SHORT_ANSWER, deadline);
    assert_eq!(link.poll_timeout(), Some(deadline));
    link.handle_timeout(deadline - Duration::from_nanos(1));
    assert!(link.poll_answer().is_none());
    link.handle_timeout(deadline);
    assert_eq!(kind(&mut link), LogErrorKind::Unreachable);
    assert_eq!(link.poll_timeout(), None);
}

#[test]
fn a_request_before_the_last_answer_fails_the_link() {
    let mut link = asked();
    link.request(two(), MAX_SHORT_ANSWER, start());
    assert_eq!(kind(&mut link), LogErrorKind::Malformed);
}

proptest! {
    #[test]
    fn no_bytes_panic(pieces: Vec<Vec<u8>>) {
        answered(pieces.iter().map(Vec::as_slice));
    }

    #[test]
    fn spoilt_answers_are_the_same_in_two_pieces(
        at in 0..ANSWER.len(),
        byte: u8,
        cut in 0..ANSWER.len(),
    ) {
        let mut bytes = ANSWER.to_vec();
        bytes[at] = byte;
        let in_two = answered([&bytes[..cut], &bytes[cut..]]);
        let whole = answered([bytes.as_slice()]);
        prop_assert_eq!(in_two, whole);
    }
}
