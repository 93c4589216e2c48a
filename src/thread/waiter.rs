//! The thread, and what wakes it besides the descriptor.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};

use crate::sys::{Bell, Errno, PollFd, flags, poll};

/// poll(2) passes over a negative descriptor.
const NOBODY: RawFd = -1;

/// As ps(1) and a debugger name the thread: at most 15 bytes.
const NAME: &str = "m-socket";

struct Shared {
    bell: Bell,
    stopped: AtomicBool,
}

/// What arms a waiter that has told; none of them keeps its descriptor open.
pub(crate) struct Trigger(Weak<Shared>);

impl Trigger {
    /// Of no effect once the waiter has gone.
    pub(crate) fn arm(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.bell.ring();
        }
    }
}

/// A waiter whose thread has not been started.
pub(crate) struct Sleeper(Arc<Shared>);

impl Sleeper {
    /// # Errors
    /// EMFILE and the like of `eventfd(2)`.
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self(Arc::new(Shared { bell: Bell::new()?, stopped: AtomicBool::new(false) })))
    }

    pub(crate) fn trigger(&self) -> Trigger {
        Trigger(Arc::downgrade(&self.0))
    }

    /// Starts the thread, armed: `tell` runs on it, once for each time that it was armed.
    /// The descriptor has to stay open as long as the waiter lives.
    ///
    /// # Errors
    /// EAGAIN when there can be no more threads.
    pub(crate) fn start(
        self,
        fd: RawFd,
        tell: impl Fn() + Send + 'static,
    ) -> Result<Waiter, Errno> {
        let shared = Arc::clone(&self.0);
        let started = Builder::new().name(NAME.to_owned()).spawn(move || run(fd, &shared, &tell));
        match started {
            Ok(thread) => Ok(Waiter { shared: self.0, thread: Some(thread) }),
            Err(_) => Err(Errno::AGAIN),
        }
    }
}

/// A thread that tells when a descriptor is readable; dropping it ends and joins it.
pub(crate) struct Waiter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(fd: RawFd, shared: &Shared, tell: &dyn Fn()) {
    let mut armed = true;
    loop {
        let watched = if armed { fd } else { NOBODY };
        let [mut rung, mut ready] =
            [shared.bell.fd(), watched].map(|fd| PollFd::new(fd, flags::IN));
        let mut asked = [rung, ready];
        // EINTR answers nothing, and the question is put anew.
        if poll(&mut asked, -1).is_ok() {
            [rung, ready] = asked;
        }
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        if rung.flags() != 0 {
            shared.bell.hush();
            armed = true;
        } else if ready.flags() != 0 {
            armed = false;
            tell();
        }
    }
}
