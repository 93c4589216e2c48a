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
        let was_rung = rung.flags() != 0;
        // Before the look at `stopped`: a read of an eventfd takes all rings, also the one that came last.
        if was_rung {
            shared.bell.hush();
        }
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        if was_rung {
            armed = true;
        } else if ready.flags() != 0 {
            armed = false;
            tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::Sleeper;
    use crate::sys::{Bell, Errno};

    /// More than it takes, even under valgrind.
    const PATIENCE: Duration = Duration::from_secs(100);

    /// Starts a waiter, has it tell, arms it, and drops it so much later.
    fn arm_and_drop(spins: usize) -> Result<(), Errno> {
        let target = Bell::new()?;
        target.ring();
        let sleeper = Sleeper::new()?;
        let trigger = sleeper.trigger();
        let (tell, told) = mpsc::channel();
        let waiter = sleeper.start(target.fd(), move || assert_eq!(tell.send(()), Ok(())))?;
        assert_eq!(told.recv_timeout(PATIENCE), Ok(()));
        target.hush();
        trigger.arm();
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        drop(waiter);
        Ok(())
    }

    #[test]
    fn a_waiter_that_is_dropped_while_it_is_being_armed_ends() {
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || end.send((0..2000).try_for_each(arm_and_drop)));
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(Ok(())));
    }
}
