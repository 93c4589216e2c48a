//! An epoll descriptor, its ready list and its timer.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use super::handle::{Handle, Token};
use super::open_failure::{OpenCall, OpenFailure};
use super::receive_buffer::Prefetched;
use crate::sys::{AsRawFd, Epoll, Instant, RawFd, TimerFd, flags};

/// How long a source is left alone after the process or the system has run out of descriptors or memory.
pub(super) const BACK_OFF_MILLISECONDS: i32 = 100;
const BACK_OFF: Duration = Duration::from_millis(BACK_OFF_MILLISECONDS.unsigned_abs() as u64);

/// The bits of an event, as JavaScript reads them.
pub(crate) mod event_bits {
    pub(crate) const READABLE: u32 = 1;
    pub(crate) const WRITABLE: u32 = 2;
    pub(crate) const READ_ENDED: u32 = 4;
    pub(crate) const HANGUP: u32 = 8;
    pub(crate) const ERROR: u32 = 16;
    /// The source was deregistered without a call of `remove`.
    pub(crate) const DETACHED: u32 = 32;
    /// The files of a socket have made progress that JavaScript has to know. It is an event of its own.
    pub(crate) const FILE: u32 = 64;
    /// The wait has accepted the socket, and has registered it.
    pub(crate) const ACCEPTED: u32 = 128;
    /// `accept4(2)` has failed, and the connection stays in the backlog of the listener.
    pub(crate) const REFUSED: u32 = 256;
}

/// An event of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) handle: Handle,
    pub(crate) bits: u32,
    /// The prefetched bytes, as a range of the receive buffer. Of a detached source it is empty, and begins at the code
    /// of the failure that dropped its queue, 0 for none. Of an accepted socket it begins at the handle of the listener, and
    /// is as long as the errno for which the socket could not be registered, 0 for none. Of a listener that accept4(2)
    /// refused it is empty, and begins at the errno.
    pub(crate) received: Range<usize>,
}

/// A source that was deregistered without a call of `remove`.
pub(super) struct Detached {
    pub(super) handle: Handle,
    /// Whether it was closed with that, so that nothing else is known of it.
    pub(super) is_closed: bool,
    /// Whether its relay has ended, with which it left whatever it has queued.
    pub(super) was_relayed: bool,
    /// Why the queue of a closed socket was not sent: as JavaScript reads it, 0 when it was.
    pub(super) failure: usize,
}

impl Detached {
    /// Of a socket whose relay has ended.
    pub(super) fn of_relay(handle: Handle) -> Self {
        Self { handle, is_closed: false, was_relayed: true, failure: 0 }
    }
}

pub(crate) struct Multiplexer {
    pub(super) epoll: Epoll,
    /// Sources that have events to report, or unverified readiness; the next one to report comes first.
    pub(super) ready: VecDeque<Token>,
    /// Whether a source on the list was only flushed, and a call has emptied its queue.
    pub(super) has_emptied: bool,
    /// Sources in back-off and when it ends; the first one ends first.
    back_offs: VecDeque<(Token, Instant)>,
    /// Fires when the first back-off ends. epoll reports it, and so it wakes whatever watches the epoll descriptor.
    timer: TimerFd,
    /// The registered descriptors of the program, by their numbers.
    pub(super) foreign: BTreeMap<RawFd, Token>,
    /// Sources that were detached and are not reported yet.
    pub(super) detached: VecDeque<Detached>,
    /// Sockets whose files have made progress that is not reported yet.
    pub(super) file_progress: VecDeque<Handle>,
    /// What the last wait prefetched.
    pub(super) prefetched: Prefetched,
    /// The number of sources with queued output.
    pub(super) references: u32,
    /// The number of relayed sockets.
    pub(super) relayed: u32,
}

impl Multiplexer {
    /// The timer is opened at once: when descriptors have run out, it could not be.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM; ENOSPC (`max_user_watches`).
    pub(super) fn new() -> Result<Self, OpenFailure> {
        let epoll = Epoll::new().map_err(OpenFailure::of(OpenCall::EpollCreate))?;
        let timer = TimerFd::new().map_err(OpenFailure::of(OpenCall::TimerCreate))?;
        epoll
            .add(timer.as_raw_fd(), flags::IN | flags::ET, Token::TIMER.raw())
            .map_err(OpenFailure::of(OpenCall::EpollCtl))?;
        Ok(Self {
            epoll,
            ready: VecDeque::new(),
            has_emptied: false,
            back_offs: VecDeque::new(),
            timer,
            foreign: BTreeMap::new(),
            detached: VecDeque::new(),
            file_progress: VecDeque::new(),
            prefetched: Prefetched::default(),
            references: 0,
            relayed: 0,
        })
    }

    /// Begins a back-off.
    pub(super) fn back_off(&mut self, token: Token) {
        self.back_offs.push_back((token, Instant::now() + BACK_OFF));
        if self.back_offs.len() == 1 {
            self.set_timer();
        }
    }

    /// Removes and returns the first source whose back-off has ended by `now`.
    pub(super) fn take_ended(&mut self, now: Instant) -> Option<Token> {
        self.back_offs.front().filter(|(_, end)| *end <= now)?;
        self.back_offs.pop_front().map(|(token, _)| token)
    }

    /// Ends the back-off of a source that is deregistered.
    pub(super) fn cancel_back_off(&mut self, token: Token) {
        self.back_offs.retain(|(other, _)| *other != token);
    }

    /// The number of sources in back-off.
    #[cfg(test)]
    pub(super) fn backing_off(&self) -> usize {
        self.back_offs.len()
    }

    /// Sets the timer to the first end of a back-off.
    pub(super) fn set_timer(&self) {
        if let Some((_, end)) = self.back_offs.front() {
            self.timer.set(end.saturating_duration_since(Instant::now()));
        }
    }
}
