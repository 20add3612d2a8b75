//! Which of several addresses a connection is made to.

use crate::kit::time::VirtualTimer;
use crate::nanosecond;
use crate::tasks::Task;
use sansse::net::{Failure, FailureKind, connect_any};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Addresses that answer when they are told to.
#[derive(Clone, Default)]
struct Hosts {
    tried: Arc<Mutex<Vec<u8>>>,
    answers: Arc<Mutex<BTreeMap<u8, Result<u8, Failure>>>>,
    wakers: Arc<Mutex<BTreeMap<u8, Waker>>>,
}

impl Hosts {
    fn answer(&self, address: u8, is_open: bool) {
        let result = if is_open { Ok(address) } else { Err(failure(address)) };
        self.answers.lock().unwrap().insert(address, result);
        let waker = self.wakers.lock().unwrap().remove(&address);
        waker.into_iter().for_each(Waker::wake);
    }

    fn tried(&self) -> Vec<u8> {
        self.tried.lock().unwrap().clone()
    }

    /// Through an iterator that does not know its length.
    fn connect(
        &self,
        timer: &VirtualTimer,
        addresses: u8,
    ) -> Task<impl Future<Output = Result<u8, Failure>> + use<>> {
        let (hosts, timer) = (self.clone(), timer.clone());
        Task::new(async move {
            let addresses = (0..addresses).filter(|_| true);
            connect_any(&timer, addresses, |address| {
                hosts.tried.lock().unwrap().push(address);
                let hosts = hosts.clone();
                std::future::poll_fn(move |context| {
                    if let Some(result) = hosts.answers.lock().unwrap().remove(&address) {
                        return Poll::Ready(result);
                    }
                    hosts.wakers.lock().unwrap().insert(address, context.waker().clone());
                    Poll::Pending
                })
            })
            .await
        })
    }
}

fn failure(address: u8) -> Failure {
    Failure::new(FailureKind::Connect).with_detail(address.to_string())
}

#[test]
fn without_an_address_the_host_was_not_found() {
    let mut task = Hosts::default().connect(&VirtualTimer::new(), 0);
    assert_eq!(task.output(), Some(Err(FailureKind::Resolve.into())));
}

#[test]
fn addresses_are_tried_in_order_and_a_failure_moves_on_at_once() {
    let (hosts, timer) = (Hosts::default(), VirtualTimer::new());
    let mut task = hosts.connect(&timer, 3);
    task.run();
    assert_eq!(hosts.tried(), [0]);
    hosts.answer(0, false);
    task.run();
    assert_eq!(hosts.tried(), [0, 1]);
    hosts.answer(1, true);
    assert_eq!(task.output(), Some(Ok(1)));
    assert_eq!((hosts.tried().len(), timer.elapsed()), (2, Duration::ZERO));
}

#[test]
fn a_silent_address_is_overtaken_after_a_quarter_of_a_second_and_may_still_win() {
    for winner in [0, 1] {
        let (hosts, timer) = (Hosts::default(), VirtualTimer::new());
        let mut task = hosts.connect(&timer, 3);
        task.run();
        timer.advance(Duration::from_millis(250).checked_sub(nanosecond()).unwrap());
        task.run();
        assert_eq!(hosts.tried(), [0]);
        timer.advance(nanosecond());
        task.run();
        assert_eq!(hosts.tried(), [0, 1]);
        hosts.answer(winner, true);
        assert_eq!(task.output(), Some(Ok(winner)));
    }
}

#[test]
fn when_all_fail_the_last_error_is_told() {
    let (hosts, timer) = (Hosts::default(), VirtualTimer::new());
    let mut task = hosts.connect(&timer, 3);
    task.run();
    timer.advance(Duration::from_millis(250));
    task.run();
    timer.advance(Duration::from_millis(250));
    task.run();
    for address in [2, 0, 1] {
        assert_eq!(task.output(), None);
        hosts.answer(address, false);
    }
    assert_eq!(task.output(), Some(Err(failure(1))));
}

#[test]
fn with_nothing_left_to_try_no_timer_runs() {
    let (hosts, timer) = (Hosts::default(), VirtualTimer::new());
    let mut task = hosts.connect(&timer, 1);
    task.run();
    assert!(timer.sleeps().is_empty());
    timer.advance(Duration::from_secs(10));
    assert_eq!(task.run(), 0);
    hosts.answer(0, true);
    assert_eq!(task.output(), Some(Ok(0)));
}
