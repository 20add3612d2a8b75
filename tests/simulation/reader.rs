//! The readers: a client each, its driver, its application, and what it must have got.

use crate::filter::Filter;
use crate::kit::random::Random;
use crate::network::{Block, Connection, Cut, End, Item, Lost, take_blocks};
use crate::scenario::{Reading, chance, millis, one_of, up_to};
use crate::truth::{Kind, Record};
use crate::world::{Happening, World};
use bytes::Bytes;
use http::{HeaderValue, Request};
use sansse::broker::EventIds;
use sansse::client::{
    Attempt, Client, ClientConfig, ClientError, ClientEvent, CloseReason, Timeout,
};
use sansse::{EventType, LossReason, OwnedMessage};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

pub(crate) struct Reader {
    pub(crate) client: Client,
    pub(crate) reading: Reading,
    pub(crate) has_started: bool,
    /// What it hears beside what is for everybody, as the server's application remembers it; and
    /// from which event on without a pause.
    pub(crate) wants: BTreeMap<Filter, usize>,
    /// It was told that there is no more, and asks no more.
    pub(crate) is_finished: bool,
    /// The connection of the present attempt.
    pub(crate) connection: Option<usize>,
    /// The last connection that was made.
    latest: Option<usize>,
    /// Where its last session was.
    pub(crate) latest_shard: Option<usize>,
    pub(crate) sleeps_until: Option<Instant>,
    /// What came over the wire, whole, and was not told yet; each with the last event id then.
    pub(crate) expected: VecDeque<(Block, String)>,
    /// The last event id, as read naively.
    place: String,
    /// The first event that came after it had a place.
    since: Option<usize>,
    /// The furthest that it was, since its place was last unknown; and whether it is back from
    /// there, for events that were replayed to it.
    pub(crate) furthest: usize,
    pub(crate) went_back: bool,
    /// How often the application got each event, since its place was last unknown, and how often
    /// more it may get it.
    pub(crate) got: BTreeMap<usize, u32>,
    pub(crate) again: BTreeMap<usize, u32>,
}

impl Reader {
    pub(crate) fn new(random: &mut Random, reading: Reading) -> Self {
        let request = Request::get("http://example.org/events").body(Bytes::new()).unwrap();
        let mut config = ClientConfig::new(random.next());
        config.policy.timeouts.idle = Some(reading.idle);
        config.policy.timeouts.response = Some(reading.response);
        // Zero and no back-off would be one attempt after the other, as its user asked for.
        let waits = [(0, Some(4_000)), (300, None), (300, Some(4_000)), (3_000, Some(60_000))];
        let (initial, max_backoff) = one_of(random, &waits);
        config.policy.reconnection.initial = millis(initial);
        config.policy.reconnection.max_backoff = max_backoff.map(millis);
        config.comments = chance(random, 30);
        config.notices = match reading.notices {
            _ if reading.is_page => None,
            Some(notices) => Some(EventType::new(notices).unwrap()),
            None => config.notices,
        };
        // More than one chunk never waits, since the driver asks first.
        config.max_unread = 1;
        Self {
            client: Client::new(request, config),
            wants: reading.wants.iter().map(|filter| (*filter, 0)).collect(),
            reading,
            has_started: false,
            is_finished: false,
            connection: None,
            latest: None,
            latest_shard: None,
            sleeps_until: None,
            expected: VecDeque::new(),
            place: String::new(),
            since: None,
            furthest: 0,
            went_back: false,
            got: BTreeMap::new(),
            again: BTreeMap::new(),
        }
    }
}

/// What the application was told.
enum Told {
    Open(Attempt),
    Message(OwnedMessage),
    Retrying(ClientError, Duration),
    Comment,
    Lost(Option<u64>, LossReason),
    Closed,
}

impl World {
    /// Does all that a driver can do at this time, and its application with it.
    pub(crate) fn drive(&mut self, reader: usize) {
        for round in 0.. {
            assert!(round < 20_000, "the driver spins: {:?}", self.readers[reader].client);
            let told = self.tell_application(reader);
            let dropped = self.drop_unwanted(reader);
            let asked = self.ask(reader);
            let read = self.read(reader);
            if !(told || dropped || asked || read) {
                return;
            }
        }
    }

    pub(crate) fn sleep(&mut self, reader: usize, time: Duration) {
        self.readers[reader].sleeps_until = Some(self.now + time);
        self.after(time, Happening::AppWakes(reader));
    }

