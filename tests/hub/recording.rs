//! Records of a hub's shards.

use super::*;
use sansse::Timer;
use sansse::broker::{Batch, BrokerEvent, Counters, EventNumber, Framing, StartAt};
use sansse::record::{Output, Record};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Instant;

type Records = Arc<Mutex<BTreeMap<u16, String>>>;
type Events = Arc<Mutex<Vec<(EventNumber, BrokerEvent)>>>;

fn recorded(shards: u16) -> (Hub, VirtualTimer, Records, Events) {
    let (records, events) = (Records::default(), Events::default());
    let (sink, listener) = (records.clone(), events.clone());
    let timer = VirtualTimer::new();
    let hub = sharded(config(), shards)
        .record(move |shard, entry| {
            writeln!(sink.lock().unwrap().entry(shard).or_default(), "{entry}").unwrap();
        })
        .on_event(move |number, event| listener.lock().unwrap().push((number, event)))
        .build_still(timer.clone());
    (hub, timer, records, events)
}

/// What comes out of each shard when its record is done again, and what the shards counted.
fn replay(records: &Records, start: Instant) -> (BTreeMap<u16, Vec<Output>>, Vec<Counters>) {
    let (mut outputs, mut counters) = (BTreeMap::new(), Vec::new());
    for (shard, text) in &*records.lock().unwrap() {
        let mut replay = Record::parse(text.as_bytes()).unwrap().replay(start).unwrap();
        let of_shard = replay.by_ref().map(|step| step.unwrap().output).collect();
        outputs.insert(*shard, of_shard);
        counters.push(replay.broker().counters());
    }
    (outputs, counters)
}

fn events_of(outputs: &BTreeMap<u16, Vec<Output>>) -> Vec<(EventNumber, BrokerEvent)> {
    let outputs = outputs.values().flatten();
    let events = outputs.filter_map(|output| match output {
        Output::Event(event) => event.clone(),
        _ => None,
    });
    events.collect()
}

fn sorted(mut events: Vec<(EventNumber, BrokerEvent)>) -> Vec<(EventNumber, BrokerEvent)> {
    events.sort_by_key(|(number, _)| (number.shard(), number.get()));
    events
}

#[test]
fn each_shards_record_gives_the_frames_and_events_that_it_gave() {
    let (hub, timer, records, events) = recorded(3);
    let start = timer.now();
    let mut random = Random(7);
    let probe = Probe::new();
    let mut sessions = Vec::new();
    let mut sent: BTreeMap<u16, Vec<Frame>> = BTreeMap::new();
    let mut batch = Batch::new(Framing::Plain);
    let mut written: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    for round in 0..400 {
        match random.below(10) {
            0 if sessions.len() < 12 => {
                let request = request_of(&format!("client {}", random.below(8)));
                sessions.push(hub.open(request.with_topic(topic("news"))).unwrap());
            }
            1 if sessions.len() > 6 => drop(sessions.swap_remove(random.below(sessions.len()))),
            2 => drop(hub.publish(client(format!("client {}", random.below(8))), &Event::new("y"))),
            3 => drop(hub.publish(topic("news"), &Event::new(format!("news {round}")))),
            4 => say(&hub, format!("round {round}")),
            5 => timer.advance(Duration::from_millis(900)),
            6 => {
                for session in &mut sessions {
                    let shard = session.id().shard();
                    sent.entry(shard).or_default().extend(drain(session, &probe));
                }
            }
            _ if sessions.is_empty() => {}
            7 => {
                let number = random.below(sessions.len());
                let session = &mut sessions[number];
                let shard = session.id().shard();
                let waker = probe.waker();
                let mut context = std::task::Context::from_waker(&waker);
                if session.poll_batch(&mut context, 100, &mut batch).is_ready() {
                    let half = batch.len() / 2;
                    let bytes = written.entry(shard).or_default();
                    bytes.extend_from_slice(&batch.as_slice()[..half]);
                    bytes.extend_from_slice(&session.handle_partial_write(&batch, half));
                }
            }
            _ => {
                let session = &sessions[random.below(sessions.len())];
                let filter = topic(["uk", "news"][random.below(2)]);
                if random.below(2) == 0 {
                    session.subscribe(filter, StartAt::Oldest).unwrap();
                } else {
                    session.unsubscribe(&filter.into());
                }
            }
        }
    }
    drop(sessions);
    hub.close();

    let (outputs, counters) = replay(&records, start);
    assert_eq!(outputs.len(), 3);
    for (shard, outputs) in &outputs {
        let frames: Vec<Frame> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Frame(frame) => Some(frame.clone()),
                _ => None,
            })
            .collect();
        assert!(frames.len() > 20, "{}", frames.len());
        assert_eq!(sent[shard], frames);
        // What was written of a batch, and the rest of its last frame.
        let mut bytes = Vec::new();
        for pair in outputs.windows(2) {
            if let [Output::Batch { bytes: batch, .. }, Output::Remainder(rest)] = pair {
                bytes.extend_from_slice(&batch[..batch.len() / 2]);
                bytes.extend_from_slice(rest);
            }
        }
        assert_eq!(written[shard], bytes);
    }
    let events = sorted(events.lock().unwrap().clone());
    assert!(events.len() > 60);
    assert_eq!(events_of(&outputs), events);
    let mut sum = Counters::default();
    for of_shard in &counters {
        sum += of_shard;
    }
    (sum.published, sum.published_bytes) = (counters[0].published, counters[0].published_bytes);
    assert_eq!(format!("{sum:?}"), format!("{:?}", hub.counters()));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "threads that race are what this is about")]
fn what_threads_do_at_once_is_recorded_in_the_order_in_which_it_was_done() {
    let (hub, timer, records, events) = recorded(2);
    let start = timer.now();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let hub = hub.clone();
            std::thread::spawn(move || {
                let probe = Probe::new();
                for round in 0..100 {
                    let request = request_of(&format!("client {}", (thread + round) % 5));
                    let mut session = hub.open(request).unwrap();
                    say(&hub, format!("{thread} {round}"));
                    drain(&mut session, &probe);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let (outputs, counters) = replay(&records, start);
    assert_eq!(events_of(&outputs), sorted(events.lock().unwrap().clone()));
    let delivered: u64 = counters.iter().map(|counters| counters.delivered).sum();
    assert_eq!(delivered, hub.counters().delivered);
    assert!(delivered >= 400, "{delivered}");
}
