//! One stream socket: its life, its two halves, its queue.

mod connect;
mod end;
mod receive;
mod send;
mod state;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::listener::Listener;
use super::readiness::Readiness;
use super::send_queue::SendQueue;
use crate::sys::{self, Errno};
use send::Flushed;
use state::Failure;
pub(crate) use state::{Call, State};

/// How many calls one turn spends on a socket's queue or on input that nobody reads.
const CALLS_PER_TURN: usize = 16;

#[allow(clippy::struct_excessive_bools, reason = "the halves of a connection end independently")]
pub(crate) struct Socket {
    /// `None` once a failed connect has been thrown away.
    fd: Option<OwnedFd>,
    state: State,
    /// Closed by its owner; its queue is still going out.
    closing: bool,
    pub(super) readiness: Readiness,
    pub(super) queue: SendQueue,
    failure: Option<Failure>,
    /// The peer's end has been received, or the reading half was shut down here.
    read_ended: bool,
    /// The reading half was shut down here: what still comes is discarded.
    read_shut: bool,
    /// Nothing more is taken to be sent.
    write_ended: bool,
    /// shutdown(2) of the writing half follows the queue.
    shutdown_due: bool,
    /// Whether a short read tells that the kernel is empty; not so where descriptors can be
    /// passed, since recv(2) stops at each set of them: unix(7).
    short_read_means_empty: bool,
    /// What is queued waits for the end of a batch, not for the kernel.
    corked: bool,
    /// The last receive took more than a wait's window holds.
    receives_large: bool,
    /// Bytes that have been received and put back.
    unread: Option<Box<[u8]>>,
    /// `SO_LINGER` would make close(2) wait.
    pub(super) lingers: bool,
    received: u64,
    sent: u64,
}

impl Socket {
    /// A socket that is connected already, or that `connect` is called on next.
    pub(crate) fn new(fd: OwnedFd, is_tcp: bool) -> Self {
        Self {
            fd: Some(fd),
            state: State::Open,
            closing: false,
            readiness: Readiness::UNKNOWN,
            queue: SendQueue::new(),
            failure: None,
            read_ended: false,
            read_shut: false,
            write_ended: false,
            shutdown_due: false,
            short_read_means_empty: is_tcp,
            corked: false,
            receives_large: false,
            unread: None,
            lingers: false,
            received: 0,
            sent: 0,
        }
    }

    /// Takes over somebody's descriptor.
    ///
    /// # Errors
    /// EBADF, ENOTSOCK, EPROTOTYPE when it is no stream socket; ENOTCONN when it is neither
    /// connected nor connecting. The descriptor then stays as it was.
    pub(crate) fn adopt(fd: RawFd) -> Result<Self, Errno> {
        let (fd, (state, is_tcp)) = sys::adopt(fd, |fd| {
            sys::check_stream(fd)?;
            Ok((connect::state_of(fd)?, sys::is_tcp(fd)?))
        })?;
        Ok(Self { state, ..Self::new(fd, is_tcp) })
    }

    /// `listen(2)` on a bound socket, which gives its descriptor up to the listener.
    ///
    /// # Errors
    /// EADDRINUSE when another socket listens on the port.
    pub(super) fn listen(&mut self, backlog: i32) -> Result<Listener, Errno> {
        sys::listen(self.fd()?, backlog)?;
        let fd = self.fd.take().ok_or(Errno::BADF)?;
        Ok(Listener::new(fd, self.short_read_means_empty, self.lingers))
    }

    /// # Errors
    /// EBADF once the descriptor is gone.
    pub(super) fn fd(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.fd.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    pub(super) fn raw_fd(&self) -> Option<RawFd> {
        self.fd.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Bytes received and bytes that the kernel took.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.received, self.sent)
    }

    pub(crate) fn queue_length(&self) -> u64 {
        self.queue.len() as u64
    }

    pub(crate) fn queue_limit(&self) -> u64 {
        self.queue.limit() as u64
    }

    pub(crate) fn set_queue_limit(&mut self, limit: usize) {
        self.queue.set_limit(limit);
    }

    /// Whether so much comes at a time that its owner had better receive it.
    pub(super) fn receives_large(&self) -> bool {
        self.receives_large
    }

    /// Whether bytes wait that have been put back.
    pub(super) fn has_unread(&self) -> bool {
        self.unread.is_some()
    }

    /// Whether a multiplexer may tell that this socket is readable.
    pub(super) fn reports_readable(&self) -> bool {
        !self.read_ended && !self.closing
    }

    /// Whether a multiplexer may tell that this socket is writable.
    pub(super) fn reports_writable(&self) -> bool {
        match self.state {
            State::Open => !self.write_ended && self.queue.is_empty(),
            State::Closed => self.failure.is_some(),
            State::Connecting => false,
        }
    }

    /// Whether input is read only to be dropped.
    pub(super) fn discards(&self) -> bool {
        self.read_shut
    }

    /// Whether output waits for the kernel to have room.
    pub(super) fn has_output(&self) -> bool {
        !self.queue.is_empty() && !self.corked
    }

    /// Whether output waits for the end of a batch.
    pub(super) fn is_corked(&self) -> bool {
        self.corked && !self.queue.is_empty()
    }

    /// Whether the kernel's next EPOLLOUT is needed, whatever the owner asks for.
    pub(super) fn awaits_writable(&self) -> bool {
        self.state == State::Connecting || self.has_output()
    }

    /// Takes in an edge: settles a connect, empties the queue, discards what nobody will read.
    /// Tells whether work was left over that no further edge will announce.
    pub(super) fn merge(&mut self, flags: u32) -> bool {
        self.readiness.merge(flags);
        if self.state == State::Connecting && self.readiness.can_write() {
            self.finish_connect();
        }
        let mut left = false;
        if !self.queue.is_empty() && self.readiness.can_write() && self.state != State::Connecting {
            left |= self.flush_some() == Flushed::More;
        }
        if self.read_shut && self.readiness.can_read() {
            left |= self.discard_input();
        }
        left
    }
}
