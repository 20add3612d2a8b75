//! Publishers that wait, as futures.

use super::{Hub, Inner, Shard, lock};
use crate::broker::{Audience, Pace, PublishError, Published, Sequencer, WaitId};
use crate::event::Event;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::task::{Context, Poll, Waker, ready};

impl Hub {
    /// Is ready when no session of this audience is further behind than `pace` says, on all shards.
    /// Sessions that have stalled, as [`Pace`] says, do not count.
    ///
    /// This is for an event that is made only when there is somebody to take it: the next line of a
    /// file, say, or a sample of now. To publish one that is there,
    /// [`publish_when_room`](Self::publish_when_room) does both in one call.
    ///
    /// An audience without an open session is ready at once. Publishers that wait for the same go
    /// on together, so that with very many of them the sessions may come to be somewhat further
    /// behind. Where the [driver](super::Drive) does not run, no patience ends. Dropping the future
    /// does nothing but end the wait.
    ///
    /// ```no_run
    /// # async fn example(hub: sansse::Hub, mut rows: impl Iterator<Item = String>)
    /// # -> Result<(), sansse::broker::PublishError> {
    /// use sansse::Event;
    /// use sansse::broker::{Audience, Pace};
    ///
    /// // Rows are read no faster than the slowest page takes them.
    /// while let Some(row) = {
    ///     hub.ready(Audience::Everyone, Pace::new()).await?;
    ///     rows.next()
    /// } {
    ///     hub.publish(Audience::Everyone, &Event::new(row))?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`publish`](Self::publish) that do not depend on the event: the hub was closed, the
    /// topic was ended, or the client or the session is not known, or no longer.
    pub fn ready(
        &self,
        audience: impl Into<Audience>,
        pace: Pace,
    ) -> impl Future<Output = Result<(), PublishError>> + Send {
        let (mut waiting, audience) = (Waiting::new(&self.inner), audience.into());
        poll_fn(move |context| waiting.poll_ready(context, &audience, pace))
    }

    /// Waits until there is room, and then publishes as [`publish`](Self::publish) does.
    ///
    /// - What is for **one session** or **one client** has room where `publish` does not refuse it
    ///   with [`PublishError::NoRoom`]. So a whole answer, however long, reaches the session that
    ///   asked for it, as fast as its peer takes it. A session that takes nothing is ended by the
    ///   [stall timeout](crate::broker::SessionDefaults::stall_timeout), and this by an error.
    /// - What is for **everyone** or for a **topic** has room when the sessions that count are
    ///   within the [pace of the configuration](crate::broker::BrokerConfig::pace), as
    ///   [`ready`](Self::ready) says. So a publisher that is faster than all readers is as fast as
    ///   the slowest that reads, and a reader that is stopped holds it up no longer than the
    ///   patience.
    ///
    /// Dropping the future before it is ready publishes nothing.
    ///
    /// ```no_run
    /// # async fn example(hub: sansse::Hub) -> Result<(), Box<dyn std::error::Error>> {
    /// use sansse::Event;
    /// use sansse::broker::Audience;
    ///
    /// for line in std::fs::read_to_string("events.log")?.lines() {
    ///     hub.publish_when_room(Audience::Everyone, &Event::new(line.to_owned())).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PublishError`] but for [`NoRoom`](PublishError::NoRoom); then nothing was published. A
    /// session that ends meanwhile is [unknown](PublishError::UnknownSession) then.
    pub fn publish_when_room(
        &self,
        audience: impl Into<Audience>,
        event: &Event,
    ) -> impl Future<Output = Result<Published, PublishError>> + Send {
        let (mut waiting, audience) = (Waiting::new(&self.inner), audience.into());
        poll_fn(move |context| waiting.poll_publish(context, &audience, event))
    }
}

/// A publisher that waits.
struct Waiting {
    hub: Arc<Inner>,
    place: Place,
}

