//! A session as its connection sees it: frames, or batches and what a write left of them; its end
//! and the reason for it.

use super::driving::pass;
use super::tasks::{Driver, Probe, next, poll_ended};
use super::{Random, config, data, drain, driven, hub, hub_of, parked, say, seconds, told_at};
use sansse::broker::{
    Audience, Batch, EndReason, Filled, Framing, LagPolicy, Resumption, SessionConfig,
};
use sansse::hub::{Cut, Session};
use sansse::{Event, Fault, Frame, Hub, LastEventId, Notice};
use std::task::{Context, Poll};

fn poll_batch(
    session: &mut Session,
    probe: &Probe,
    limit: usize,
    batch: &mut Batch,
) -> Poll<Result<Filled, Cut>> {
    session.poll_batch(&mut Context::from_waker(&probe.waker()), limit, batch)
}

#[test]
fn a_session_is_a_stream_of_frames_that_ends_when_it_does() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = hub.open(SessionConfig::new()).unwrap();
    assert_eq!(session.resumption(), Resumption::Live);
    say(&hub, "a");
    say(&hub, "b");
    assert!(hub.close_session(session.id()));
    say(&hub, "too late");
    let payloads: Vec<_> = drain(&mut session, &probe).iter().map(Frame::payload).collect();
    let begins = told_at(0, Notice::Live);
    assert_eq!(payloads, [&begins, "id: beef-1\ndata: a\n\n", "id: beef-2\ndata: b\n\n"]);
    assert_eq!(session.end_reason(), Some(EndReason::Closed));
    for _ in 0..3 {
        assert_eq!(next(&mut session, &probe), Poll::Ready(None), "an end is final");
    }
    assert_eq!(session.end_reason(), Some(EndReason::Closed));
    assert_eq!(probe.take_wakes(), 0);
}

#[test]
fn a_batch_holds_what_is_pending_and_says_whether_that_is_all() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = hub.open(SessionConfig::new()).unwrap();
    let id = session.id();
    let mut batch = Batch::new(Framing::Plain);
    let mut poll = |limit: usize| {
        let pending = poll_batch(&mut session, &probe, limit, &mut batch);
        (pending, String::from_utf8(batch.as_slice().to_vec()).unwrap())
    };
    assert_eq!(poll(1000), (Poll::Ready(Ok(Filled::All)), told_at(0, Notice::Live)));
    assert_eq!(poll(1000), (Poll::Pending, String::new()));
    say(&hub, "a");
    say(&hub, "b");
    assert_eq!(probe.take_wakes(), 1);
    assert_eq!(poll(22), (Poll::Ready(Ok(Filled::More)), "id: beef-1\ndata: a\n\n".into()));
    assert_eq!(poll(22), (Poll::Ready(Ok(Filled::All)), "id: beef-2\ndata: b\n\n".into()));
    // It waits already, without having been asked once more.
    say(&hub, "c");
    assert_eq!(probe.take_wakes(), 1);
    hub.close_session(id);
    assert_eq!(poll(1000), (Poll::Ready(Ok(Filled::More)), "id: beef-3\ndata: c\n\n".into()));
    let end = Filled::Ended(Some(EndReason::Closed));
    assert_eq!(poll(1000), (Poll::Ready(Ok(end)), String::new()));
    assert_eq!(poll(1000), (Poll::Ready(Ok(end)), String::new()));
    assert_eq!(session.end_reason(), Some(EndReason::Closed));
}

#[test]
fn a_limit_below_one_frame_still_gives_one() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    say(&hub, "a");
    say(&hub, "b");
    let mut batch = Batch::new(Framing::Chunked);
    for expected in [Filled::More, Filled::All] {
        assert_eq!(poll_batch(&mut session, &probe, 0, &mut batch), Poll::Ready(Ok(expected)));
        assert_eq!(batch.frames(), 1);
    }
}

