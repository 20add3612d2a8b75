//! The future that asks the engine and does what the node says: [`DriveRealm`].

use super::shared::Shared;
use crate::broker::LogStep;
use crate::cluster::backfill::DriveBackfills;
use crate::cluster::error::LogError;
use crate::cluster::log::Log;
use crate::cluster::node::{Effect, LogAnswer, LogRequest, NodeHealth, RequestId};
use crate::cluster::realm_presence::DrivePresence;
use crate::hub::Health;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::time::Instant;

/// The future that drives a node of a realm. It is ready when the node was
/// [shut down](super::Realm::shut_down), some seconds after its hub was closed, and when all handles to the
/// realm and to its hub are gone, of which a session is one.
///
/// **Dropping it before that ends the node**: nothing is published, with
/// [`PublishError::NotDriven`](crate::broker::PublishError::NotDriven), and nothing read. What was sent and not answered is
/// [`PublishError::Unconfirmed`](crate::broker::PublishError::Unconfirmed).
#[must_use = "the realm does nothing unless this is spawned"]
pub struct DriveRealm<L> {
    shared: Arc<Shared>,
    log: Arc<L>,
    presence: Option<DrivePresence>,
    requests: Vec<(RequestId, Asked)>,
    sleep: Option<(Instant, Sleep)>,
    backfills: DriveBackfills,
}

type Asked = Pin<Box<dyn Future<Output = Result<LogAnswer, LogError>> + Send>>;
type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How often a driver goes round before it lets other tasks have their turn: an engine that answers
/// at once would let it go on for ever.
const ROUNDS: usize = 32;

impl<L: Log> DriveRealm<L> {
    pub(super) fn new(shared: Arc<Shared>, log: L, is_lossless: bool) -> Self {
        let presence = shared.presence.clone().map(DrivePresence::new);
        Self {
            shared,
            log: Arc::new(log),
            presence,
            requests: Vec::new(),
            sleep: None,
            backfills: DriveBackfills::new(is_lossless),
        }
    }

