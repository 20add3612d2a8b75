//! A socket and the machine that says what goes over it: [`Wire`].

use crate::link::{Commands, Link, unreachable};
use resp_rs::resp2::Frame;
use sansse::Timer;
use sansse::cluster::{LogError, LogErrorKind};
use sansse::net::{Connector, Failure, Socket, Target};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How much is read at once.
const BUFFER: usize = 64 * 1024;

/// A connection. A request that is dropped before its answer leaves one that is of no use any more.
/// So a request owns its wire, and gives it back with the answer alone.
pub(crate) struct Wire<S> {
    socket: S,
    link: Link,
    buffer: Box<[u8]>,
}

impl<S: Socket> Wire<S> {
    pub(crate) async fn open<C: Connector<Socket = S>>(
        connector: &C,
        timer: &dyn Timer,
        target: &Target,
        deadline: Instant,
    ) -> Result<Self, LogError> {
        let opening = within(timer, deadline, connector.connect(target.clone()));
        let socket = match opening.await {
            Some(Ok(socket)) => socket,
            Some(Err(failure)) => return Err(not_opened(&failure)),
            None => return Err(unreachable("no connection came about in time")),
        };
        Ok(Self { socket, link: Link::new(), buffer: vec![0; BUFFER].into() })
    }

    /// Sends commands, and returns as many replies.
    pub(crate) async fn ask(
        &mut self,
        timer: &dyn Timer,
        commands: Commands,
        max_answer: usize,
        deadline: Instant,
    ) -> Result<Vec<Frame>, LogError> {
        self.link.request(commands, max_answer, deadline);
        let mut sleep = timer.sleep_until(deadline);
        poll_fn(|context| {
            loop {
                if let Some(answer) = self.link.poll_answer() {
                    return Poll::Ready(answer);
                }
                if self.poll_socket(context).is_ready() {
                    continue;
                }
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                let now = timer.now();
                self.link.handle_timeout(now);
                // A sleep may end early.
                sleep = timer.sleep_until(deadline);
            }
        })
        .await
    }

    /// Writes and reads what it can; ready when something has come, be it an end.
    fn poll_socket(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.link.output().is_empty() {
            match self.socket.poll_write(context, self.link.output()) {
                Poll::Ready(Ok(0)) => {
                    self.link.handle_end();
                    return Poll::Ready(());
                }
                Poll::Ready(Ok(length)) => self.link.handle_written(length),
                Poll::Ready(Err(failure)) => {
                    self.link.handle_failure(&failure);
                    return Poll::Ready(());
                }
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(Err(failure)) = self.socket.poll_flush(context) {
            self.link.handle_failure(&failure);
            return Poll::Ready(());
        }
        self.socket.poll_read(context, &mut self.buffer).map(|read| match read {
            Ok(0) => self.link.handle_end(),
            Ok(length) => self.link.handle_bytes(&self.buffer[..length]),
            Err(failure) => self.link.handle_failure(&failure),
        })
    }
}

/// What a node is told of a connection that did not come about.
fn not_opened(failure: &Failure) -> LogError {
    let kind = if failure.kind().is_lasting() {
        LogErrorKind::Unsupported
    } else {
        LogErrorKind::Unreachable
    };
    LogError::new(kind).with_detail(failure.to_string())
}

/// Returns what the future does, unless the deadline comes before.
async fn within<F: Future>(timer: &dyn Timer, deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut sleep: Pin<Box<dyn Future<Output = ()> + Send>> = timer.sleep_until(deadline);
    poll_fn(|context| {
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if timer.now() >= deadline {
                return Poll::Ready(None);
            }
            sleep = timer.sleep_until(deadline);
        }
    })
    .await
}

/// Returns when a time from now is over. A time beyond all reason is a long one.
pub(crate) fn after(timer: &dyn Timer, time: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(24 * 60 * 60);
    timer.now() + time.min(LONG)
}
