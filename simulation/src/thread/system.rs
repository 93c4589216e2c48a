//! The threads of loom, and a kernel that knows eventfd(2) and poll(2).

use std::mem::take;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use loom::lazy_static;
use loom::sync::{Condvar, Mutex, MutexGuard};
pub(super) use loom::thread::{Builder, JoinHandle};

pub(super) use crate::kernel::{Errno, flags};

lazy_static! {
    static ref KERNEL: Kernel = Kernel::default();
}

#[derive(Default)]
struct Kernel {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By descriptor; `None` is closed.
    counters: Vec<Option<Counter>>,
    /// How many threads are in poll(2).
    asleep: usize,
    /// How many of these are to return EINTR.
    interrupted: usize,
}

#[derive(Default)]
struct Counter {
    value: u64,
    shown: Shown,
}

/// How often poll(2) has shown a descriptor as readable. To count is no step of a program, so that loom does not know.
pub(super) type Shown = Arc<AtomicUsize>;

impl Kernel {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the lock")
    }

    /// Changes the state, and has poll(2) look at it.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        self.changed.notify_all();
        change(&mut state);
    }
}

impl State {
    fn counter(&mut self, fd: RawFd) -> &mut Counter {
        let slot = usize::try_from(fd).ok().and_then(|index| self.counters.get_mut(index));
        slot.and_then(Option::as_mut).expect("a descriptor that is used is open")
    }

    /// Fills in what poll(2) returns; whether it does return.
    fn look(&mut self, requests: &mut [PollFd]) -> bool {
        for request in requests.iter_mut().filter(|request| request.fd >= 0) {
            let counter = self.counter(request.fd);
            request.readable = counter.value != 0;
            counter.shown.fetch_add(usize::from(request.readable), Relaxed);
        }
        requests.iter().any(|request| request.readable)
    }
}

/// A descriptor of eventfd(2).
pub(super) struct EventFd(RawFd);

impl EventFd {
    #[allow(clippy::unnecessary_wraps, reason = "as in src/sys")]
    pub(super) fn new() -> Result<Self, Errno> {
        let mut state = KERNEL.lock();
        let fd = RawFd::try_from(state.counters.len()).expect("descriptors are few");
        state.counters.push(Some(Counter::default()));
        Ok(Self(fd))
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0
    }

    pub(super) fn signal(&self, value: u64) {
        KERNEL.change(|state| state.counter(self.0).value += value);
    }

    pub(super) fn take(&self) -> u64 {
        take(&mut KERNEL.lock().counter(self.0).value)
    }

    pub(super) fn shown(&self) -> Shown {
        Arc::clone(&KERNEL.lock().counter(self.0).shown)
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // After a failed check there is no kernel left to wake.
        if !std::thread::panicking() {
            let index = usize::try_from(self.0).expect("it is not negative");
            KERNEL.change(|state| state.counters[index] = None);
        }
    }
}

/// `struct pollfd`.
pub(super) struct PollFd {
    fd: RawFd,
    readable: bool,
}

impl PollFd {
    pub(super) fn new(fd: RawFd, requested: u32) -> Self {
        assert_eq!(requested, flags::IN, "the model knows no other flag");
        Self { fd, readable: false }
    }

    pub(super) fn flags(self) -> u32 {
        if self.readable { flags::IN } else { 0 }
    }
}

/// Sleeps until a descriptor is readable, or returns EINTR when a signal comes first.
pub(super) fn poll(requests: &mut [PollFd], timeout: i32) -> Result<(), Errno> {
    assert_eq!(timeout, -1, "the model knows no clock");
    let mut state = KERNEL.lock();
    state.asleep += 1;
    let mut is_shown = state.look(requests);
    while !is_shown && state.interrupted == 0 {
        state = KERNEL.changed.wait(state).expect("no thread panics while it holds the lock");
        is_shown = state.look(requests);
    }
    state.asleep -= 1;
    if !is_shown {
        state.interrupted -= 1;
        return Err(Errno::INTR);
    }
    state.interrupted = state.interrupted.min(state.asleep);
    Ok(())
}

/// A signal whose handler runs in each thread that is in poll(2).
pub(super) fn interrupt() {
    KERNEL.change(|state| state.interrupted = state.asleep);
}

/// How many descriptors are open.
pub(super) fn open_descriptors() -> usize {
    KERNEL.lock().counters.iter().flatten().count()
}
