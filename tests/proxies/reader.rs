//! Our client as a reader that does what the standard says, as browsers do.

use sansse::SourceEvent;
use sansse::client::{ClientConfig, ClientError, CloseReason, Policy};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::ALL;

/// Reads in a task. Dropping it ends its connection.
pub(crate) struct Reader {
    events: UnboundedReceiver<(Instant, SourceEvent)>,
    task: JoinHandle<()>,
}

impl Reader {
    pub(crate) fn start(url: &str) -> Self {
        let mut config = ClientConfig::new(7);
        config.policy = Policy::standard();
        let mut source = sansse_tokio::connect_with(url, config);
        let (sender, events) = unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(event) = source.next().await {
                let _ = sender.send((Instant::now(), event));
            }
        });
        Self { events, task }
    }

    pub(crate) async fn next(&mut self) -> (Instant, SourceEvent) {
        let next = timeout(ALL, self.events.recv()).await;
        next.unwrap_or_else(|_| panic!("nothing in {ALL:?}")).expect("it goes on")
    }

    /// Waits until it has its stream, and nothing yet.
    pub(crate) async fn open(&mut self) {
        match self.next().await.1 {
            SourceEvent::Open(_) => {}
            other => panic!("{other:?}"),
        }
    }

    /// The next number, and when it came.
    pub(crate) async fn next_number(&mut self) -> (Instant, u32) {
        match self.next().await {
            (when, SourceEvent::Message(message)) => {
                (when, message.data.parse().expect("it is a number"))
            }
            other => panic!("{other:?}"),
        }
    }

    /// Reads on through losses of the connection, up to this number, and checks that each number
    /// comes once and in order. Returns why connections were lost.
    pub(crate) async fn expect_through_losses(
        &mut self,
        numbers: std::ops::Range<u32>,
    ) -> Vec<ClientError> {
        let mut losses = Vec::new();
        let mut numbers = numbers.peekable();
        while let Some(expected) = numbers.peek() {
            match self.next().await.1 {
                SourceEvent::Message(message) => {
                    assert_eq!(message.data, expected.to_string());
                    numbers.next();
                }
                SourceEvent::Retrying { error, .. } => losses.push(error),
                SourceEvent::Open(_) => {}
                other => panic!("{other:?}, where {expected} is to come"),
            }
        }
        losses
    }

    /// Why the connection was lost that is lost next. No number comes before that.
    pub(crate) async fn next_loss(&mut self) -> ClientError {
        loop {
            match self.next().await.1 {
                SourceEvent::Retrying { error, .. } => return error,
                SourceEvent::Open(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits for the end of it, whatever comes before.
    pub(crate) async fn closed(&mut self) -> CloseReason {
        loop {
            if let SourceEvent::Closed(reason) = self.next().await.1 {
                return reason;
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}
