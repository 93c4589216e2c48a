//! An epoll descriptor and its ready list.

use std::collections::VecDeque;
use std::ops::Range;

use super::handle::{Handle, Token};
use super::receive_buffer::Prefetched;
use crate::sys::{Epoll, Errno};

/// The bits of an event, as JavaScript reads them.
pub(crate) mod event_bits {
    pub(crate) const READABLE: u32 = 1;
    pub(crate) const WRITABLE: u32 = 2;
    pub(crate) const READ_ENDED: u32 = 4;
    pub(crate) const HANGUP: u32 = 8;
    pub(crate) const ERROR: u32 = 16;
    /// The source was deregistered without a call of `remove`.
    pub(crate) const DETACHED: u32 = 32;
}

/// An event of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) handle: Handle,
    pub(crate) bits: u32,
    /// The prefetched bytes, as a range of the receive buffer.
    pub(crate) received: Range<usize>,
}

pub(crate) struct Multiplexer {
    pub(super) epoll: Epoll,
    /// Sources that have events to report, or unverified readiness; the next one to report comes first.
    pub(super) ready: VecDeque<Token>,
    /// Listeners in accept back-off.
    pub(super) backing_off: Vec<Token>,
    /// Sources that were detached and are not reported yet.
    pub(super) detached: VecDeque<Handle>,
    /// What the last wait prefetched.
    pub(super) prefetched: Prefetched,
    /// The number of sources with queued output.
    pub(super) references: u32,
}

impl Multiplexer {
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self {
            epoll: Epoll::new()?,
            ready: VecDeque::new(),
            backing_off: Vec::new(),
            detached: VecDeque::new(),
            prefetched: Prefetched::default(),
            references: 0,
        })
    }
}
