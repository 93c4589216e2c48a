//! The thread, and the eventfd that wakes it.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};

use crate::sys::{Errno, EventFd, PollFd, flags, poll};

/// poll(2) ignores a negative descriptor.
const NO_DESCRIPTOR: RawFd = -1;

/// The name of the thread, as ps(1) shows it: at most 15 bytes, `pthread_setname_np(3)`.
const NAME: &str = "m-socket";

struct Shared {
    event_fd: EventFd,
    stopped: AtomicBool,
}

/// Resumes a thread. It does not keep the thread's eventfd open.
pub(crate) struct Resumer(Weak<Shared>);

impl Resumer {
    /// Has the thread poll its descriptor again. Without effect after the thread has ended.
    pub(crate) fn resume(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.event_fd.signal();
        }
    }
}

/// A thread that is not started yet.
pub(crate) struct PollThreadBuilder(Arc<Shared>);

impl PollThreadBuilder {
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM of eventfd(2).
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self(Arc::new(Shared { event_fd: EventFd::new()?, stopped: AtomicBool::new(false) })))
    }

    pub(crate) fn resumer(&self) -> Resumer {
        Resumer(Arc::downgrade(&self.0))
    }

    /// Starts the thread. It calls `on_ready` when `fd` is readable, and again only after it was resumed. `fd` stays
    /// open until the thread is dropped.
    ///
    /// # Errors
    /// EAGAIN when no thread can be created: `pthread_create(3)`.
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

/// A thread that polls a descriptor. Dropping it ends and joins the thread.
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
    let mut paused = false;
    loop {
        let polled = if paused { NO_DESCRIPTOR } else { fd };
        let [mut signal, mut ready] =
            [shared.event_fd.fd(), polled].map(|fd| PollFd::new(fd, flags::IN));
        let mut requests = [signal, ready];
        // After EINTR the loop polls again.
        if poll(&mut requests, -1).is_ok() {
            [signal, ready] = requests;
        }
        let was_signalled = signal.flags() != 0;
        // Cleared before `stopped` is read: a read of an eventfd takes all signals, also one that was sent after
        // poll(2).
        if was_signalled {
            shared.event_fd.clear();
        }
        if shared.stopped.load(Ordering::Acquire) {
            return;
        }
        if was_signalled {
            paused = false;
        } else if ready.flags() != 0 {
            paused = true;
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

    /// Long enough for a run under valgrind.
    const TIMEOUT: Duration = Duration::from_secs(100);

    /// Starts a thread, waits for its report, resumes it, and drops it after some spins.
    fn resume_and_drop(spins: usize) -> Result<(), Errno> {
        let target = EventFd::new()?;
        target.signal();
        let builder = PollThreadBuilder::new()?;
        let resumer = builder.resumer();
        let (sender, received) = mpsc::channel();
        let thread = builder.start(target.fd(), move || assert_eq!(sender.send(()), Ok(())))?;
        assert_eq!(received.recv_timeout(TIMEOUT), Ok(()));
        target.clear();
        resumer.resume();
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        drop(thread);
        Ok(())
    }

    #[test]
    fn a_thread_that_is_dropped_while_it_is_resumed_ends() {
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || end.send((0..2000).try_for_each(resume_and_drop)));
        assert_eq!(ended.recv_timeout(TIMEOUT), Ok(Ok(())));
    }
}
