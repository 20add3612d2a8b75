//! A recorder of `metrics` that keeps the newest value of each.

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString,
    Unit,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The values by name and labels, such as `sansse_sessions_ended reason=stalled`. A name without
/// labels ends with a space.
pub(crate) type Values = BTreeMap<String, f64>;

#[derive(Default)]
pub(crate) struct Map(Arc<Mutex<Values>>);

struct One(Arc<Mutex<Values>>, String);

impl Map {
    pub(crate) fn values(&self) -> Values {
        self.0.lock().unwrap().clone()
    }

    fn one(&self, key: &Key) -> Arc<One> {
        let labels = key.labels().map(|label| format!("{}={}", label.key(), label.value()));
        let labels: Vec<_> = labels.collect();
        Arc::new(One(self.0.clone(), format!("{} {}", key.name(), labels.join(","))))
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
impl CounterFn for One {
    fn increment(&self, _: u64) {
        panic!("it is set to what it is");
    }
    fn absolute(&self, value: u64) {
        self.0.lock().unwrap().insert(self.1.clone(), value as f64);
    }
}

impl GaugeFn for One {
    fn increment(&self, _: f64) {
        panic!("it is set to what it is");
    }
    fn decrement(&self, _: f64) {
        panic!("it is set to what it is");
    }
    fn set(&self, value: f64) {
        self.0.lock().unwrap().insert(self.1.clone(), value);
    }
}

impl Recorder for Map {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.one(key))
    }
    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.one(key))
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