/// A socket that takes some of what it is given, as a full one does.
fn written_in_parts(seed: u64, form: Framing) -> (Vec<u8>, Vec<u8>) {
    let mut random = Random(seed);
    let (hub, drive, timer) = driven(config());
    let mut driver = Driver::new(drive);
    let (probe, mut batch) = (Probe::new(), Batch::new(form));
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    let (mut expected, mut written) = (Vec::new(), Vec::new());
    let mut rest = bytes::Bytes::new();
    let mut is_over = false;
    while !is_over {
        for _ in 0..random.below(4) {
            let size = [3, 40, 20_000][random.below(3)];
            let event = Event::new("x".repeat(size));
            let Ok(published) = hub.publish(Audience::Everyone, &event) else { continue };
            match form {
                Framing::Chunked => expected.extend_from_slice(published.frame().chunk()),
                Framing::Plain => expected.extend_from_slice(published.frame().as_ref()),
            }
        }
        if expected.len() > 300_000 {
            hub.close();
        }
        if random.below(10) == 0 {
            timer.advance(seconds(1));
            driver.run();
        }
        if rest.is_empty() {
            let limit = random.below(30_000);
            match poll_batch(&mut session, &probe, limit, &mut batch) {
                Poll::Pending => {}
                Poll::Ready(Err(_) | Ok(Filled::Ended(_))) => is_over = true,
                Poll::Ready(Ok(_)) => {
                    let taken = match random.below(3) {
                        0 => batch.len(),
                        _ => random.below(batch.len() + 1),
                    };
                    written.extend_from_slice(&batch.as_slice()[..taken]);
                    if taken < batch.len() {
                        rest = session.handle_partial_write(&batch, taken);
                        assert!(!rest.is_empty());
                    }
                }
            }
        } else {
            let taken = random.below(rest.len() + 1);
            written.extend_from_slice(&rest.split_to(taken));
        }
    }
    assert_eq!(session.end_reason(), Some(EndReason::Shutdown), "seed {seed}");
    (expected, written)
}

#[test]
fn whatever_a_write_takes_the_bytes_are_the_same() {
    for seed in 0..40 {
        for form in [Framing::Chunked, Framing::Plain] {
            let (expected, written) = written_in_parts(seed, form);
            assert!(expected == written, "seed {seed}, {form:?}");
        }
    }
}

#[test]
fn a_session_whose_write_stopped_is_not_woken_for_output_but_for_its_end() {
    let (hub, drive, timer) = driven(config());
    let mut driver = Driver::new(drive);
    let (probe, mut batch) = (Probe::new(), Batch::new(Framing::Chunked));
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    say(&hub, "a");
    assert_eq!(probe.take_wakes(), 1);
    assert_eq!(poll_batch(&mut session, &probe, 1000, &mut batch), Poll::Ready(Ok(Filled::All)));
    assert!(!session.handle_partial_write(&batch, 3).is_empty());
    assert!(poll_ended(&mut session, &probe).is_pending());
    say(&hub, "b");
    assert_eq!(probe.take_wakes(), 0);
    pass(&timer, &mut driver, seconds(60));
    assert_eq!(probe.take_wakes(), 1);
    assert!(poll_ended(&mut session, &probe).is_ready());
    assert!(poll_ended(&mut session, &probe).is_ready());
    assert_eq!(session.end_reason(), Some(EndReason::Stalled));
}

#[test]
fn a_session_that_gives_way_is_cut_says_why_and_is_counted() {
    let (hub, _drive, _) = driven(config());
    let (probe, mut batch) = (Probe::new(), Batch::new(Framing::Chunked));
    let mut session = parked(&hub, SessionConfig::new(), &probe);
    say(&hub, "a");
    assert_eq!(poll_batch(&mut session, &probe, 1000, &mut batch), Poll::Ready(Ok(Filled::All)));
    assert!(!session.handle_partial_write(&batch, 3).is_empty());
    session.give_way();
    assert_eq!(session.end_reason(), Some(EndReason::GaveWay));
    let cut = poll_batch(&mut session, &probe, 1000, &mut batch);
    let Poll::Ready(Err(cut)) = cut else { panic!("it is no cut: {cut:?}") };
    assert_eq!((cut.reason(), cut.fault()), (Some(EndReason::GaveWay), Fault::Limit));
    // Twice is as once, and what ended before stays as it was.
    session.give_way();
    let mut closed = parked(&hub, SessionConfig::new(), &probe);
    hub.close_session(closed.id());
    assert_eq!(next(&mut closed, &probe), Poll::Ready(None));
    closed.give_way();
    assert_eq!(closed.end_reason(), Some(EndReason::Closed));
    let ended = hub.counters().ended;
    assert_eq!((ended.gave_way, ended.closed, ended.total()), (1, 1, 2));
}

type End = fn(&Hub, &Session, &mut dyn FnMut());

