//! What the checks are made of: a watched descriptor, and the queue of a threadsafe function.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::model::Builder;
use loom::sync::{Condvar, Mutex, MutexGuard};

use super::poll_thread::{PollThread, PollThreadBuilder, Resumer};
use super::system::{EventFd, Shown, open_descriptors};

/// The reports of the thread, until JavaScript takes them.
#[derive(Default)]
struct Reports {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    made: usize,
    taken: usize,
    are_over: bool,
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no thread panics while it holds the lock")
    }

    /// Runs on the thread.
    fn make(&self, shown: &Shown) {
        let mut counts = self.lock();
        counts.made += 1;
        let (made, shown) = (counts.made, shown.load(Ordering::Relaxed));
        let is_after_the_drop = counts.are_over;
        self.changed.notify_all();
        drop(counts);
        assert!(!is_after_the_drop, "a report after the drop");
        assert!(made <= shown, "a report of what poll(2) has not shown");
    }
}

/// A thread and the descriptor that it polls.
pub(super) struct Watch {
    pub(super) target: Arc<EventFd>,
    pub(super) resumer: Arc<Resumer>,
    reports: Arc<Reports>,
    /// A check that fails unwinds where no thread of loom can be joined.
    thread: ManuallyDrop<PollThread>,
}

impl Watch {
    /// Watches a descriptor that is readable, or not yet.
    pub(super) fn start(readable: bool) -> Self {
        let target = Arc::new(EventFd::new().expect("the model refuses none"));
        if readable {
            target.signal(1);
        }
        let reports = Arc::new(Reports::default());
        let builder = PollThreadBuilder::new().expect("the model refuses none");
        let resumer = Arc::new(builder.resumer());
        let (shown, made) = (target.shown(), Arc::clone(&reports));
        let thread = builder.start(target.fd(), move || made.make(&shown));
        let thread = ManuallyDrop::new(thread.expect("the model refuses none"));
        Self { target, resumer, reports, thread }
    }

    /// Waits for a report, and takes it.
    pub(super) fn take_report(&self) {
        let mut counts = self.reports.lock();
        while counts.made == counts.taken {
            let changed = &self.reports.changed;
            counts = changed.wait(counts).expect("no thread panics while it holds the lock");
        }
        counts.taken += 1;
    }

    /// How many reports wait to be taken.
    pub(super) fn waiting_reports(&self) -> usize {
        let counts = self.reports.lock();
        counts.made - counts.taken
    }

    /// Drops the thread, and closes the descriptor. At most `most` reports were made, and no more are. Returns what is
    /// left, as the runtime keeps it until it frees a threadsafe function.
    pub(super) fn end(self, most: usize) -> Arc<Resumer> {
        let Self { target, resumer, reports, thread } = self;
        drop(ManuallyDrop::into_inner(thread));
        let mut counts = reports.lock();
        counts.are_over = true;
        let made = counts.made;
        drop(counts);
        drop(target);
        assert!(made <= most, "{made} reports");
        resumer.resume();
        resumer
    }
}

/// Plays a program in all orders with at most `preemptions` preemptions of a thread: `LOOM_MAX_PREEMPTIONS` takes their
/// place. Returns how many orders these are.
pub(super) fn explore(
    preemptions: Option<usize>,
    program: impl Fn() -> Arc<Resumer> + Send + Sync + 'static,
) -> usize {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let resumer = program();
        assert_eq!(open_descriptors(), 0, "a descriptor is left open");
        drop(resumer);
    });
    orders.load(Ordering::Relaxed)
}
