//! Histories: a configuration and what is done to a broker of it.

use super::choices::Choices;
use super::drawn::{drawn_config, drawn_step};
use super::model::Content;
use super::signed::SECRETS;
use sansse::broker::*;
use std::time::Duration;

/// A configuration and what is done to it; the session that an operation is about is counted from
/// the newest.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) config: BrokerConfig,
    /// Which secret signs the ids, if any does.
    pub(super) secret: Option<u64>,
    /// How many brokers of one stream there are.
    pub(super) shards: usize,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Whose it is, counted round.
    pub(super) shard: usize,
    /// How far the `now` that is passed lies behind the time, in milliseconds.
    pub(super) late: u64,
    pub(super) op: Op,
}

#[derive(Clone, Debug)]
pub(crate) enum Op {
    Open {
        client: Option<u64>,
        topics: Vec<u64>,
        patterns: Vec<u64>,
        permitted: Option<Vec<Filter>>,
        topics_only: bool,
        newest: Option<u64>,
        from: From,
        heartbeat: u64,
        stall_timeout: u64,
        lag: Option<Lag>,
        /// Not as all have them, but of the type that is named, or none.
        #[expect(clippy::option_option, reason = "as in the request itself")]
        notices: Option<Option<&'static str>>,
        comment: bool,
        metadata: Option<u64>,
        address: Option<u64>,
        /// In milliseconds from now; zero is over already.
        lease: Option<u64>,
    },
    Publish {
        to: To,
        content: Content,
        own_id: Option<u64>,
        key: Option<u64>,
    },
    Apply {
        to: To,
        content: Content,
        own_id: Option<u64>,
        key: Option<u64>,
        ahead: u64,
    },
    /// What a log outside says, so old.
    ApplyAged {
        to: To,
        content: Content,
        own_id: Option<u64>,
        ahead: u64,
        age: Duration,
    },
    Skip {
        ahead: u64,
    },
    Cut {
        ahead: u64,
    },
    Poll {
        session: usize,
        times: u64,
    },
    Batch {
        session: usize,
        limit: usize,
        form: Framing,
    },
    /// Of the last batch; whose it is said to be, if not of the right session. How much was written
    /// is counted round, from nothing to a little more than there is.
    PartialWrite {
        written: usize,
        claimed: Option<usize>,
    },
    Progress {
        session: usize,
    },
    Ready {
        times: u64,
    },
    Serve,
    Events,
    /// The next page of who is here, or the first again.
    Page {
        limit: usize,
        anew: bool,
    },
    Disconnect {
        session: usize,
    },
    GiveWay {
        session: usize,
    },
    CloseSession {
        session: usize,
    },
    Renew {
        session: usize,
        lease: u64,
    },
    Revoke {
        client: u64,
    },
    RevokeTopic {
        client: u64,
        topic: u64,
    },
    Close,
    Abort,
    RetryAfter {
        error: OpenError,
    },
    SetKeys {
        secret: u64,
        accepts: Option<u64>,
    },
    /// The shard gets what was published elsewhere.
    CatchUp,
    Drain {
        over: Duration,
        retry: Option<(Duration, Duration)>,
        farewell: bool,
        patience: Duration,
        lets_topics_end: bool,
    },
    Subscribe {
        session: usize,
        filter: Filter,
        from: From,
        newest: Option<u64>,
    },
    Unsubscribe {
        session: usize,
        filter: Filter,
    },
    EndTopic {
        topic: u64,
    },
    ApplyEnd {
        topic: u64,
        ahead: u64,
    },
    SetRetention {
        topic: u64,
        retention: Option<Retention>,
    },
    SetLag {
        topic: u64,
        lag: Option<Lag>,
    },
    WaitForReaders {
        to: To,
        pace: Pace,
    },
    WaitForRoom {
        to: To,
    },
    Pass {
        time: Duration,
    },
    Timeout,
    Sleep {
        time: Duration,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum From {
    Nothing,
    Malformed,
    Text(&'static str),
    Own(u64),
    /// An id of the broker's making, so far behind the newest position.
    Behind(u64),
    Ahead(u64),
    /// Under a secret that may be another, so far behind; with one character changed, or cut.
    Signed {
        secret: u64,
        behind: u64,
        spoilt: Option<usize>,
        cut: usize,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Filter {
    Topic(u64),
    Pattern(u64),
}

#[derive(Clone, Debug)]
pub(crate) enum To {
    All,
    Client(u64),
    Session(usize),
    Topic(u64),
}

impl History {
    pub(crate) fn random(seed: u64, steps: u64) -> Self {
        let mut choices = Choices::random(seed);
        let mut history = Self::without_steps(&mut choices);
        history.steps = (0..steps).map(|_| drawn_step(&mut choices)).collect();
        history
    }

    /// One of steps that are about topics which end, sessions that subscribe and leave, and time.
    pub(crate) fn of_ends(seed: u64, steps: usize) -> Self {
        let mut choices = Choices::random(seed);
        let mut history = Self::without_steps(&mut choices);
        let is_about_ends = |step: &Step| {
            matches!(
                step.op,
                Op::Open { .. }
                    | Op::Subscribe { .. }
                    | Op::Unsubscribe { .. }
                    | Op::EndTopic { .. }
                    | Op::RevokeTopic { .. }
                    | Op::Publish { .. }
                    | Op::Batch { .. }
                    | Op::PartialWrite { .. }
                    | Op::Progress { .. }
                    | Op::Ready { .. }
                    | Op::Timeout
                    | Op::Pass { .. }
                    | Op::Sleep { .. }
            )
        };
        let drawn = core::iter::repeat_with(|| drawn_step(&mut choices));
        history.steps = drawn.filter(is_about_ends).take(steps).collect();
        history
    }

    /// As many steps as the bytes are enough for.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut choices = Choices::of(bytes);
        let mut history = Self::without_steps(&mut choices);
        while !choices.is_over() {
            history.steps.push(drawn_step(&mut choices));
        }
        history
    }

    fn without_steps(choices: &mut Choices<'_>) -> Self {
        let config = drawn_config(choices);
        let secret = choices.chance(25).then(|| choices.below(SECRETS));
        // Where events bring their ids, there is nothing to sign.
        let can_sign = cfg!(feature = "signed") && config.event_ids == EventIds::Assigned;
        let shards = choices.pick(&[1, 1, 2]);
        Self { config, secret: secret.filter(|_| can_sign), shards, steps: Vec::new() }
    }

    pub(crate) fn lines(&self) -> String {
        let line =
            |step: &Step| format!("shard {}, {} ms late: {:?}\n", step.shard, step.late, step.op);
        self.steps.iter().map(line).collect()
    }
}