/// A session that has come to its end; what `end` is given last lets a minute pass.
fn ended_by(end: End) -> (Session, Probe) {
    let (hub, drive, timer) = driven(config());
    let mut driver = Driver::new(drive);
    let probe = Probe::new();
    let session = parked(&hub, SessionConfig::new(), &probe);
    assert_eq!(session.end_reason(), None);
    end(&hub, &session, &mut || {
        pass(&timer, &mut driver, seconds(60));
    });
    (session, probe)
}

#[test]
fn the_reason_is_told_whichever_way_one_learns_of_the_end() {
    let ways: [(End, EndReason); 6] = [
        (|hub, session, _| assert!(hub.close_session(session.id())), EndReason::Closed),
        (|hub, _, _| hub.close(), EndReason::Shutdown),
        (|hub, _, _| hub.abort(), EndReason::Aborted),
        (
            |hub, session, _| {
                hub.close_session(session.id());
                hub.close();
            },
            EndReason::Closed,
        ),
        (
            |hub, _, minute| {
                say(hub, "not taken");
                minute();
            },
            EndReason::Stalled,
        ),
        (
            |hub, _, minute| {
                hub.close();
                minute();
            },
            EndReason::Stalled,
        ),
    ];
    for (end, reason) in ways {
        let (mut session, probe) = ended_by(end);
        assert_eq!(next(&mut session, &probe), Poll::Ready(None));
        assert_eq!(session.end_reason(), Some(reason));

        let (mut session, probe) = ended_by(end);
        let mut batch = Batch::new(Framing::Chunked);
        assert!(poll_batch(&mut session, &probe, 1000, &mut batch).is_ready());
        assert_eq!(session.end_reason(), Some(reason));

        let (mut session, probe) = ended_by(end);
        // One that is to be closed in good order has the time to take what is left.
        if poll_ended(&mut session, &probe).is_ready() {
            assert_eq!(next(&mut session, &probe), Poll::Ready(None));
            assert_eq!(session.end_reason(), Some(reason), "it is told once, and kept");
        } else {
            assert!(matches!(reason, EndReason::Closed | EndReason::Shutdown));
        }
    }
}

#[test]
fn one_that_is_too_far_behind_meets_its_policy() {
    let mut config = config();
    config.retention.events = 2.try_into().unwrap();
    let (hub, _) = hub_of(config);
    let probe = Probe::new();
    let mut sessions = [LagPolicy::Close, LagPolicy::SkipToOldest, LagPolicy::SkipToNewest]
        .map(|policy| parked(&hub, SessionConfig::new().with_lag(policy), &probe));
    for text in ["a", "b", "c", "d", "e"] {
        say(&hub, text);
    }
    let taken = sessions.each_mut().map(|session| data(&drain(session, &probe)));
    assert_eq!(taken, [vec![], vec!["d".to_owned(), "e".to_owned()], vec![]]);
    say(&hub, "f");
    let taken = sessions.each_mut().map(|session| data(&drain(session, &probe)));
    assert_eq!(taken, [vec![], vec!["f".to_owned()], vec!["f".to_owned()]]);
    let reasons = sessions.each_ref().map(Session::end_reason);
    assert_eq!(reasons, [Some(EndReason::Lagged { lost: 3 }), None, None]);
}

#[test]
fn dropping_a_session_closes_it() {
    let hub = hub();
    let session = hub.open(SessionConfig::new()).unwrap();
    let id = session.id();
    assert_eq!(hub.counters().sessions, 1);
    drop(session);
    assert_eq!(hub.counters().sessions, 0);
    assert!(!hub.close_session(id));
    assert!(hub.publish(id, &Event::new("x")).is_err());
}

#[test]
fn a_session_goes_on_without_any_other_handle_to_the_hub() {
    let (hub, probe) = (hub(), Probe::new());
    let mut session = hub.open(SessionConfig::new()).unwrap();
    say(&hub, "a");
    drop(hub);
    assert_eq!(data(&drain(&mut session, &probe)), ["a"]);
}

#[test]
fn a_session_resumes_where_an_earlier_one_broke_off() {
    let (hub, probe) = (hub(), Probe::new());
    let mut first = parked(&hub, SessionConfig::new(), &probe);
    say(&hub, "a");
    assert_eq!(data(&drain(&mut first, &probe)), ["a"]);
    drop(first);
    say(&hub, "b");
    let request = SessionConfig::new().with_last_event_id(LastEventId::from_header(b"beef-1"));
    let mut second = hub.open(request).unwrap();
    assert_eq!(second.resumption(), Resumption::Complete { replayed: 1 });
    assert_eq!(data(&drain(&mut second, &probe)), ["b"]);
}
