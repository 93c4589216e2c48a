//! The thread, and the eventfd that wakes it.

use std::os::fd::RawFd;
use std::sync::{Arc, Weak};

use super::system::{Builder, Errno, EventFd, JoinHandle, PollFd, flags, poll};

/// poll(2) ignores a negative descriptor.
const NO_DESCRIPTOR: RawFd = -1;

/// The name of the thread, as ps(1) shows it: at most 15 bytes, `pthread_setname_np(3)`.
const NAME: &str = "m-socket";

/// What resumes a thread, in the counter of its eventfd.
const RESUME: u64 = 1;

/// What stops it. No number of resumes comes to as much, and with them it fits in the counter.
const STOP: u64 = 1 << 63;

/// Resumes a thread. It does not keep the thread's eventfd open.
pub(crate) struct Resumer(Weak<EventFd>);

impl Resumer {
    /// Has the thread poll its descriptor again. Without effect after the thread has ended.
    pub(crate) fn resume(&self) {
        if let Some(event_fd) = self.0.upgrade() {
            event_fd.signal(RESUME);
        }
    }
}

/// A thread that is not started yet.
pub(crate) struct PollThreadBuilder(Arc<EventFd>);

impl PollThreadBuilder {
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM of eventfd(2).
    pub(crate) fn new() -> Result<Self, Errno> {
        EventFd::new().map(Arc::new).map(Self)
    }

    pub(crate) fn resumer(&self) -> Resumer {
        Resumer(Arc::downgrade(&self.0))
    }

    /// Starts the thread. It calls `on_ready` when `fd` is readable, and once more at most for each resume: one that
    /// comes before a report may allow for the next. Resumes that it takes together count as one. `fd` stays open until
    /// the thread is dropped.
    ///
    /// # Errors
    /// EAGAIN when no thread can be created: `pthread_create(3)`.
    pub(crate) fn start(
        self,
        fd: RawFd,
        on_ready: impl Fn() + Send + 'static,
    ) -> Result<PollThread, Errno> {
        let event_fd = Arc::clone(&self.0);
        let started =
            Builder::new().name(NAME.to_owned()).spawn(move || run(fd, &event_fd, &on_ready));
        match started {
            Ok(thread) => Ok(PollThread { event_fd: self.0, thread: Some(thread) }),
            Err(_) => Err(Errno::AGAIN),
        }
    }
}

/// A thread that polls a descriptor. Dropping it ends and joins the thread.
pub(crate) struct PollThread {
    event_fd: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for PollThread {
    fn drop(&mut self) {
        self.event_fd.signal(STOP);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The threads share the counter of the eventfd and nothing else: a read of it takes all that was signalled before, also
/// after poll(2), and what is signalled later is there at the next poll(2).
fn run(fd: RawFd, event_fd: &EventFd, on_ready: &dyn Fn()) {
    let mut paused = false;
    loop {
        let polled = if paused { NO_DESCRIPTOR } else { fd };
        let mut requests = [event_fd.fd(), polled].map(|fd| PollFd::new(fd, flags::IN));
        // An error leaves all flags unset, and the loop polls again.
        let _ = poll(&mut requests, -1);
        let [signals, readiness] = requests.map(PollFd::flags);
        if signals != 0 {
            if event_fd.take() >= STOP {
                return;
            }
            paused = false;
        } else if readiness != 0 {
            paused = true;
            on_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{Errno, EventFd, PollThreadBuilder};

    /// Long enough for a run under valgrind.
    const TIMEOUT: Duration = Duration::from_secs(100);

    /// Starts a thread, waits for its report, resumes it, and drops it after some spins.
    fn resume_and_drop(spins: usize) -> Result<(), Errno> {
        let target = EventFd::new()?;
        target.signal(1);
        let builder = PollThreadBuilder::new()?;
        let resumer = builder.resumer();
        let (sender, received) = mpsc::channel();
        let thread = builder.start(target.fd(), move || assert_eq!(sender.send(()), Ok(())))?;
        assert_eq!(received.recv_timeout(TIMEOUT), Ok(()));
        target.take();
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
