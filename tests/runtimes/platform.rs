//! What the scenarios need of a runtime.

use sansse::Timer;
use sansse::net::{Connector, Listener, Runtime};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// A runtime with its sockets.
pub(crate) trait Platform: Clone + Send + Sync + 'static {
    type Runtime: Runtime;
    type Listener: Listener<Peer = SocketAddr> + 'static;
    type Connector: Connector + Clone;

    /// Runs a scenario to its end, with whatever it spawns.
    fn run<F: Future>(seed: u64, scenario: impl FnOnce(Self) -> F) -> F::Output;

    /// With which seeds a scenario is run: with several where the seed makes a difference.
    fn seeds() -> Range<u64> {
        0..1
    }

    fn runtime(&self) -> Self::Runtime;

    fn connector(&self) -> Self::Connector;

    /// Listens on a free address of this machine, or on a given one.
    fn listen(&self, address: Option<SocketAddr>) -> (Self::Listener, SocketAddr);
}

/// How long a scenario waits for what must come.
const PATIENCE: Duration = Duration::from_secs(120);

/// The output of a scenario on a real runtime, which fails when it is not ready in time.
pub(crate) async fn patiently<F: Future>(timer: &impl Timer, scenario: F) -> F::Output {
    let mut scenario = pin!(scenario);
    let deadline = timer.now() + PATIENCE;
    let mut sleep = timer.sleep_until(deadline);
    poll_fn(|context| {
        if let Poll::Ready(output) = scenario.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        assert!(sleep.as_mut().poll(context).is_pending(), "what must come does not");
        Poll::Pending
    })
    .await
}
