//! An answer, word by word, on a topic of its own that ends with it.
//!
//! A page that asks for it gets all of it, also after a reload or a lost connection. Once there is
//! nothing left, it gets 204, so that a browser asks no more.

use crate::stage::Stage;
use crate::{AGAIN, machine, not_now, text};
use bytes::Bytes;
use http::header::{HeaderValue, LOCATION, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use sansse::broker::{PublishError, SessionConfig, StartAt, TopicName};
use sansse::hub::Answer;
use sansse::{Event, EventType, event_type};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

const WORD: EventType = event_type!("word");
const END: EventType = event_type!("end");

/// About as quick as one reads.
const PAUSE: Duration = Duration::from_millis(120);
const MAX_UNDER_WAY: usize = 32;

#[derive(Clone)]
pub(crate) struct Answers {
    stage: Stage,
    /// Part of each answer's name, so that another life of this program, or another node, does not
    /// take it for one of its own.
    life: String,
    numbers: Arc<Mutex<Numbers>>,
    hurry: watch::Sender<bool>,
}

#[derive(Default)]
struct Numbers {
    last: u64,
    under_way: BTreeSet<u64>,
}

impl Answers {
    pub(crate) fn new(stage: Stage) -> Self {
        let life = stage.node().to_owned();
        Self { stage, life, numbers: Arc::default(), hurry: watch::Sender::new(false) }
    }

    /// Begins an answer, and says where it is to be had. Where its first word cannot be published,
    /// there is none.
    pub(crate) async fn ask(&self) -> Response<Bytes> {
        let Some(number) = self.numbers().begin() else {
            let mut response =
                text(StatusCode::SERVICE_UNAVAILABLE, "Too many answers are under way.\n");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            return response;
        };
        let topic = self.topic(number);
        let location = HeaderValue::try_from(topic.as_str()).expect("it is ASCII");
        let (answers, (sender, begun)) = (self.clone(), oneshot::channel());
        // A task of its own, since the one who asks may go away before the first word is out.
        tokio::spawn(async move {
            answers.speak(&topic, sender).await;
            answers.numbers().under_way.remove(&number);
        });
        if let Ok(Err(error)) = begun.await {
            return not_now(&error);
        }
        let mut response = text(StatusCode::CREATED, "");
        response.headers_mut().insert(LOCATION, location);
        response
    }

    /// What there is of an answer, and what comes.
    pub(crate) fn listen(&self, request: &Request<Bytes>) -> Answer {
        let Some(topic) = self.topic_of(request.uri().path()) else {
            return text(StatusCode::NOT_FOUND, "There is no such answer.\n").into();
        };
        let (stage, ended) = (self.stage.clone(), topic.clone());
        if self.has_ended(&topic) {
            // The hub forgets that after a while, and is told again.
            tokio::spawn(async move { stage.end_topic(&ended).await });
        }
        let session =
            SessionConfig::new().topics_only().with_topic(topic).with_start(StartAt::Oldest);
        self.stage.hub().accept(request, session)
    }

    /// Lets the answers that are under way come to their ends at once.
    pub(crate) fn hurry(&self) {
        self.hurry.send_replace(true);
    }

    /// Says how the first word went, and publishes the others.
    async fn speak(&self, topic: &TopicName, begun: oneshot::Sender<Result<(), PublishError>>) {
        let answer = machine::describe(&self.stage.hub().counters());
        let mut words =
            answer.split_inclusive(' ').map(|word| Event::new(word.to_owned()).with_type(WORD));
        let first = words.next().expect("an answer has words");
        let first = self.stage.publish(topic.clone(), &first).await;
        let has_begun = first.is_ok();
        // Who asked may have gone.
        let _ = begun.send(first);
        if !has_begun {
            return;
        }
        if let Err(error) = self.go_on(topic, words).await {
            eprintln!("the answer {topic} was given up: {error}");
        }
        // Those who listen are told the end also of an answer that was given up.
        loop {
            match self.stage.end_topic(topic).await {
                Err(PublishError::EngineDown | PublishError::Busy | PublishError::Unconfirmed) => {
                    sleep(AGAIN).await;
                }
                Ok(()) | Err(PublishError::Closed) => return,
                Err(error) => return eprintln!("{topic} does not end: {error}"),
            }
        }
    }

    async fn go_on(
        &self,
        topic: &TopicName,
        rest: impl Iterator<Item = Event>,
    ) -> Result<(), PublishError> {
        let mut hurry = self.hurry.subscribe();
        let mut words = 1_u32;
        for word in rest {
            let _ = timeout(PAUSE, hurry.wait_for(|is_due| *is_due)).await;
            self.stage.publish(topic.clone(), &word).await?;
            words += 1;
        }
        let end = Event::new(format!("{{\"words\":{words}}}")).with_type(END);
        self.stage.publish(topic.clone(), &end).await
    }

    fn topic(&self, number: u64) -> TopicName {
        let name = format!("answers/{}-{number}", self.life);
        TopicName::new(name).expect("letters, digits and a hyphen make a name")
    }

    /// Where an answer is that was begun in this life, or, where the stream is kept, in an earlier
    /// one or on another node: what is left of that comes, though nobody may bring its end.
    fn topic_of(&self, path: &str) -> Option<TopicName> {
        let name = path.strip_prefix('/')?;
        let (life, number) = name.strip_prefix("answers/")?.split_once('-')?;
        let number: u64 = number.parse().ok()?;
        let is_known = if life == self.life {
            (1..=self.numbers().last).contains(&number)
        } else {
            let is_life = life.len() == 8 && life.bytes().all(|byte| byte.is_ascii_hexdigit());
            self.stage.is_kept() && is_life
        };
        if is_known { TopicName::new(name).ok() } else { None }
    }

    /// Whether it is an answer of this life that has come to its end.
    fn has_ended(&self, topic: &TopicName) -> bool {
        let prefix = format!("answers/{}-", self.life);
        let number = topic.as_str().strip_prefix(&prefix).and_then(|number| number.parse().ok());
        number.is_some_and(|number: u64| !self.numbers().under_way.contains(&number))
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Numbers {
    fn begin(&mut self) -> Option<u64> {
        if self.under_way.len() >= MAX_UNDER_WAY {
            return None;
        }
        self.last += 1;
        self.under_way.insert(self.last);
        Some(self.last)
    }
}
