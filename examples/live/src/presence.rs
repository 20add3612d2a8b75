//! Who is here: for a hub alone the whole list for each page that comes, and from then on one event for
//! each change; on the nodes of a realm an event for each person that is kept, and for each change.
//!
//! A [`Roster`] follows the hub's numbered events. Lists and changes come from the one task that
//! has it, so that a page which has got the list misses no change and gets none from before it.

use crate::stage::Stage;
use crate::{publish, publish_json, topics::Topics};
use sansse::broker::{
    Audience, BrokerEvent, ClientId, EventNumber, PresenceCursor, Roster, RosterError, SessionId,
    TopicName,
};
use sansse::cluster::RealmPresence;
use sansse::{Event, EventKey, EventType, Hub, event_type};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::interval;

const PEOPLE: EventType = event_type!("people");
const PERSON: EventType = event_type!("person");

/// How much may wait for the task. What is too much is not lost: the list is then taken anew.
const MAX_WAITING: usize = 4_096;
const PAGE: usize = 500;
/// How often all are said again on the nodes of a realm.
const AGAIN: Duration = Duration::from_secs(60);

/// What is kept with a client while it is present.
#[derive(Clone)]
pub(crate) struct Name(pub(crate) String);

/// Tells the task that publishes who is here.
#[derive(Clone)]
pub(crate) struct Presence {
    news: mpsc::Sender<News>,
    has_missed: Arc<AtomicBool>,
}

enum News {
    /// A page is to get the list.
    Page(SessionId),
    Event(EventNumber, BrokerEvent),
}

pub(crate) struct Follower {
    news: mpsc::Receiver<News>,
    has_missed: Arc<AtomicBool>,
}

#[derive(Serialize)]
struct People {
    people: Vec<Person>,
}

/// How it is now with somebody. Without a session a person is in the grace time, or has left.
#[derive(Serialize)]
struct Person {
    client: String,
    name: String,
    sessions: usize,
    here: bool,
}

pub(crate) fn channel() -> (Presence, Follower) {
    let (sender, news) = mpsc::channel(MAX_WAITING);
    // Nothing is known yet, which is the same as having missed something.
    let has_missed = Arc::new(AtomicBool::new(true));
    (Presence { news: sender, has_missed: has_missed.clone() }, Follower { news, has_missed })
}

impl Presence {
    /// Takes note of what happened; it is called by the hub.
    pub(crate) fn event(&self, number: EventNumber, event: BrokerEvent) {
        self.send(News::Event(number, event));
    }

    /// Gives a session the list of those who are here.
    pub(crate) fn welcome(&self, session: SessionId) {
        self.send(News::Page(session));
    }

    fn send(&self, news: News) {
        if self.news.try_send(news).is_err() {
            self.has_missed.store(true, Ordering::Release);
        }
    }
}

impl Follower {
    /// Publishes who is here, for ever.
    pub(crate) async fn publish(mut self, stage: Stage, topics: Topics) {
        let mut roster = Roster::new();
        // Where news were missed, the queue was full, so that there are more to come.
        while let Some(news) = self.news.recv().await {
            if self.has_missed.swap(false, Ordering::AcqRel) {
                match snapshot(stage.hub()) {
                    Ok(snapshot) => roster = snapshot,
                    Err(error) => return eprintln!("nobody knows who is here: {error}"),
                }
                publish_list(&stage, topics.people(), &roster).await;
            }
            match news {
                News::Page(session) => {
                    publish_list(&stage, Audience::Session(session), &roster).await;
                }
                News::Event(number, event) => match roster.apply(number, &event) {
                    Ok(()) => publish_change(&stage, &topics, &roster, &event).await,
                    Err(error) => return eprintln!("nobody knows who is here: {error}"),
                },
            }
        }
    }
}

/// Publishes who is here on all nodes, for ever: each node says how it is with those who are, or were
/// just now, with it, and whose names it knows. A page has the newest that was said of each.
pub(crate) async fn publish_realm(stage: Stage, presence: RealmPresence) {
    let (sender, mut changes) = mpsc::channel(MAX_WAITING);
    presence.on_change(move |change| {
        // What is too much is said later, with all others.
        let _ = sender.try_send(change.client);
    });
    // What was said long ago may be kept no more, and what was refused was not said.
    let mut again = interval(AGAIN);
    loop {
        tokio::select! {
            Some(client) = changes.recv() => {
                let sessions = presence.sessions_of(&client);
                publish_person(&stage, &client, sessions).await;
            }
            _ = again.tick() => publish_all(&stage, &presence).await,
        }
    }
}

async fn publish_all(stage: &Stage, presence: &RealmPresence) {
    let mut page = presence.clients(None, PAGE);
    while let Some((last, _)) = page.last().cloned() {
        for (client, sessions) in page {
            publish_person(stage, &client, Some(sessions)).await;
        }
        page = presence.clients(Some(&last), PAGE);
    }
}

async fn publish_person(stage: &Stage, client: &ClientId, sessions: Option<usize>) {
    let is_known = stage.hub().metadata(client, |_| ()).is_some();
    // Nobody knows the name of who has left. Each node says it that had known of them: of one that has
    // just joined nobody can tell what it had not heard yet.
    if is_known || sessions.is_none() {
        let person = person(stage.hub(), client, sessions);
        publish_state(stage, Topics::everybody(), client, &person).await;
    }
}

fn snapshot(hub: &Hub) -> Result<Roster, RosterError> {
    let mut roster = Roster::new();
    let mut next = Some(PresenceCursor::default());
    while let Some(cursor) = next {
        let (page, following) = hub.presence_page(&cursor, PAGE, |_, _| ());
        roster.apply_page(page)?;
        next = following;
    }
    Ok(roster)
}

async fn publish_list(stage: &Stage, to: impl Into<Audience> + Send, roster: &Roster) {
    let hub = stage.hub();
    let people = roster.clients().map(|(client, sessions)| person(hub, client, Some(sessions)));
    let people = People { people: people.collect() };
    publish_json(stage, to, PEOPLE, &people).await;
}

async fn publish_change(stage: &Stage, topics: &Topics, roster: &Roster, event: &BrokerEvent) {
    let (BrokerEvent::SessionOpened { client: Some(client), .. }
    | BrokerEvent::SessionEnded { client: Some(client), .. }
    | BrokerEvent::ClientLeft { client }) = event
    else {
        return;
    };
    let person = person(stage.hub(), client, roster.sessions(client));
    publish_state(stage, topics.people(), client, &person).await;
}

/// Of each person, the newest event is enough.
async fn publish_state(stage: &Stage, topic: TopicName, client: &ClientId, person: &Person) {
    match serde_json::to_string(person) {
        Ok(json) => {
            let event = Event::new(json).with_type(PERSON);
            let event = match EventKey::new(client.as_str()) {
                Ok(key) => event.with_key(key),
                Err(_) => event,
            };
            publish(stage, topic, &event).await;
        }
        Err(error) => eprintln!("cannot say how it is with {client}: {error}"),
    }
}

fn person(hub: &Hub, client: &ClientId, sessions: Option<usize>) -> Person {
    let name = hub.metadata(client, |metadata| metadata.get::<Name>().cloned()).flatten();
    Person {
        client: client.to_string(),
        name: name.map_or_else(|| "somebody".to_owned(), |Name(name)| name),
        sessions: sessions.unwrap_or_default(),
        here: sessions.is_some(),
    }
}
