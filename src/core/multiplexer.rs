//! One epoll descriptor and the sources that have news.

use std::collections::VecDeque;
use std::ops::Range;

use super::handle::{Handle, Token};
use crate::sys::{Epoll, Errno};

/// What an event says, as JavaScript reads it.
pub(crate) mod event_bits {
    pub(crate) const READABLE: u32 = 1;
    pub(crate) const WRITABLE: u32 = 2;
    pub(crate) const READ_ENDED: u32 = 4;
    pub(crate) const HANGUP: u32 = 8;
    pub(crate) const ERROR: u32 = 16;
    /// The source has left the multiplexer by itself.
    pub(crate) const DETACHED: u32 = 32;
}

/// One line of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) handle: Handle,
    pub(crate) bits: u32,
    /// Where in the buffer is what has been received already.
    pub(crate) received: Range<usize>,
}

pub(crate) struct Multiplexer {
    pub(super) epoll: Epoll,
    /// Sources with news or a doubt, first come first told.
    pub(super) ready: VecDeque<Token>,
    /// Listeners that wait for the process to have descriptors or memory again.
    pub(super) backing_off: Vec<Token>,
    /// Sockets that were here to empty their queues, and have left.
    pub(super) detached: VecDeque<Handle>,
    /// How many sources have queued output.
    pub(super) references: u32,
}

impl Multiplexer {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Self {
            epoll: Epoll::new()?,
            ready: VecDeque::new(),
            backing_off: Vec::new(),
            detached: VecDeque::new(),
            references: 0,
        })
    }
}
