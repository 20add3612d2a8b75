//! Records of the nodes of a realm.

use super::start;
use crate::kit::random::Random;
use crate::kit::seed;
use sansse::broker::{Audience, ClientId, Epoch, EventIds, LogRecord, Sequencer, TopicName};
use sansse::cluster::{
    Appended, Batch, Content, Entry, Head, LogAnswer, LogErrorKind, LogRequest, NodeConfig, NodeId,
    Page, Record, WhileDown,
};
use sansse::record::{NodeOutput, NodeRecord, RecordErrorKind, RecordedNode, VERSION};
use sansse::{Event, EventId, Fault};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HISTORIES: u64 = 60;
const STEPS: usize = 150;

/// A node that was recorded, and what came out of it.
struct Recorded {
    node: RecordedNode,
    text: Arc<Mutex<String>>,
    outputs: Vec<NodeOutput>,
}

impl Recorded {
    fn new(config: NodeConfig, sequencer: Sequencer) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let sink = text.clone();
        let node = RecordedNode::new(start(), config, sequencer, move |entry| {
            writeln!(sink.lock().unwrap(), "{entry}").unwrap();
        });
        Self { node, text, outputs: Vec::new() }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }
}

fn sequencer() -> Sequencer {
    Sequencer::new(Epoch(0xe), 0, EventIds::Assigned)
}

fn record(random: &mut Random) -> Record {
    let (ann, news) = (ClientId::new("änn").unwrap(), TopicName::new("news").unwrap());
    let event = Event::new(format!("event {}", random.below(100)));
    match random.below(6) {
        0 => Record::Revoke(ann),
        1 => Record::RevokeTopic(ann, news),
        2 => LogRecord::end_of(news).into(),
        3 => LogRecord::new(ann, event.with_id(EventId::new("e-17").unwrap())).into(),
        4 => LogRecord::new(news, event.with_comment("\u{1f600}\n\"")).into(),
        _ => LogRecord::new(Audience::Everyone, event).into(),
    }
}

/// A node at random, with all that it may be asked and answered.
fn random(seed: u64) -> Recorded {
    let mut random = Random(seed);
    let mut config = NodeConfig::new(NodeId(u128::MAX - u128::from(seed)), seed);
    config.queued_records = (1 + random.below(9)).try_into().unwrap();
    config.while_down = if random.below(2) == 0 {
        WhileDown::Refuse
    } else {
        WhileDown::Wait(Duration::from_millis(900))
    };
    let mut recorded = Recorded::new(config, sequencer());
    let (mut now, mut position, mut under_way) = (start(), 0, Vec::new());
    for _ in 0..STEPS {
        now += Duration::from_nanos(random.next() % 300_000_000);
        // An out-of-date time is recorded as it was told.
        let at = if random.below(20) == 0 { start() } else { now };
        let node = &mut recorded.node;
        let output = match random.below(8) {
            0 | 1 => NodeOutput::Published(node.publish(at, record(&mut random))),
            2 | 3 => {
                let request = node.poll_request(at);
                under_way.extend(request.clone());
                NodeOutput::Request(request)
            }
            4 => match node.poll_effect() {
                Some(effect) => NodeOutput::Effect(Some(effect)),
                None => continue,
            },
            5 => {
                node.handle_timeout(at);
                NodeOutput::Done
            }
            6 if random.below(50) == 0 => {
                node.shut_down(at);
                NodeOutput::Done
            }
            _ => {
                if under_way.is_empty() {
                    continue;
                }
                let (id, request) = under_way.remove(random.below(under_way.len()));
                let answer = match request {
                    _ if random.below(8) == 0 => {
                        let error = sansse::cluster::LogError::from(LogErrorKind::Full);
                        Err(error.with_detail("OOM \"now\""))
                    }
                    LogRequest::Hello(_) => Ok(LogAnswer::Hello(Head { start: 0, position })),
                    LogRequest::Head => Ok(LogAnswer::Head(Head { start: 0, position })),
                    LogRequest::Append(append) => {
                        let last = position + u64::from(append.count);
                        Ok(LogAnswer::Appended(Appended { last, count: append.count }))
                    }
                    LogRequest::Read(read) => {
                        let mut batch = Batch::new(NodeId(9));
                        batch.push(&record(&mut random)).unwrap();
                        position = position.max(read.after + 1);
                        let content = match random.below(4) {
                            0 => Content::Cut,
                            1 => Content::Batch(b"\xff\0 nonsense"[..].into()),
                            _ => Content::Batch(batch.payload()),
                        };
                        let (after, age) = (read.after, Duration::from_millis(7));
                        let entry = Entry { after, position: read.after + 1, age, content };
                        Ok(LogAnswer::Page(Page { entries: vec![entry] }))
                    }
                    other => panic!("{other:?}"),
                };
                node.handle_answer(at, id, answer);
                NodeOutput::Done
            }
        };
        recorded.outputs.push(output);
    }
    recorded
}

#[test]
fn what_was_done_to_a_node_and_is_done_again_gives_the_same() {
    let first = seed(1);
    let mut all = String::new();
    for seed in first..first + HISTORIES {
        let recorded = random(seed);
        let text = recorded.text();
        let mut replay = NodeRecord::parse(text.as_bytes()).unwrap().replay(start()).unwrap();
        for (at, output) in recorded.outputs.iter().enumerate() {
            let step = replay.next().unwrap().unwrap();
            assert_eq!(step.output, *output, "seed {seed}, line {}: {}", step.line, step.input);
            assert_eq!(step.line, at + 2);
        }
        assert!(replay.next().is_none());
        let node = replay.into_node();
        assert_eq!(format!("{node:?}"), format!("{:?}", *recorded.node), "seed {seed}");
        all.push_str(&text);
        writeln!(all, "{:?}", recorded.outputs).unwrap();
    }
    for what in [
        "publish",
        "handle_answer",
        "handle_timeout",
        "shut_down",
        "poll_request",
        "poll_effect",
        "Err(Busy)",
        "Err(EngineDown)",
        "Err(UnusableId",
        "Ok(Ticket",
        "Settled",
        "GiveUp",
        "RevokeTopic",
        "Cut {",
        "Stale",
    ] {
        assert!(all.contains(what), "{what} never came");
    }
}