impl Waiting {
    fn new(hub: &Arc<Inner>) -> Self {
        Self { hub: hub.clone(), place: Place(None) }
    }

    fn poll_publish(
        &mut self,
        context: &mut Context<'_>,
        audience: &Audience,
        event: &Event,
    ) -> Poll<Result<Published, PublishError>> {
        if let Audience::Everyone | Audience::Topic(_) = audience {
            let pace = self.hub.pace;
            if let Err(error) = ready!(self.poll_ready(context, audience, pace)) {
                return Poll::Ready(Err(error));
            }
        }
        self.leave();
        let place = Some((&mut self.place, context.waker()));
        let number = |sequencer: &mut Sequencer| sequencer.publish(audience.clone(), event);
        match self.hub.publish_with(audience, place, number) {
            Err(PublishError::NoRoom) => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    fn poll_ready(
        &mut self,
        context: &mut Context<'_>,
        audience: &Audience,
        pace: Pace,
    ) -> Poll<Result<(), PublishError>> {
        self.leave();
        let (hub, place) = (&self.hub, &mut self.place);
        if let Err(error) = hub.check_audience(audience) {
            return Poll::Ready(Err(error));
        }
        let shards = match audience {
            Audience::Everyone | Audience::Topic(_) => 0..hub.shards.len(),
            Audience::Client(_) | Audience::Session(_) => {
                let own = hub.shard_of_audience(audience);
                own..own + 1
            }
        };
        for number in shards {
            let result = hub.with(number, |shard, now| {
                let wait = shard.broker.wait_for_readers(now, audience, pace)?;
                Ok(wait.map(|wait| place.take_in(number, shard, Some(wait), context.waker())))
            });
            match result {
                // On a shard that has no room for the topic, nobody hears it.
                Ok(None) | Err(PublishError::TooManyTopics) => {}
                Ok(Some(())) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives up the place in which it waits.
    fn leave(&mut self) {
        if let Some((shard, ticket)) = self.place.0.take() {
            let waker = lock(&self.hub.shards[shard]).waits.take(ticket);
            // Dropping a waker may run any code, so that no lock is held here.
            self.hub.let_go(waker);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Where a publisher waits: on which shard, and under which ticket.
pub(super) struct Place(Option<(usize, Ticket)>);

type Ticket = (WaitId, u64);

impl Place {
    /// Begins to wait on a shard. Where there is nothing to wait for, the task is woken at once.
    pub(super) fn take_in(
        &mut self,
        number: usize,
        shard: &mut Shard,
        wait: Option<WaitId>,
        waker: &Waker,
    ) {
        match wait {
            Some(wait) => self.0 = Some((number, shard.waits.add(wait, waker))),
            None => shard.waits.at_once.push(waker.clone()),
        }
    }
}

/// The wakers of the tasks that wait, by their waits.
#[derive(Default)]
pub(super) struct Waits {
    wakers: BTreeMap<Ticket, Waker>,
    /// Those of tasks that have nothing to wait for, which are woken once the lock is gone.
    pub(super) at_once: Vec<Waker>,
    added: u64,
}

impl Waits {
    fn add(&mut self, wait: WaitId, waker: &Waker) -> Ticket {
        self.added += 1;
        self.wakers.insert((wait, self.added), waker.clone());
        (wait, self.added)
    }

    fn take(&mut self, ticket: Ticket) -> Option<Waker> {
        self.wakers.remove(&ticket)
    }

    /// Moves the wakers of a wait that is over, those who came first first.
    pub(super) fn take_all(&mut self, wait: WaitId, into: &mut Vec<Waker>) {
        let tickets = self.wakers.range((wait, 0)..=(wait, u64::MAX));
        let tickets: Vec<Ticket> = tickets.map(|(ticket, _)| *ticket).collect();
        into.extend(tickets.into_iter().filter_map(|ticket| self.take(ticket)));
    }
}
