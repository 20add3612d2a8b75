//! Requests of some hundred bytes that ask for all that was kept, by ids that were made up and by
//! genuine ones: how many bytes a hub with the defaults sends for each of them.

use crate::report::{Broken, Report, Size, promise};
use sansse::broker::{
    AddressKey, Audience, Batch, BrokerConfig, CursorKeys, Epoch, Filled, Framing, SessionConfig,
    TopicName,
};
use sansse::hub::{Answer, Drive};
use sansse::{Event, EventId, Hub, Timer};
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

const TOPICS: usize = 4;

/// With what a stream begins that gets no replay.
const OPENING: usize = 256;

/// What a topic keeps by default.
const RETAINED: usize = 4 << 20;

/// How many sessions there may be from one address by default.
const PER_ADDRESS: usize = 1_000;

/// Logs that are as full as they may be, for sessions from one address.
struct Target {
    hub: Hub,
    /// Kept, since a hub without it closes.
    _drive: Drive,
    topics: Vec<TopicName>,
    started: Instant,
}

/// A clock on which nothing of a hub is ever due.
struct Standing(Instant);

impl Timer for Standing {
    fn now(&self) -> Instant {
        self.0
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(pending())
    }
}

/// What came of one request.
struct Sent {
    asked: usize,
    bytes: usize,
    last_id: Option<String>,
}

/// Asks with each kind of id, and again and again from one address.
pub(crate) fn run(size: Size, report: &mut Report) -> Result<(), Broken> {
    let (data, times) = (size.pick(16 << 10, 1 << 10), size.pick(20, 1_000));
    let plain = Target::new(BrokerConfig::new(Epoch(0xbeef)), data)?;
    let kept = plain.kept()?;
    report.figure("bytes that are kept, in four topics and the broadcast", kept);
    promise(kept <= (TOPICS + 1) * RETAINED, || format!("{kept} bytes are kept"))?;

    for (what, id) in [
        ("no id", ""),
        ("nonsense", "nonsense"),
        ("a malformed id", "beef-01"),
        ("an id that is too long", &"7".repeat(2_000)),
        ("an id of another epoch", "feed-17"),
        ("an id that was not given yet", "beef-99999999"),
    ] {
        let sent = plain.ask(id)?;
        report.figure(&format!("bytes sent for {what}"), sent.said());
        promise(sent.bytes <= OPENING, || format!("{what}: {} bytes are sent", sent.bytes))?;
    }
    let sent = plain.ask("beef-1")?;
    report.figure("bytes sent for a place that was made up", sent.said());
    promise(sent.bytes <= kept + OPENING, || format!("{} bytes of {kept}", sent.bytes))?;

    let mut config = BrokerConfig::new(Epoch(0xbeef));
    config.cursor_keys = Some(CursorKeys::new(&[7; 32])?);
    let signed = Target::new(config, data)?;
    let sent = signed.ask("beef-1-AAAAAAAAAAAAAAAAAAAAAA")?;
    report.figure("bytes sent for a forged id, where ids are signed", sent.said());
    promise(sent.bytes <= OPENING, || format!("forged: {} bytes are sent", sent.bytes))?;

    // A genuine id, that of a stream which began before a tenth of what is kept was published.
    let genuine = signed.ask("")?.last_id.ok_or_else(|| Broken::new("a stream tells its place"))?;
    signed.publish(data, RETAINED / data / 10)?;
    let since = (TOPICS + 1) * RETAINED / 10 * 3 / 2;
    let (mut asked, mut bytes) = (0, 0);
    let started = Instant::now();
    for _ in 0..times {
        let sent = signed.ask(&genuine)?;
        promise(sent.bytes <= since, || format!("{} bytes since {genuine}", sent.bytes))?;
        asked += sent.asked;
        bytes += sent.bytes;
    }
    report.figure("requests with one genuine id, one after the other", times);
    report.figure("bytes sent for all of them", Sent { asked, bytes, last_id: None }.said());
    report.figure("time, all together", format_args!("{:?}", started.elapsed()));

    // All at a time, by somebody who takes nothing: each costs its place.
    let mut open = Vec::new();
    let refused = loop {
        match signed.accept(&genuine)?.1 {
            Answer::Stream(_, session) => open.push(session),
            _ => break open.len(),
        }
    };
    report.figure("replays at a time from one address", refused);
    promise(refused == PER_ADDRESS, || format!("{refused} at a time"))?;
    let kept_now = signed.kept()?;
    report.figure("bytes that are kept then", kept_now);
    promise(kept_now <= (TOPICS + 1) * RETAINED, || "replays are copies".to_owned())
}