    fn tell_application(&mut self, reader: usize) -> bool {
        let mut any = false;
        while self.readers[reader].sleeps_until.is_none() {
            let Some(event) = self.readers[reader].client.poll_event() else { return any };
            any = true;
            let told = match event {
                ClientEvent::Open(opened) => Told::Open(opened.attempt),
                ClientEvent::Message(message) => Told::Message(message.into_owned()),
                ClientEvent::Comment(_) => Told::Comment,
                ClientEvent::Lost { events, reason } => Told::Lost(events, reason),
                ClientEvent::Retrying { error, wait, .. } => Told::Retrying(error.clone(), wait),
                ClientEvent::Closed(CloseReason::NoContent) => Told::Closed,
                other => panic!("{other:?}"),
            };
            self.be_told(reader, told);
            let pauses = self.readers[reader].reading.pauses;
            if !self.is_healed && chance(&mut self.random, pauses) {
                let time = up_to(&mut self.random, millis(800));
                self.sleep(reader, time);
            }
        }
        any
    }

    fn be_told(&mut self, reader: usize, told: Told) {
        let at = self.readers[reader].latest.expect("nothing is told before a connection is made");
        match told {
            Told::Open(attempt) => {
                assert_eq!(attempt, self.connections[at].attempt);
                // Whose place is unknown begins anew, and gets again what is kept.
                if matches!(self.connections[at].outcome, "unknown" | "ahead") {
                    self.readers[reader].got.clear();
                }
            }
            Told::Message(message) => self.be_told_message(reader, at, &message),
            Told::Retrying(error, wait) => {
                let state = &self.readers[reader];
                self.note(|| format!("reader {reader}: {error}; again in {wait:?}"));
                assert!(state.expected.is_empty(), "not told: {:?}", state.expected);
                let least = state.client.reconnection_time();
                assert!(wait.is_zero() || wait >= least, "{wait:?} is less than {least:?}");
                self.log.count(match error {
                    ClientError::EndOfStream => "retry: EndOfStream",
                    ClientError::Timeout(Timeout::Idle) => "retry: Idle",
                    ClientError::Timeout(Timeout::Response) => "retry: Response",
                    ClientError::Restarted => "retry: Restarted",
                    ClientError::Status(_) => "retry: Status",
                    ClientError::Transport(_) => "retry: Transport",
                    other => panic!("{other}"),
                });
            }
            Told::Comment => {}
            Told::Lost(events, reason) => {
                let (block, _) = self.readers[reader].expected.pop_front().unwrap();
                let said = block.said.expect("it was said over the wire");
                assert_eq!((events, Some(reason.as_str())), (said.lost, said.reason.as_deref()));
                self.log.count("loss reported by the client");
            }
            Told::Closed => {
                self.note(|| format!("reader {reader} has all there is"));
                self.log.count("reader that was told to ask no more");
                let state = &mut self.readers[reader];
                assert!(state.expected.is_empty(), "not told: {:?}", state.expected);
                state.is_finished = true;
            }
        }
    }

    fn be_told_message(&mut self, reader: usize, at: usize, message: &OwnedMessage) {
        let state = &mut self.readers[reader];
        let (block, place) = state.expected.pop_front().expect("it came over the wire");
        assert_eq!(Some(&message.data), block.data.as_ref());
        assert_eq!(message.last_event_id.as_str(), place);
        assert_eq!(message.event_type.as_str(), block.event_type.as_deref().unwrap_or("message"));
        let connection = &self.connections[at];
        if let Some(event) = block.event {
            let count = state.got.entry(event).or_default();
            *count += 1;
            let most = 1 + state.again.get(&event).copied().unwrap_or_default();
            assert!(*count <= most, "reader {reader} gets #{event} again");
            if place.starts_with("own-") {
                self.log.count("event read that brought its own id");
            }
        } else {
            assert!(state.reading.is_page && block.said.is_some() && connection.has_begun);
            self.log.count("notice that came as a message");
        }
        self.note(|| format!("reader {reader} got {}", message.data));
    }

    /// Lets go of a connection that the client does not want any more.
    fn drop_unwanted(&mut self, reader: usize) -> bool {
        let state = &mut self.readers[reader];
        let Some(at) = state.connection else { return false };
        if state.client.attempt() == Some(self.connections[at].attempt) {
            return false;
        }
        state.connection = None;
        let connection = &mut self.connections[at];
        if chance(&mut self.random, 30) {
            connection.is_old = true;
            self.after(Duration::ZERO, Happening::Arrives(at));
        } else {
            connection.is_broken = true;
            connection.in_flight.clear();
        }
        self.tell_server(at);
        true
    }