#[test]
fn a_record_of_a_node_that_is_cut_or_lacks_a_line_is_done_up_to_there() {
    let recorded = random(3);
    let text = recorded.text();
    let lines: Vec<&str> = text.lines().collect();
    let until_error = |text: &str| {
        let mut replay = NodeRecord::parse(text.as_bytes()).unwrap().replay(start()).unwrap();
        let done = replay.by_ref().take_while(Result::is_ok).count();
        assert!(replay.next().is_none(), "nothing follows an error");
        done
    };
    assert_eq!(until_error(&text), recorded.outputs.len());
    assert_eq!(until_error(&text[..text.len() - 2]), recorded.outputs.len() - 1);
    let mut lacking = lines.clone();
    lacking.remove(5);
    assert_eq!(until_error(&lacking.join("\n")), 4);
}

#[test]
fn what_no_recorder_of_nodes_wrote_is_refused() {
    let other = format!("{{\"sansse_node_record\":{},\"more\":[]}}", VERSION + 1);
    let error = NodeRecord::parse(other.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), &RecordErrorKind::Version { found: VERSION + 1 });
    assert_eq!(NodeRecord::parse(b"").unwrap_err().kind(), &RecordErrorKind::Empty);
    let (of_broker, _) = super::small();
    let error = NodeRecord::parse(of_broker.as_bytes()).unwrap_err();
    assert!(matches!(error.kind(), RecordErrorKind::Malformed { .. }), "{error}");
    assert_eq!(error.fault(), Fault::Peer);

    let text = random(3).text();
    let (head, _) = text.split_once('\n').unwrap();
    let first = |call: &str| {
        let text = format!("{head}\n{{\"number\":1,\"at\":0,\"call\":{call}}}\n");
        let mut replay = NodeRecord::parse(text.as_bytes()).unwrap().replay(start()).unwrap();
        replay.next().unwrap().map_err(|error| error.kind().clone())
    };
    let page = |batch: &str| {
        let entry = r#"{"after":0,"position":1,"age":{"secs":0,"nanos":0},"content":{"Batch":"#;
        let answer = format!(r#"{{"Ok":{{"Page":{{"entries":[{entry}"{batch}"}}}}]}}}}}}"#);
        format!(r#"{{"handle_answer":{{"request":1,"answer":{answer}}}}}"#)
    };
    let end_of = |audience: &str| {
        format!(r#"{{"publish":{{"record":{{"Publish":{{"audience":{audience}}}}}}}}}"#)
    };
    for call in [page("0f"), page(""), end_of(r#"{"Topic":"news"}"#)] {
        assert!(first(&call).is_ok(), "{call}: {:?}", first(&call));
    }
    let nothing = r#""poll_nothing""#.to_owned();
    for call in [nothing, page("0g"), page("012"), page("é"), end_of(r#""Everyone""#)] {
        let error = first(&call).unwrap_err();
        assert!(matches!(error, RecordErrorKind::Malformed { .. }), "{call}: {error:?}");
    }
}

#[test]
fn a_record_of_a_node_ends_when_it_is_stopped() {
    let mut recorded = Recorded::new(NodeConfig::new(NodeId(1), 1), sequencer());
    assert!(recorded.node.is_recording());
    recorded.node.poll_request(start());
    recorded.node.stop_recording();
    recorded.node.handle_timeout(start());
    assert_eq!(recorded.text().lines().count(), 2);
    assert!(!recorded.node.is_recording());
    let node = sansse::cluster::Node::new(start(), NodeConfig::new(NodeId(1), 1), sequencer());
    let mut without = RecordedNode::from(node);
    without.poll_request(start());
    without.handle_timeout(start());
    assert_eq!(format!("{:?}", *without), format!("{:?}", *recorded.node));
}

#[cfg(feature = "signed")]
#[test]
fn keys_of_a_node_are_in_no_record_and_have_to_be_given() {
    use sansse::broker::CursorKeys;

    let keys = |byte: u8| CursorKeys::new(&[byte; 32]).unwrap();
    let mut signing = sequencer();
    signing.set_cursor_keys(keys(0x5a));
    let mut recorded = Recorded::new(NodeConfig::new(NodeId(1), 1), signing);
    recorded.node.set_cursor_keys(keys(0xa5));
    let text = recorded.text();
    for secret in ["90,90,90", "165,165", "ZZZ", "5a5a"] {
        assert!(!text.contains(secret), "{text}");
    }
    let error = NodeRecord::parse(text.as_bytes()).unwrap().replay(start()).unwrap_err();
    assert_eq!((error.line(), error.kind()), (1, &RecordErrorKind::NoKeys));
    let mut record = NodeRecord::parse(text.as_bytes()).unwrap();
    record.sequencer.set_cursor_keys(keys(0x5a));
    let mut lacking = record.clone().replay(start()).unwrap();
    assert_eq!(lacking.next().unwrap().unwrap_err().kind(), &RecordErrorKind::NoKeys);
    record.later_keys = vec![keys(0xa5)];
    assert_eq!(record.replay(start()).unwrap().flatten().count(), 1);
}