    /// Does what is to be done now. Returns whether there may be more at once, and `None` at the end.
    fn round(&mut self, context: &mut Context<'_>) -> Option<bool> {
        let is_last = Arc::strong_count(&self.shared) == 1;
        let is_closed = matches!(self.shared.hub.health(), Health::Closed | Health::NotDriven);
        if is_closed || (is_last && self.shared.hub.is_last_handle()) {
            return None;
        }
        let now = self.shared.hub.timer().now();
        let mut state = self.shared.lock();
        #[cfg(feature = "signed")]
        state.take_keys(&self.shared.hub);
        state.driver = Some(context.waker().clone());
        if state.node.poll_timeout().is_some_and(|at| at <= now) {
            state.node.handle_timeout(now);
        }
        let effects: Vec<Effect> = core::iter::from_fn(|| state.node.poll_effect()).collect();
        let settled: Vec<_> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Settled(ticket, result) => Some((state.settling.remove(ticket)?, *result)),
                _ => None,
            })
            .collect();
        let requests: Vec<_> = core::iter::from_fn(|| state.node.poll_request(now)).collect();
        let is_over = state.node.is_over();
        let is_changed = effects.iter().any(|effect| matches!(effect, Effect::Health(_)));
        let watching = if is_changed { mem::take(&mut state.watching) } else { BTreeMap::new() };
        drop(state);

        // Nobody else is told before the sessions have it.
        let mut is_busy = !effects.is_empty();
        let has_applied = self.take_effects(now, effects)?;
        for (sender, result) in settled {
            // Who published may not wait any more.
            let _ = sender.send(result);
        }
        watching.into_values().for_each(Waker::wake);
        if is_over {
            // Nothing is read any more.
            self.shared.hub.set_backfill(None);
            return None;
        }
        if let Some(presence) = &mut self.presence {
            let shared = &self.shared;
            is_busy |= presence.round(&shared.hub, context.waker(), |record| {
                shared.lock().node.publish(now, record.into())
            });
        }
        for (id, request) in requests {
            self.requests.push((id, ask(self.log.clone(), request)));
        }
        let mut answers = Vec::new();
        self.requests.retain_mut(|(id, asked)| match asked.as_mut().poll(context) {
            Poll::Ready(answer) => {
                answers.push((*id, answer));
                false
            }
            Poll::Pending => true,
        });
        if !answers.is_empty() {
            is_busy = true;
            let now = self.shared.hub.timer().now();
            let mut state = self.shared.lock();
            #[cfg(feature = "signed")]
            state.take_keys(&self.shared.hub);
            for (id, answer) in answers {
                if let Err(error) = &answer {
                    state.last_error = Some(error.clone());
                }
                state.node.handle_answer(now, id, answer);
            }
        }
        Some(self.backfill(context, has_applied) | is_busy)
    }

    /// Does what the node says. Returns whether anything was applied; `None` where the hub takes nothing
    /// more.
    fn take_effects(&mut self, now: Instant, effects: Vec<Effect>) -> Option<bool> {
        let mut has_applied = false;
        for effect in effects {
            match effect {
                Effect::Apply(steps) => {
                    self.shared.hub.apply_all(&steps).ok()?;
                    has_applied = true;
                    let is_cut = |step: &LogStep| matches!(step, LogStep::Cut { .. });
                    if let Some(presence) = &self.presence
                        && steps.iter().any(is_cut)
                    {
                        presence.cut(now);
                    }
                }
                Effect::Presence(announcements) => {
                    if let Some(presence) = &self.presence {
                        presence.announced(now, announcements);
                    }
                }
                Effect::Settled(ticket, result) => {
                    if let Some(presence) = &mut self.presence {
                        presence.settled(now, ticket, result);
                    }
                }
                Effect::GiveUp(request) => self.requests.retain(|(id, _)| *id != request),
                Effect::Health(health) => {
                    if health == NodeHealth::Ready {
                        self.shared.hub.end_joining();
                    }
                    self.shared.lock().note_error(health);
                    #[cfg(feature = "tracing")]
                    trace(health);
                    if let Some(presence) = &self.presence {
                        presence.health(now, health);
                    }
                }
            }
        }
        Some(has_applied)
    }

    /// Does what is to be done now for sessions that are older than memory, of which there may be more
    /// where something was applied. Returns whether there may be more at once.
    fn backfill(&mut self, context: &mut Context<'_>, has_applied: bool) -> bool {
        let Self { shared, log, backfills, .. } = self;
        let sequencer = || {
            let state = shared.lock();
            let is_up = matches!(state.node.health(), NodeHealth::Ready | NodeHealth::Joining);
            is_up.then(|| state.node.sequencer().clone())
        };
        let is_busy = backfills.round(context, &shared.hub, log, has_applied, sequencer);
        if is_busy {
            shared.lock().backfilled = backfills.counters();
        }
        is_busy
    }

    /// Returns whether the next deadline has come.
    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        let presence = self.presence.as_ref().and_then(DrivePresence::poll_timeout);
        let until = self.shared.lock().node.poll_timeout().into_iter().chain(presence).min();
        let Some(until) = until else {
            self.sleep = None;
            return false;
        };
        let timer = self.shared.hub.timer();
        if until <= timer.now() {
            return true;
        }
        if self.sleep.as_ref().is_none_or(|(at, _)| *at != until) {
            self.sleep = Some((until, timer.sleep_until(until)));
        }
        let is_over =
            self.sleep.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(context).is_ready());
        if is_over {
            // It may end early: then there is another one.
            self.sleep = None;
        }
        is_over
    }
}

/// Asks the engine.
fn ask<L: Log>(log: Arc<L>, request: LogRequest) -> Asked {
    Box::pin(async move {
        match request {
            LogRequest::Hello(hello) => log.hello(hello).await.map(LogAnswer::Hello),
            LogRequest::Append(append) => log.append(append).await.map(LogAnswer::Appended),
            LogRequest::Read(read) => log.read(read).await.map(LogAnswer::Page),
            LogRequest::Head => log.head().await.map(LogAnswer::Head),
        }
    })
}

impl<L: Log> Future for DriveRealm<L> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            match self.round(context) {
                None => return Poll::Ready(()),
                Some(true) => {}
                Some(false) if self.is_due(context) => {}
                Some(false) => return Poll::Pending,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<L> Unpin for DriveRealm<L> {}

impl<L> Drop for DriveRealm<L> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        let (settling, watching) = (mem::take(&mut state.settling), mem::take(&mut state.watching));
        drop(state);
        self.shared.hub.set_backfill(None);
        // Those who wait learn by this that nobody knows.
        drop(settling);
        watching.into_values().for_each(Waker::wake);
    }
}

impl<L> fmt::Debug for DriveRealm<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriveRealm").field("requests", &self.requests.len()).finish_non_exhaustive()
    }
}

#[cfg(feature = "tracing")]
fn trace(health: NodeHealth) {
    match health {
        NodeHealth::Joining | NodeHealth::Ready | NodeHealth::Ended => {
            tracing::info!(target: "sansse::cluster", health = health.as_str(), "node");
        }
        NodeHealth::Stale { error, .. } | NodeHealth::Down { error, .. } => {
            tracing::warn!(target: "sansse::cluster", health = health.as_str(), %error, "node");
        }
    }
}