    fn ask(&mut self, reader: usize) -> bool {
        let state = &mut self.readers[reader];
        let Some((attempt, request)) = state.client.poll_request(self.now) else { return false };
        assert!(
            !state.is_finished,
            "reader {reader} asks though it was told that there is no more"
        );
        let id = request.headers().get("last-event-id").map(HeaderValue::to_str);
        assert_eq!(id.map_or("", Result::unwrap), state.place, "it asks from where it is");
        assert!(state.expected.is_empty(), "not told: {:?}", state.expected);
        let at = self.connections.len();
        state.connection = Some(at);
        state.latest = Some(at);
        let cuts = if self.is_healed { 0 } else { self.scenario.cuts };
        let connection = Connection::new(&mut self.random, reader, attempt, cuts);
        self.note(|| format!("reader {reader} asks on connection {at}: {:?}", connection.cut));
        let is_lost = matches!(connection.cut, Cut::Request);
        self.connections.push(connection);
        if is_lost {
            self.log.count("request lost");
            self.break_for_reader(at);
        } else {
            let latency = self.latency();
            self.after(latency, Happening::RequestArrives(at, Box::new(request)));
        }
        true
    }

    /// Hands the next thing that has come to the client. Says whether there was any.
    fn read(&mut self, reader: usize) -> bool {
        let state = &mut self.readers[reader];
        let Some(at) = state.connection else { return false };
        let connection = &mut self.connections[at];
        let attempt = connection.attempt;
        match connection.in_flight.front() {
            Some((arrives, _)) if *arrives > self.now => return false,
            Some((_, Item::Bytes(_))) if !state.client.wants_data() => return false,
            _ => {}
        }
        match connection.in_flight.pop_front() {
            None => return false,
            Some((_, Item::Head(_))) if matches!(connection.cut, Cut::ReaderAt(0)) => {
                self.log.count("cut before the head");
                self.break_at_reader(at);
            }
            Some((_, Item::Head(head))) => {
                state.client.handle_response(self.now, attempt, &head);
            }
            Some((_, Item::End(end))) => {
                connection.is_broken = true;
                match end {
                    End::Eof => state.client.handle_eof(self.now, attempt),
                    End::Failure(kind) => state.client.handle_failure(self.now, attempt, kind),
                }
            }
            Some((arrived, Item::Bytes(mut bytes))) => {
                let most = match connection.cut {
                    Cut::ReaderAt(end) => bytes.len().min(end - connection.received),
                    _ => bytes.len(),
                };
                let length = one_of(&mut self.random, &[1, 1 + bytes.len() / 3, usize::MAX]);
                let piece = bytes.split_to(length.min(most));
                if !bytes.is_empty() {
                    connection.in_flight.push_front((arrived, Item::Bytes(bytes)));
                }
                state.client.handle_data(self.now, attempt, &piece);
                self.hear(at, &piece);
                let latency = self.latency();
                self.after(latency, Happening::Acknowledged(at, piece.len()));
                let connection = &self.connections[at];
                if matches!(connection.cut, Cut::ReaderAt(end) if end == connection.received) {
                    self.break_at_reader(at);
                }
            }
        }
        true
    }

    /// Reads naively what the client was given, and judges it.
    fn hear(&mut self, at: usize, piece: &[u8]) {
        let connection = &mut self.connections[at];
        connection.received += piece.len();
        if !connection.is_stream {
            return;
        }
        connection.block.extend_from_slice(piece);
        for block in take_blocks(&mut connection.block) {
            self.hear_block(at, block);
        }
    }

    fn hear_block(&mut self, at: usize, block: Block) {
        self.check_beginning(at, &block);
        let connection = &mut self.connections[at];
        let is_message = block.data.is_some();
        if let Some(event) = block.event {
            connection.owed.hear(event, block.id.is_some());
            assert!(!connection.owed.excused.contains(&event), "#{event} was said to be missing");
        }
        let reader = connection.reader;
        let truth = &self.truths[connection.shard];
        let state = &mut self.readers[reader];
        if let Some(id) = &block.id {
            state.place.clone_from(id);
            let place = truth.after(id).expect("an id that was given");
            if let (Some(event), true) = (block.event, is_message) {
                assert_eq!(place, event + 1, "{id} is not #{event}");
            }
            let is_place = block.said.as_ref().is_some_and(|said| said.stream == "place");
            self.log.count(if is_place { "place told again" } else { "id read" });
            if std::mem::take(&mut connection.begins_anew) {
                state.furthest = place;
            }
            let may_be_back = state.went_back || connection.owed.has_replayed;
            state.went_back = place < state.furthest;
            assert!(
                !state.went_back || may_be_back,
                "its place goes back to #{place} from #{}",
                state.furthest
            );
            state.furthest = state.furthest.max(place);
            state.since.get_or_insert(place.max(connection.first));
        } else {
            let is_event = is_message && block.event.is_some();
            assert!(!is_event, "every event has an id");
        }
        // Whatever becomes of the connection now, the reader comes back from where it is.
        if let Some(place) = truth.after(&state.place).filter(|_| !connection.begins_anew) {
            let missing = connection.owed.missing_before(place);
            assert!(
                missing.is_none(),
                "reader {reader} is at #{place} and has not got #{}, of which nobody told it",
                missing.unwrap(),
            );
        }
        let is_told = match &block.said {
            Some(said) => state.reading.is_page || said.lost != Some(0),
            None => is_message,
        };
        if is_told {
            state.expected.push_back((block, state.place.clone()));
        }
    }

