//! An application whose code panics: a listener, the wakers of some tasks, and at last the task of
//! the driver. The other tasks have done nothing.

use crate::report::{Broken, Report, Size, promise};
use sansse::broker::{
    Audience, Batch, BrokerConfig, Drain, Epoch, Filled, Framing, PublishError, SessionConfig,
};
use sansse::hub::{Drive, Health, HubBuilder, Session};
use sansse::{Event, Hub, Timer};
use std::future::Future;
use std::num::NonZeroU16;
use std::panic::{self, panic_any};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

const EVENTS: u64 = 100;

/// Makes the attack, and says nothing of the panics that it makes itself.
pub(crate) fn run(size: Size, report: &mut Report) -> Result<(), Broken> {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !panic.payload().is::<OnPurpose>() {
            usual(panic);
        }
    }));
    let held = attack(size, report);
    // Removes the hook, so that the usual one is back.
    drop(panic::take_hook());
    held
}

/// A panic of this attack's.
struct OnPurpose;

fn attack(size: Size, report: &mut Report) -> Result<(), Broken> {
    let sessions = size.pick(200, 2_000);
    let mut world = World::new(sessions)?;
    report.figure("sessions, and of them with wakers that panic", &world);
    published(&mut world, report)?;
    drained(world, report)?;
    without_driver(World::new(sessions)?, report)
}

/// Publishes, and looks who is woken, and for what.
fn published(world: &mut World, report: &mut Report) -> Result<(), Broken> {
    let started = Instant::now();
    let (mut unwoken, mut had) = (0, 0_u64);
    for number in 0..EVENTS {
        world.hub.publish(Audience::Everyone, &Event::new(format!("number {number}")))?;
        for task in &mut world.tasks {
            unwoken += u64::from(!task.panics() && !task.is_woken());
            let events = task.read();
            had += if task.panics() { 0 } else { events };
        }
    }
    let elapsed = started.elapsed();
    let panics = world.hub.counters().panics;
    let (calls, healthy) = (world.calls.load(Ordering::Relaxed), world.healthy());
    let expected = healthy * EVENTS;
    report.figure(
        "calls of the listener, panics of them",
        format_args!("{calls}, {}", panics.listener),
    );
    report.figure("panics of wakers", panics.wakers);
    report.figure("times that a healthy task was left unwoken", unwoken);
    report.figure("events that healthy tasks had, of", format_args!("{had}, {expected}"));
    report.figure("time, all together", format_args!("{elapsed:?}"));
    let sick = world.tasks.len() as u64 - healthy;
    promise(panics.listener == calls / 3, || format!("{} of {calls} calls", panics.listener))?;
    promise(panics.wakers == sick * EVENTS, || format!("{} panics are counted", panics.wakers))?;
    promise(unwoken == 0, || format!("{unwoken} wakes are lost"))?;
    promise(had == expected, || format!("{had} events came"))
}

/// Drains the hub while the listener panics over the ends.
fn drained(mut world: World, report: &mut Report) -> Result<(), Broken> {
    world.hub.drain(Drain::new(Duration::from_secs(10)))?;
    let mut steps = 0;
    while !world.driver_is_over() {
        steps += 1;
        promise(steps < 200, || format!("{} sessions are left", world.tasks.len()))?;
        world.clock.advance(100);
        world.tasks.retain_mut(|task| {
            task.read();
            task.session.end_reason().is_none()
        });
    }
    report.figure(
        "a drain over 10 s ended after",
        format_args!("{:?}", Duration::from_millis(100) * steps),
    );
    let (counters, calls) = (world.hub.counters(), world.calls.load(Ordering::Relaxed));
    report.figure("panics of the listener by then", counters.panics.listener);
    promise(counters.sessions == 0, || format!("{} sessions are open", counters.sessions))?;
    promise(counters.panics.listener == calls / 3, || format!("{calls} calls of the listener"))
}

