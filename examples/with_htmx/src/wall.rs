//! The wall: what is on it goes to all pages as HTML, and is kept for those that come.

use maud::{Markup, html};
use sansse::broker::Audience;
use sansse::broker::{
    BrokerConfig, ConfigError, OnUnknownId, PublishError, SessionConfig, StartAt,
};
use sansse::hub::{Answer, HubBuilder};
use sansse::{Event, Hub, event_key, event_type};
use sansse_axum::{EventStream, StreamRequest, random_epoch, spawn_hub};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many events are kept for pages that come, or come back.
const KEPT: NonZeroUsize = NonZeroUsize::new(200).unwrap();
/// How many characters of a name and of a text are taken.
const NAME: usize = 30;
const TEXT: usize = 500;

#[derive(Clone)]
pub(crate) struct Wall {
    hub: Hub,
    claps: Arc<Mutex<u64>>,
}

impl Wall {
    pub(crate) fn new() -> Result<Self, ConfigError> {
        let mut config = BrokerConfig::new(random_epoch());
        // So that pages are back soon after a restart.
        config.reconnect.retry = Some(Duration::from_secs(1));
        // Of the numbers only the newest are of use, and what was said has no age.
        config.retention.events = KEPT;
        config.retention.age = None;
        config.retention.compact = true;
        // A page that was there before a restart gets all that was said since.
        config.session.on_unknown_id = OnUnknownId::ReplayKept;
        // By this a page knows that it is connected. It has a name, so that it is swapped into nothing.
        config.session.heartbeat = Some(Duration::from_secs(5));
        config.session.heartbeat_event = Some(Event::new("").with_type(event_type!("heartbeat")));
        let hub = spawn_hub(HubBuilder::new(config))?;
        Ok(Self { hub, claps: Arc::default() })
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Opens a page's stream: it begins with what is kept, or goes on where it broke off.
    pub(crate) fn open(&self, stream: StreamRequest) -> EventStream {
        let config = SessionConfig::new().with_start(StartAt::Oldest);
        let answer = Answer::from(stream.open(&self.hub, config));
        if let Answer::Stream(_, session) = &answer {
            if session.resumption().may_miss() {
                let mark = html! {
                    li.mark { "The server was started again, and may have forgotten something." }
                };
                // It fails only when the session is over.
                let _ = self.hub.publish(session.id(), &event(&mark));
            }
            self.count_people();
            let (wall, ended) = (self.clone(), self.hub.ended(session.id()));
            tokio::spawn(async move {
                ended.await;
                wall.count_people();
            });
        }
        answer.into()
    }

    /// Puts a text on the wall, unless it is empty.
    pub(crate) fn say(&self, name: &str, text: &str) -> Result<(), PublishError> {
        let [name, text] = [(name, NAME), (text, TEXT)]
            .map(|(text, most)| text.trim().chars().take(most).collect::<String>());
        if text.is_empty() {
            return Ok(());
        }
        let name = if name.is_empty() { "somebody" } else { &name };
        let line = html! { li { b { (name) } (text) } };
        self.publish(&event(&line))
    }

    pub(crate) fn clap(&self) -> Result<(), PublishError> {
        // It is held while it is published, so that no page ends with an older number.
        let mut claps = self.claps.lock().unwrap_or_else(PoisonError::into_inner);
        *claps += 1;
        let number = html! { span #claps hx-swap-oob="true" { (*claps) } };
        self.publish(&event(&number).with_key(event_key!("claps")))
    }

    fn count_people(&self) {
        let people = self.hub.counters().sessions;
        let number = html! {
            span #people hx-swap-oob="true" {
                @if people > 1 { (people) " people" } @else { "you alone" }
            }
        };
        // It fails when the server shuts down.
        let _ = self.publish(&event(&number).with_key(event_key!("people")));
    }

    fn publish(&self, event: &Event) -> Result<(), PublishError> {
        self.hub.publish(Audience::Everyone, event).map(drop)
    }
}

/// An event of no type, which htmx swaps into the wall; or in place of the element of its id, if it
/// says so by `hx-swap-oob`.
fn event(html: &Markup) -> Event {
    Event::new(html.0.clone())
}
