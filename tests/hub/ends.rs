//! How a session's stream ends: in good order where it is complete, and otherwise by an error.

use super::driving::pass;
use super::kit::time::VirtualTimer;
use super::tasks::{Driver, Probe, next_item, poll_ended};
use super::{client, config, parked, request_of, say, seconds, stand_still, topic};
use sansse::broker::{
    Batch, BrokerConfig, Drain, EndReason, Filled, Framing, LimitPolicy, MaxAge, SessionConfig,
    StreamEnd,
};
use sansse::hub::{Cut, HubBuilder, Session};
use sansse::{Fault, Frame, Hub};
use std::task::{Context, Poll};
use std::time::Duration;

/// A hub whose time passes when it is told so.
struct Stage {
    hub: Hub,
    driver: Driver,
    timer: VirtualTimer,
    probe: Probe,
}

impl Stage {
    fn new(config: BrokerConfig, early_end: Option<StreamEnd>) -> Self {
        let timer = VirtualTimer::new();
        let mut builder = HubBuilder::new(config);
        if let Some(end) = early_end {
            builder = builder.with_early_end(end);
        }
        let (hub, drive) = builder.build(timer.clone()).unwrap();
        Self { hub, driver: Driver::new(drive), timer, probe: Probe::new() }
    }

    fn open(&self, request: SessionConfig) -> Session {
        parked(&self.hub, request, &self.probe)
    }

    fn pass(&mut self, time: Duration) {
        pass(&self.timer, &mut self.driver, time);
    }
}

/// A session that ended for each reason that a stream can be told.
fn ended(reason: EndReason, early_end: Option<StreamEnd>) -> (Session, Probe) {
    let mut config = config();
    config.retention.events = 2.try_into().unwrap();
    config.limits.sessions.most = 1.try_into().unwrap();
    config.limits.sessions.policy = LimitPolicy::EvictOldest;
    config.session.max_age = Some(MaxAge::new(seconds(600), Duration::ZERO).unwrap());
    config.session.heartbeat = None;
    let mut stage = Stage::new(config, early_end);
    let session = match reason {
        EndReason::TopicsEnded => {
            stage.open(SessionConfig::new().with_topic(topic("t")).topics_only())
        }
        EndReason::LeaseExpired => {
            use sansse::Timer;
            stage.open(SessionConfig::new().with_lease(stage.timer.now() + seconds(1)))
        }
        _ => stage.open(request_of("a")),
    };
    match reason {
        EndReason::Closed => assert!(stage.hub.close_session(session.id())),
        EndReason::Shutdown => stage.hub.close(),
        EndReason::Lagged { .. } => {
            for text in ["a", "b", "c"] {
                say(&stage.hub, text);
            }
        }
        EndReason::Stalled => {
            say(&stage.hub, "not taken");
            stage.pass(seconds(61));
        }
        EndReason::TopicsEnded => stage.hub.end_topic(&topic("t")).map(drop).unwrap(),
        EndReason::Evicted => drop(stage.open(SessionConfig::new())),
        EndReason::MaxAge => stage.pass(seconds(600)),
        EndReason::Drained => stage.hub.drain(Drain::new(Duration::ZERO)).unwrap(),
        EndReason::LeaseExpired => stage.pass(seconds(1)),
        EndReason::Revoked => assert_eq!(stage.hub.revoke(&client("a")), Ok(1)),
        EndReason::Aborted => stage.hub.abort(),
        _ => unreachable!("{reason}"),
    }
    stand_still(stage.driver);
    (session, stage.probe)
}

const CUT: [EndReason; 6] = [
    EndReason::Lagged { lost: 1 },
    EndReason::Stalled,
    EndReason::Evicted,
    EndReason::LeaseExpired,
    EndReason::Revoked,
    EndReason::Aborted,
];
const EARLY: [EndReason; 3] = [EndReason::Shutdown, EndReason::Drained, EndReason::MaxAge];
const COMPLETE: [EndReason; 2] = [EndReason::Closed, EndReason::TopicsEnded];

/// What comes after the frames that it still gets.
fn last_item(session: &mut Session, probe: &Probe) -> Poll<Option<Result<Frame, Cut>>> {
    loop {
        match next_item(session, probe) {
            Poll::Ready(Some(Ok(_))) => {}
            item => return item,
        }
    }
}

/// Whether the end is an error, by each way in which one can learn of it.
fn is_cut(reason: EndReason, early_end: Option<StreamEnd>) -> bool {
    let (mut session, probe) = ended(reason, early_end);
    let is_cut = match last_item(&mut session, &probe) {
        Poll::Ready(None) => false,
        Poll::Ready(Some(Err(cut))) => {
            assert_eq!(cut.reason(), Some(reason));
            assert!(cut.to_string().contains(&reason.to_string()), "{cut}");
            assert_ne!(cut.fault(), Fault::Nobody);
            true
        }
        other => panic!("{reason}: {other:?}"),
    };
    assert_eq!(next_item(&mut session, &probe), Poll::Ready(None), "{reason}: it is told once");
    assert_eq!(session.end_reason(), Some(reason));

    let (mut session, probe) = ended(reason, early_end);
    let waker = probe.waker();
    let mut batch = Batch::new(Framing::Chunked);
    let mut poll = || session.poll_batch(&mut Context::from_waker(&waker), 1000, &mut batch);
    let mut ends = 0;
    while ends < 2 {
        let polled = poll();
        ends += usize::from(!matches!(polled, Poll::Ready(Ok(Filled::More | Filled::All))));
        match polled {
            // Its last words.
            Poll::Ready(Ok(Filled::More)) => {}
            Poll::Ready(Ok(Filled::Ended(told))) => {
                assert_eq!((told, is_cut), (Some(reason), false));
            }
            Poll::Ready(Err(cut)) => assert_eq!((cut.reason(), is_cut), (Some(reason), true)),
            other => panic!("{reason}: {other:?}"),
        }
    }

    // Where the end is noticed while a write waits, the stream still tells it.
    let (mut session, probe) = ended(reason, early_end);
    if poll_ended(&mut session, &probe).is_ready() {
        let item = last_item(&mut session, &probe);
        assert_eq!(matches!(item, Poll::Ready(Some(Err(_)))), is_cut, "{reason}: {item:?}");
    }
    is_cut
}

#[test]
fn a_session_that_lost_something_or_may_get_no_more_ends_by_an_error_whatever_is_set() {
    for reason in CUT {
        for early_end in [None, Some(StreamEnd::Cut), Some(StreamEnd::Clean)] {
            assert!(is_cut(reason, early_end), "{reason}");
        }
    }
}

#[test]
fn a_session_that_is_complete_ends_in_good_order_whatever_is_set() {
    for reason in COMPLETE {
        for early_end in [None, Some(StreamEnd::Cut), Some(StreamEnd::Clean)] {
            assert!(!is_cut(reason, early_end), "{reason}");
        }
    }
}

#[test]
fn an_early_end_is_as_it_is_set_and_an_error_by_default() {
    for reason in EARLY {
        assert!(is_cut(reason, None), "{reason}");
        assert!(is_cut(reason, Some(StreamEnd::Cut)), "{reason}");
        assert!(!is_cut(reason, Some(StreamEnd::Clean)), "{reason}");
    }
}