impl Target {
    fn new(config: BrokerConfig, data: usize) -> Result<Self, Broken> {
        let started = Instant::now();
        let (hub, drive) = Hub::new(Standing(started), config)?;
        let topics: Result<_, _> =
            (0..TOPICS).map(|number| TopicName::new(format!("topic {number}"))).collect();
        let target = Self { hub, _drive: drive, topics: topics?, started };
        target.publish(data, RETAINED / data + 1)?;
        Ok(target)
    }

    /// Publishes so many events of this size to each topic and to everyone.
    fn publish(&self, data: usize, events: usize) -> Result<(), Broken> {
        let event = Event::new("x".repeat(data));
        for _ in 0..events {
            for topic in &self.topics {
                self.hub.publish(topic.clone(), &event)?;
            }
            self.hub.publish(Audience::Everyone, &event)?;
        }
        Ok(())
    }

    fn kept(&self) -> Result<usize, Broken> {
        Ok(usize::try_from(self.hub.counters().retained_bytes)?)
    }

    /// Makes a request with this id, of so many bytes.
    fn accept(&self, id: &str) -> Result<(usize, Answer), Broken> {
        let request = http::Request::get("/events").header("host", "www.example.org");
        let request = request.header("accept", "text/event-stream");
        let request = if id.is_empty() { request } else { request.header("last-event-id", id) };
        let request = request.body(())?;
        let fields = request
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + ": ".len() + value.len() + "\r\n".len());
        let asked = "GET /events HTTP/1.1\r\n\r\n".len() + fields.sum::<usize>();
        let config =
            self.topics.iter().cloned().fold(SessionConfig::new(), SessionConfig::with_topic);
        let address = AddressKey::from(std::net::IpAddr::from([192, 0, 2, 1]));
        Ok((asked, self.hub.accept(&request, config.with_address(address))))
    }

    /// Makes a request, reads until there is no more, and goes.
    fn ask(&self, id: &str) -> Result<Sent, Broken> {
        let (asked, answer) = self.accept(id)?;
        let Answer::Stream(_, mut session) = answer else {
            return Err(Broken::new(format!("refused after {:?}", self.started.elapsed())));
        };
        let mut context = Context::from_waker(Waker::noop());
        let mut batch = Batch::new(Framing::Plain);
        let (mut bytes, mut last_id) = (0, None);
        loop {
            batch.reset(Framing::Plain);
            let poll = session.poll_batch(&mut context, 64 << 10, &mut batch);
            bytes += batch.len();
            let text = std::str::from_utf8(batch.as_slice())?;
            let mut ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
            last_id = ids.next_back().map(str::to_owned).or(last_id);
            match poll {
                Poll::Ready(Ok(Filled::More)) => {}
                Poll::Ready(Ok(Filled::All)) | Poll::Pending => break,
                Poll::Ready(Ok(Filled::Ended(_)) | Err(_)) => {
                    return Err(Broken::new("a stream ends".to_owned()));
                }
            }
        }
        if let Some(id) = &last_id {
            EventId::new(id.clone())?;
        }
        Ok(Sent { asked, bytes, last_id })
    }
}

impl Sent {
    /// The bytes, and how many they are for each that was asked with.
    fn said(&self) -> String {
        let tenths = self.bytes * 10 / self.asked;
        let (whole, tenth) = (tenths / 10, tenths % 10);
        format!("{}, {whole}.{tenth} for each of the request", self.bytes)
    }
}
