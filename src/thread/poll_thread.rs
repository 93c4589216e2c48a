//! The thread, and what wakes it besides the descriptor.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};

use crate::sys::{Errno, EventFd, PollFd, flags, poll};

/// poll(2) passes over a negative descriptor.
const NONE: RawFd = -1;

/// As ps(1) and a debugger name the thread: at most 15 bytes.
const NAME: &str = "m-socket";

struct Shared {
    event_fd: EventFd,
    stopped: AtomicBool,
}

/// What resumes a thread that has reported; none of them keeps its descriptor open.
pub(crate) struct Resumer(Weak<Shared>);

impl Resumer {
    /// Of no effect once the waiter has gone.
    pub(crate) fn resume(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.event_fd.signal();
        }
    }
}

/// A waiter whose thread has not been started.
pub(crate) struct PollThreadBuilder(Arc<Shared>);

impl PollThreadBuilder {
    /// # Errors
    /// EMFILE and the like of `eventfd(2)`.
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self(Arc::new(Shared { event_fd: EventFd::new()?, stopped: AtomicBool::new(false) })))
    }

    pub(crate) fn resumer(&self) -> Resumer {
        Resumer(Arc::downgrade(&self.0))
    }

    /// Starts the thread: `on_ready` runs on it once, and once again for each time that it is resumed.
    /// The descriptor has to stay open as long as the waiter lives.
    ///
    /// # Errors
    /// EAGAIN when there can be no more threads.
    pub(crate) fn start(
        self,
        fd: RawFd,
        on_ready: impl Fn() + Send + 'static,
    ) -> Result<PollThread, Errno> {
        let shared = Arc::clone(&self.0);
        let started =
            Builder::new().name(NAME.to_owned()).spawn(move || run(fd, &shared, &on_ready));
        match started {
            Ok(thread) => Ok(PollThread { shared: self.0, thread: Some(thread) }),
            Err(_) => Err(Errno::AGAIN),
        }
    }
}

/// A thread that tells when a descriptor is readable; dropping it ends and joins it.
pub(crate) struct PollThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for PollThread {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.event_fd.signal();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(fd: RawFd, shared: &Shared, on_ready: &dyn Fn()) {
    let mut active = true;
    loop {
        let polled = if active { fd } else { NONE };
        let [mut signalled, mut ready] =
            [shared.event_fd.fd(), polled].map(|fd| PollFd::new(fd, flags::IN));
        let mut asked = [signalled, ready];
        // EINTR answers nothing, and the question is put anew.
        if poll(&mut asked, -1).is_ok() {
            [signalled, ready] = asked;
        }
        let was_signalled = signalled.flags() != 0;
        // Before the look at `stopped`: a read of an eventfd takes all rings, also the one that came last.
        if was_signalled {
            shared.event_fd.clear();
        }
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        if was_signalled {
            active = true;
        } else if ready.flags() != 0 {
            active = false;
            on_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::PollThreadBuilder;
    use crate::sys::{Errno, EventFd};

    /// More than it takes, even under valgrind.
    const PATIENCE: Duration = Duration::from_secs(100);

    /// Starts a thread, has it report, resumes it, and drops it so much later.
    fn resume_and_drop(spins: usize) -> Result<(), Errno> {
        let target = EventFd::new()?;
        target.signal();
        let builder = PollThreadBuilder::new()?;
        let resumer = builder.resumer();
        let (sender, received) = mpsc::channel();
        let thread = builder.start(target.fd(), move || assert_eq!(sender.send(()), Ok(())))?;
        assert_eq!(received.recv_timeout(PATIENCE), Ok(()));
        target.clear();
        resumer.resume();
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        drop(thread);
        Ok(())
    }

    #[test]
    fn a_waiter_that_is_dropped_while_it_is_being_armed_ends() {
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || end.send((0..2000).try_for_each(resume_and_drop)));
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(Ok(())));
    }
}