/// Drops the driver, as an executor does with a task that panicked.
fn without_driver(mut world: World, report: &mut Report) -> Result<(), Broken> {
    world.hub.publish(Audience::Everyone, &Event::new("number 0"))?;
    world.drive = None;
    let (health, lost) = (world.hub.health(), world.hub.counters().lost_drivers);
    let refused = world.hub.publish(Audience::Everyone, &Event::new("number 1"));
    let said = refused.as_ref().map_or_else(ToString::to_string, |_| "published".to_owned());
    report.figure("without a driver: health, drivers lost", format_args!("{health}, {lost}"));
    report.figure("without a driver: publish says", said);
    let (mut ended, mut had) = (0_u64, 0);
    for task in &mut world.tasks {
        had += task.read();
        ended += u64::from(task.session.end_reason().is_some());
    }
    let all = world.tasks.len() as u64;
    report.figure("sessions that have their event, and their end", format_args!("{had}, {ended}"));
    promise(health == Health::NotDriven && lost == 1, || health.to_string())?;
    promise(refused == Err(PublishError::NotDriven), || format!("{refused:?}"))?;
    promise((had, ended) == (all, all), || format!("of {all}: {had} events, {ended} ends"))
}

/// A hub, and the tasks that read from it.
struct World {
    clock: Clock,
    hub: Hub,
    drive: Option<Pin<Box<Drive>>>,
    calls: Arc<AtomicU64>,
    tasks: Vec<Task>,
}

impl World {
    fn new(sessions: usize) -> Result<Self, Broken> {
        let clock = Clock { start: Instant::now(), milliseconds: Arc::default() };
        let calls = Arc::new(AtomicU64::new(0));
        let counted = calls.clone();
        let config = BrokerConfig::new(Epoch(1));
        let (hub, drive) = HubBuilder::new(config)
            .with_shards(NonZeroU16::new(4).ok_or_else(|| Broken::new("no shards"))?)
            .on_event(move |_, _| {
                if counted.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
                    panic_any(OnPurpose);
                }
            })
            .build(clock.clone())?;
        let tasks = (0..sessions)
            .map(|number| Task::new(&hub, number % 10 == 0))
            .collect::<Result<_, _>>()?;
        let mut world = Self { clock, hub, drive: Some(Box::pin(drive)), calls, tasks };
        promise(!world.driver_is_over(), || "the driver is over at once".to_owned())?;
        Ok(world)
    }

    fn healthy(&self) -> u64 {
        self.tasks.iter().filter(|task| !task.panics()).count() as u64
    }

    fn driver_is_over(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.drive.as_mut().is_none_or(|drive| drive.as_mut().poll(&mut context).is_ready())
    }
}

impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.tasks.len() as u64;
        write!(f, "{all}, {}", all - self.healthy())
    }
}

/// A session and the task that reads it, polled by hand.
struct Task {
    session: Session,
    wakes: Arc<Wakes>,
    waker: Waker,
    batch: Batch,
}

struct Wakes {
    panics: bool,
    is_woken: AtomicBool,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        if self.panics {
            panic_any(OnPurpose);
        }
        self.is_woken.store(true, Ordering::Relaxed);
    }
}

impl Task {
    /// A task that has learned its place, and waits.
    fn new(hub: &Hub, panics: bool) -> Result<Self, Broken> {
        let session = hub.open(SessionConfig::new())?;
        let wakes = Arc::new(Wakes { panics, is_woken: AtomicBool::new(false) });
        let waker = wakes.clone().into();
        let mut task = Self { session, wakes, waker, batch: Batch::new(Framing::Plain) };
        task.read();
        Ok(task)
    }

    fn panics(&self) -> bool {
        self.wakes.panics
    }

    fn is_woken(&self) -> bool {
        self.wakes.is_woken.swap(false, Ordering::Relaxed)
    }

    /// Reads until it waits or has ended. Returns how many events that was.
    fn read(&mut self) -> u64 {
        let mut context = Context::from_waker(&self.waker);
        let mut events = 0;
        loop {
            self.batch.reset(Framing::Plain);
            let poll = self.session.poll_batch(&mut context, 64 << 10, &mut self.batch);
            let lines = self.batch.as_slice().split(|&byte| byte == b'\n');
            events += lines.filter(|line| line.starts_with(b"data: number ")).count() as u64;
            if !matches!(poll, Poll::Ready(Ok(Filled::More | Filled::All))) {
                return events;
            }
        }
    }
}

/// A clock that moves when it is told to. Who sleeps is polled by hand.
#[derive(Clone)]
struct Clock {
    start: Instant,
    milliseconds: Arc<AtomicU64>,
}

impl Clock {
    fn advance(&self, milliseconds: u64) {
        self.milliseconds.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

impl Timer for Clock {
    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.milliseconds.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = self.clone();
        Box::pin(std::future::poll_fn(move |_| {
            if clock.now() < deadline { Poll::Pending } else { Poll::Ready(()) }
        }))
    }
}
