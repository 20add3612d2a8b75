//! The situations, one column of the guide's table each, and what a client was seen to do in them.
//!
//! A cell says whether the client came back, with its last event id or without, and whether it said
//! an error to the program that uses it. What the guide has in a cell decides how long is waited:
//! until the client is back, if it is to come back, and for [`QUIET`] if it is to stay away.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::heard::Heard;
use super::site::{Form, Instead, Site};

/// For whatever is to happen.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long a client is watched that is to stay away: longer than any of them waits by itself.
const QUIET: Duration = Duration::from_secs(7);
/// How long a client is watched that is hidden, and is to read on.
const HIDDEN: Duration = Duration::from_secs(2);
/// For how long nobody listens while a server is stopped.
const STOPPED: Duration = Duration::from_millis(1_200);
const PAUSE: Duration = Duration::from_millis(10);

/// The reconnection time that the streams begin with, and that of the situation `retry`.
const RETRY: Duration = Duration::from_millis(300);
const LONG_RETRY: Duration = Duration::from_secs(3);

/// A column of the table, in their order, and one situation more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    CleanEnd,
    Cut,
    Drain,
    Refusal,
    NoContent,
    Unavailable,
    Restart,
    Retry,
    Hidden,
    /// All is over, and an event says so in place of a 204.
    Done,
}

/// The situations that a client is in while its page is seen, if it has one.
pub(crate) const SEEN: [Situation; 8] = [
    Situation::CleanEnd,
    Situation::Cut,
    Situation::Drain,
    Situation::Refusal,
    Situation::NoContent,
    Situation::Unavailable,
    Situation::Restart,
    Situation::Retry,
];

impl Situation {
    const fn instead(self) -> Option<Instead> {
        match self {
            Self::Refusal => Some(Instead::Refusal),
            Self::NoContent => Some(Instead::NoContent),
            Self::Unavailable => Some(Instead::Unavailable),
            Self::Done => Some(Instead::Done),
            _ => None,
        }
    }
}

/// After which end of its stream a client asks again, so that it can be answered otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsksAfter {
    Cut,
    CleanEnd,
    /// It asks once, and is answered otherwise then.
    Nothing,
}

