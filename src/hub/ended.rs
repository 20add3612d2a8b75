//! Who waits for the end of a session that somebody else serves.

use super::{Hub, lock};
use crate::broker::{BrokerEvent, EndReason, SessionId};
use crate::caught::{self, Code};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::future::Future;
use futures_channel::oneshot::{self, Receiver, Sender};

/// Who waits for which session of a shard.
#[derive(Default)]
pub(super) struct Ends {
    waiting: BTreeMap<SessionId, Vec<Sender<EndReason>>>,
}

/// Those who waited for a session that has ended. They are told when no lock is held, since that
/// wakes their tasks.
pub(super) struct Ended {
    waiting: Vec<Sender<EndReason>>,
    reason: EndReason,
}

impl Ends {
    fn wait(&mut self, session: SessionId) -> Receiver<EndReason> {
        let (sender, receiver) = oneshot::channel();
        let waiting = self.waiting.entry(session).or_default();
        // Those who gave up, or a loop that asks again and again would fill the list.
        waiting.retain(|sender| !sender.is_canceled());
        waiting.push(sender);
        receiver
    }

    /// Takes those who wait for what this event tells.
    pub(super) fn take(&mut self, event: &BrokerEvent) -> Option<Ended> {
        let BrokerEvent::SessionEnded { session, reason, .. } = event else { return None };
        let waiting = self.waiting.remove(session)?;
        Some(Ended { waiting, reason: *reason })
    }
}

impl Ended {
    /// Returns how many wakers panicked.
    pub(super) fn tell(self) -> u64 {
        caught::each(Code::Waker, self.waiting, |sender| {
            // It may have given up meanwhile.
            let _ = sender.send(self.reason);
        })
    }
}

impl Hub {
    /// Waits until a session has ended, and returns why. A handler keeps the id of a session that
    /// goes into its [`Answer`](super::Answer), and learns by this how the stream went.
    ///
    /// `None` for a session that is not open when this is called. From then on its end is not
    /// missed, whenever the future is polled. Dropping the future does no harm, and the future
    /// keeps no hub alive.
    ///
    /// ```
    /// # fn example(hub: &sansse::Hub, request: &http::Request<()>) -> sansse::hub::Answer {
    /// use sansse::broker::SessionConfig;
    /// use sansse::hub::Answer;
    ///
    /// # fn spawn(_: impl Future) {}
    /// let answer = hub.accept(request, SessionConfig::new());
    /// if let Answer::Stream(_, session) = &answer {
    ///     let ended = hub.ended(session.id());
    ///     spawn(async move {
    ///         if let Some(reason) = ended.await {
    ///             eprintln!("a reader has left: {reason}");
    ///         }
    ///     });
    /// }
    /// answer
    /// # }
    /// ```
    pub fn ended(
        &self,
        session: SessionId,
    ) -> impl Future<Output = Option<EndReason>> + Send + 'static + use<> {
        let receiver = self.inner.shards.get(usize::from(session.shard())).and_then(|shard| {
            let shard = &mut *lock(shard);
            shard.broker.session(session).is_open().then(|| shard.ends.wait(session))
        });
        async move { receiver?.await.ok() }
    }
}