    /// A stream begins with a notice, which says of its beginning what is so.
    fn check_beginning(&mut self, at: usize, block: &Block) {
        let connection = &mut self.connections[at];
        if connection.has_begun || block.is_empty() {
            return;
        }
        connection.has_begun = true;
        let said = block.said.as_ref().expect("a stream begins with a notice");
        assert_eq!((&said.stream[..], said.replayed), connection.opening);
        let is_compact = self.scenario.broker.retention.compact
            || self.scenario.broker.private_retention.compact;
        let is_right = match (said.lost, connection.lost) {
            (Some(0), Lost::Nothing) => true,
            (Some(lost), Lost::Events(events)) => lost == events || (is_compact && lost < events),
            (lost, _) => lost.is_none() && said.stream == "gap",
        };
        assert!(is_right, "{said:?}, where {:?} is lost", connection.lost);
        self.log.count(match said.lost {
            Some(0) => "begins with nothing missing",
            Some(_) => "begins with a number missing",
            None => "begins with something missing",
        });
    }

    /// What still comes on a connection of an old attempt goes to the client, which is to ignore
    /// it.
    pub(crate) fn hear_old(&mut self, at: usize) {
        while self.connections[at].is_old
            && self.connections[at].in_flight.front().is_some_and(|(at, _)| *at <= self.now)
        {
            let connection = &mut self.connections[at];
            let (_, item) = connection.in_flight.pop_front().unwrap();
            let attempt = connection.attempt;
            let client = &mut self.readers[connection.reader].client;
            assert_ne!(client.attempt(), Some(attempt), "an old attempt becomes the present one");
            self.log.count("late answer of an old attempt");
            match item {
                Item::Head(head) => client.handle_response(self.now, attempt, &head),
                Item::Bytes(bytes) => client.handle_data(self.now, attempt, &bytes),
                Item::End(End::Eof) => client.handle_eof(self.now, attempt),
                Item::End(End::Failure(kind)) => client.handle_failure(self.now, attempt, kind),
            }
        }
    }

    pub(crate) fn check_all_is_delivered(&mut self, reader: usize) {
        let state = &self.readers[reader];
        let at = state.latest.expect("it is at rest");
        let whole = self.truth(at).events.len();
        // Who asks no more has what there was by then.
        let end = if state.is_finished { self.connections[at].no_more_after } else { whole };
        if !state.is_finished {
            let missing = self.connections[at].owed.missing_before(end);
            assert!(missing.is_none(), "reader {reader} has not got #{}", missing.unwrap());
            // Who has skipped to the newest has nothing after which it could be told.
            let owed = &self.connections[at].owed;
            let is_to_be_told = self.scenario.broker.event_ids == EventIds::Assigned
                && owed.has_replayed
                && owed.told_lost == 0;
            assert!(
                !is_to_be_told || !state.went_back,
                "reader {reader} is not told its place again"
            );
        }
        // The same once more, for all its streams together and by what its application got.
        let begins_anew = |outcome| matches!(outcome, "unknown" | "ahead" | "other-epoch" | "gap");
        let of_reader = || self.connections.iter().filter(|one| one.reader == reader);
        if of_reader().any(|connection| begins_anew(connection.outcome)) {
            return;
        }
        for event in state.since.unwrap_or(end)..end {
            let Record { to, kind, .. } = self.truth(at).events[event];
            let is_owed = kind == Kind::Event
                && state.heard().any(|(filter, since)| {
                    let is_meant = filter.is_named() || !state.is_finished;
                    is_meant && filter.hears(to) && event >= since
                })
                && self.truth(at).superseded_by(event).is_none();
            assert!(
                !is_owed
                    || state.got.contains_key(&event)
                    || of_reader().any(|connection| connection.owed.excused.contains(&event)),
                "reader {reader} never got #{event}"
            );
        }
    }
}

impl Reader {
    /// What each of its streams hears, and from which event on without a pause.
    fn heard(&self) -> impl Iterator<Item = (Filter, usize)> {
        let broadcast = (!self.reading.is_of_answer).then_some((Filter::All, 0));
        let client = self.reading.client.map(|client| (Filter::Client(client), 0));
        let named = self.wants.iter().map(|(filter, since)| (*filter, *since));
        broadcast.into_iter().chain(client).chain(named)
    }

    /// The same without the times, for one connection.
    pub(crate) fn filters(&self, connection: usize) -> Vec<Filter> {
        let heard = self.heard().map(|(filter, _)| filter);
        heard.chain([Filter::Own(connection)]).collect()
    }
}