/// One client at one site.
pub(crate) struct Scene<'a> {
    heard: &'a Heard,
    pub(crate) site: Site,
    asks_after: AsksAfter,
    situation: Situation,
    /// What the guide has in this cell; empty if it has none.
    told: String,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(
        heard: &'a Heard,
        (page, form): (&str, Form),
        asks_after: AsksAfter,
        situation: Situation,
        told: String,
    ) -> Self {
        let site = Site::start(page, form, RETRY);
        if asks_after == AsksAfter::Nothing {
            site.answer(situation.instead());
        }
        Self { heard, site, asks_after, situation, told }
    }

    /// Plays the situation, and returns what its cell is to say.
    pub(crate) async fn play(&mut self) -> String {
        match self.situation {
            Situation::CleanEnd => {
                self.is_served("first", 1).await;
                self.site.end();
                self.after_what_is_missed().await
            }
            Situation::Cut => {
                self.is_served("first", 1).await;
                self.site.cut();
                self.after_what_is_missed().await
            }
            Situation::Drain => {
                self.is_served("first", 1).await;
                self.site.drain(RETRY);
                self.after(1).await
            }
            Situation::Refusal | Situation::Unavailable => {
                let asked = self.meet().await;
                self.site.answer(None);
                self.after(asked).await
            }
            Situation::NoContent | Situation::Done => {
                let asked = self.meet().await;
                self.after_the_end(asked).await
            }
            Situation::Restart => {
                self.is_served("first", 1).await;
                self.site.stop().await;
                sleep(STOPPED).await;
                self.site.restart(RETRY);
                self.after(1).await
            }
            Situation::Retry => self.retry().await,
            Situation::Hidden => unreachable!("it is played with its browser"),
        }
    }

    /// Waits until the page reads that is to be hidden.
    pub(crate) async fn begin_hidden(&self) {
        self.is_served("first", 1).await;
    }

    /// Whether its stream is open while nobody sees the page.
    pub(crate) async fn reads_hidden(&self) -> bool {
        if self.told.starts_with("leaves") {
            self.wait(DEADLINE, || !self.site.is_read()).await;
        } else {
            self.wait(HIDDEN, || !self.site.is_read()).await;
        }
        let reads = self.site.is_read();
        self.site.publish("while hidden");
        reads
    }

    /// What its cell is to say, when it is seen again.
    pub(crate) async fn end_hidden(&self, has_read: bool) -> String {
        let port = self.site.port();
        self.until("it says that it was hidden", || self.heard.was_hidden(port)).await;
        if has_read {
            let has = || self.heard.has(port, "while hidden");
            self.until("it has what was published", has).await;
            assert_eq!(self.site.asked().len(), 1, "{}", self.account());
            return "reads on".to_owned();
        }
        let came = self.wait(DEADLINE, || self.site.asked().len() > 1).await;
        format!("leaves; {}", if came { self.back().await } else { "away" })
    }

    /// Lets the client ask, for the first time or after a loss, and be answered otherwise; returns
    /// how often it has asked then.
    async fn meet(&self) -> usize {
        if self.asks_after == AsksAfter::Nothing {
            self.until("it asks", || !self.site.asked().is_empty()).await;
            return 1;
        }
        self.is_served("first", 1).await;
        self.lose();
        self.site.answer(self.situation.instead());
        self.until("it asks again", || self.site.asked().len() >= 2).await;
        2
    }

    fn lose(&self) {
        match self.asks_after {
            AsksAfter::Cut => self.site.cut(),
            AsksAfter::CleanEnd => self.site.end(),
            AsksAfter::Nothing => panic!("it does not ask again"),
        }
    }

    async fn after_the_end(&self, asked: usize) -> String {
        let again = || self.site.asked().len() - asked;
        let within = if self.told.starts_with("asks on") { DEADLINE } else { QUIET };
        self.wait(within, || again() >= 3).await;
        let does = match again() {
            0 => "away",
            1 | 2 => "asks again",
            _ => "asks on",
        };
        self.cell(does, asked).await
    }

    /// What the client does that has just lost its stream, and misses an event.
    async fn after_what_is_missed(&self) -> String {
        self.site.publish("missed");
        let cell = self.after(1).await;
        let has = self.heard.has(self.site.port(), "missed");
        assert_eq!(has, cell.starts_with("back with id"), "{cell}: {}", self.account());
        cell
    }

    /// What the client does that has asked so often, and may have a stream from now on.
    async fn after(&self, asked: usize) -> String {
        let within = if self.told.starts_with("back") { DEADLINE } else { QUIET };
        let came = self.wait(within, || self.site.asked().len() > asked).await;
        let does = if came { self.back().await } else { "away" };
        self.cell(does, asked).await
    }

    /// How the client is back.
    async fn back(&self) -> &'static str {
        self.until("it reads again", || self.site.is_read()).await;
        let last = self.site.asked().pop().expect("it has asked");
        self.site.publish("second");
        self.until("it gets an event", || self.heard.has(self.site.port(), "second")).await;
        match last.last_event_id {
            Some(id) if !id.is_empty() => "back with id",
            _ => "back without id",
        }
    }

    /// Compares how long the client waits by one reconnection time and by another.
    async fn retry(&self) -> String {
        if self.asks_after == AsksAfter::Nothing {
            return "–".to_owned();
        }
        self.is_served("first", 1).await;
        let begun = Instant::now();
        self.lose();
        self.site.begin_anew(LONG_RETRY);
        self.until("it asks again", || self.site.asked().len() >= 2).await;
        let short = self.site.asked()[1].at - begun;
        self.is_served("second", 2).await;
        let begun = Instant::now();
        self.lose();
        self.until("it asks a third time", || self.site.asked().len() >= 3).await;
        let long = self.site.asked()[2].at - begun;
        let least = LONG_RETRY.mul_f64(0.6);
        let obeys = match () {
            () if short >= least || long < least => "ignored",
            () if long < LONG_RETRY.mul_f64(1.9) => "obeyed",
            () => "doubled",
        };
        obeys.to_owned()
    }

    /// The errors that count are those since it asked for the last time before it may be back: a
    /// loss that only made it ask is another situation's.
    async fn cell(&self, does: &str, asked: usize) -> String {
        let since = self.site.asked()[asked - 1].clock;
        let error = || self.heard.error_since(self.site.port(), since);
        if self.told.ends_with("error") {
            self.wait(QUIET, error).await;
        }
        format!("{does}, {}", if error() { "error" } else { "silent" })
    }

    /// Waits until the client has asked so often and has this text.
    async fn is_served(&self, text: &str, asked: usize) {
        let reads = || self.site.asked().len() >= asked && self.site.is_read();
        self.until("it reads", reads).await;
        self.site.publish(text);
        self.until("it gets an event", || self.heard.has(self.site.port(), text)).await;
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let came = self.wait(DEADLINE, condition).await;
        assert!(came, "not within {DEADLINE:?}: {what}; {}", self.account());
    }

    async fn wait(&self, within: Duration, condition: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + within;
        while !condition() {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(PAUSE).await;
        }
        true
    }

    /// What is known of the client, for whom a test fails.
    fn account(&self) -> String {
        let (said, asked) = (self.heard.all(self.site.port()), self.site.asked());
        format!("it said {said:?} and asked {asked:?}")
    }
}
