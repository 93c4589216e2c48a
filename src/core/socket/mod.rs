//! A stream socket: its state, its two halves and its send queue.

mod connect;
mod descriptors;
mod end;
mod file;
mod pending_file;
mod receive;
mod send;
mod splice;
mod state;
mod travel;

use super::descriptor::Descriptor;
use super::listener::Listener;
use super::readiness::Readiness;
use super::send_queue::SendQueue;
use crate::sys::{self, AsFd, AsRawFd, BorrowedFd, Errno, RawFd};
use pending_file::Files;
pub(crate) use pending_file::{FileEnd, FileOutcome, FilePart, FileProgress};
use send::Flushed;
use state::Failure;
pub(crate) use state::{Call, FAILURE_CALL_SHIFT, State};

/// The most system calls that a wait makes for one socket's queue, or for its discarded input.
const CALLS_PER_TURN: usize = 16;

#[allow(clippy::struct_excessive_bools, reason = "the halves of a connection end independently")]
pub(crate) struct Socket {
    /// `None` after a failed connect.
    fd: Option<Descriptor>,
    state: State,
    /// Closed by its owner; the queue is being flushed.
    closing: bool,
    pub(super) readiness: Readiness,
    pub(super) queue: SendQueue,
    /// Files that are sent, or have ended.
    files: Option<Box<Files>>,
    failure: Option<Failure>,
    /// Whether the peer's end or an error has been received, or the reading half was shut down here.
    read_ended: bool,
    /// Whether the reading half was shut down here, or its end was prefetched, and no receive has returned it since.
    end_unreported: bool,
    /// Whether the reading half was shut down here, or the socket closes with a queue, so that input is discarded.
    read_shut: bool,
    /// Whether no more bytes are accepted for sending.
    write_ended: bool,
    /// Whether shutdown(2) of the writing half follows the queue.
    shutdown_pending: bool,
    /// Whether the writing half was ended behind a queue, and no event has said since that the queue is empty.
    drain_unreported: bool,
    /// Whether the kernel is empty after a short read. It may not be in a Unix socket: recv(2) stops at passed
    /// descriptors, see unix(7).
    short_read_means_empty: bool,
    /// Whether the queued bytes are corked: they wait for a flush, not for the kernel.
    corked: bool,
    /// Whether the last send, or a receive since, failed with ENOBUFS or ENOMEM: no edge follows, so that the multiplexer
    /// has to try again.
    starved: bool,
    /// Whether a call has stopped at the bound of a turn, and something can still be sent.
    goes_on: bool,
    /// Whether the last receive returned at least `PREFETCH_LIMIT` bytes.
    receives_large: bool,
    /// Bytes that were received and given back.
    unread: Option<Box<Unread>>,
    /// Whether accepted bytes were lost: the connection has to end by RST.
    has_lost: bool,
    /// Whether an entry of the error queue was reported.
    bare_error_reported: bool,
    /// Whether `SO_LINGER` would make close(2) block.
    pub(super) lingers: bool,
    /// Whether the descriptor has been passed, so that others receive from the open file.
    passed: bool,
    received: u64,
    sent: u64,
}

/// Bytes that were given back. Few sockets have any, which a pointer of one word serves.
struct Unread(Box<[u8]>);

impl Socket {
    /// A socket that is connected, or on which `connect` is called next.
    pub(super) fn new(fd: Descriptor, is_tcp: bool) -> Self {
        Self {
            fd: Some(fd),
            state: State::Open,
            closing: false,
            readiness: Readiness::UNVERIFIED,
            queue: SendQueue::new(),
            files: None,
            failure: None,
            read_ended: false,
            end_unreported: false,
            read_shut: false,
            write_ended: false,
            shutdown_pending: false,
            drain_unreported: false,
            short_read_means_empty: is_tcp,
            corked: false,
            starved: false,
            goes_on: false,
            receives_large: false,
            unread: None,
            has_lost: false,
            bare_error_reported: false,
            lingers: false,
            passed: false,
            received: 0,
            sent: 0,
        }
    }

    /// Takes ownership of a connected or connecting descriptor.
    ///
    /// # Errors
    /// EBADF, ENOTSOCK; EPROTOTYPE when it is not a stream socket; ENOTCONN when it is neither connected nor
    /// connecting; EEXIST when it is owned already. The descriptor then stays open and the caller's.
    pub(crate) fn adopt(fd: RawFd) -> Result<Self, Errno> {
        let (fd, (state, is_tcp, lingers)) = sys::adopt(fd, |fd| {
            sys::check_stream(fd)?;
            Ok((connect::state_of(fd)?, sys::is_tcp(fd)?, sys::lingers(fd)?))
        })?;
        Ok(Self { state, lingers, ..Self::new(Descriptor::adopt(fd)?, is_tcp) })
    }

    /// Takes ownership of a descriptor that is to be connected.
    ///
    /// # Errors
    /// EBADF, ENOTSOCK; EPROTOTYPE when it is not a stream socket; EISCONN when it is connected or listens; EALREADY
    /// when it is connecting; EEXIST when it is owned already. The descriptor then stays open and the caller's.
    pub(crate) fn adopt_unconnected(fd: RawFd) -> Result<Self, Errno> {
        let (fd, (is_tcp, lingers)) = sys::adopt(fd, |fd| {
            sys::check_stream(fd)?;
            connect::check_unconnected(fd)?;
            Ok((sys::is_tcp(fd)?, sys::lingers(fd)?))
        })?;
        Ok(Self { lingers, ..Self::new(Descriptor::adopt(fd)?, is_tcp) })
    }

    /// Gives up the descriptor without closing it.
    pub(super) fn disown(&mut self) {
        if let Some(fd) = self.fd.take() {
            fd.disown();
        }
    }

    /// `listen(2)` on a bound socket. Its descriptor becomes the listener's.
    ///
    /// # Errors
    /// EADDRINUSE when another socket listens on the port.
    pub(super) fn listen(&mut self, backlog: i32) -> Result<Listener, Errno> {
        sys::listen(self.fd()?, backlog)?;
        let fd = self.fd.take().ok_or(Errno::BADF)?;
        Ok(Listener::new(fd, self.short_read_means_empty, self.lingers))
    }

    /// # Errors
    /// EBADF when the descriptor is closed, as after a failed connect.
    pub(super) fn fd(&self) -> Result<BorrowedFd<'_>, Errno> {
        self.fd.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    pub(super) fn raw_fd(&self) -> Option<RawFd> {
        self.fd.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The number of bytes received, and of bytes that the kernel took to send.
    pub(crate) fn totals(&self) -> (u64, u64) {
        (self.received, self.sent)
    }

    pub(crate) fn queue_length(&self) -> usize {
        self.queue.len()
    }

    /// Moves the queued bytes into `into`, in order, if they fit.
    ///
    /// # Errors
    /// EINVAL when they do not, and when files are to be sent as well.
    pub(crate) fn take_queue(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        if self.has_files() {
            return Err(Errno::INVAL);
        }
        let count = self.queue.take(into)?;
        self.corked = false;
        Ok(count)
    }

    pub(crate) fn queue_limit(&self) -> usize {
        self.queue.limit()
    }

    pub(crate) fn set_queue_limit(&mut self, limit: usize) {
        self.queue.set_limit(limit);
    }

    /// Whether the last receive returned at least `PREFETCH_LIMIT` bytes, so that the owner receives the next ones.
    pub(super) fn receives_large(&self) -> bool {
        self.receives_large
    }

    /// Whether a multiplexer may report the socket as readable.
    pub(super) fn reports_readable(&self) -> bool {
        (!self.read_ended || self.end_unreported) && !self.closing
    }

    /// Whether a multiplexer may report the socket as writable.
    pub(super) fn reports_writable(&self) -> bool {
        match self.state {
            State::Open => self.takes_or_drains() && !self.has_unsent() && !self.starved,
            State::Closed => self.failure.is_some(),
            State::Connecting => false,
        }
    }

    fn takes_or_drains(&self) -> bool {
        !self.write_ended || self.drain_unreported && !self.closing
    }

    /// An event has said that the queue is empty.
    pub(super) fn set_drain_reported(&mut self) {
        self.drain_unreported = false;
    }

    /// Whether it has broken or hung up and a multiplexer has not reported it.
    pub(super) fn has_alarm(&self) -> bool {
        self.readiness.has_alarm()
    }

    /// Whether input is discarded.
    pub(super) fn discards(&self) -> bool {
        self.read_shut
    }

    /// Whether something waits for room in the kernel, or for the disk.
    pub(super) fn has_output(&self) -> bool {
        self.has_unsent() && !self.corked
    }

    /// Whether what is sent now has to be queued.
    pub(in crate::core) fn must_queue(&self) -> bool {
        self.state == State::Connecting || self.has_output()
    }

    /// Whether sends and receives have to wait for memory.
    pub(super) fn is_starved(&self) -> bool {
        self.starved
    }

    /// Sends and receives may be tried again.
    pub(super) fn end_starvation(&mut self) {
        self.starved = false;
    }

    /// Whether queued bytes wait for a flush.
    pub(super) fn is_corked(&self) -> bool {
        self.corked && !self.queue.is_empty()
    }

    /// Whether EPOLLOUT is needed, whatever the interest is.
    pub(super) fn awaits_writable(&self) -> bool {
        self.state == State::Connecting || self.has_output() && !self.awaits_disk()
    }

    /// Merges the flags of an edge-triggered event: finishes a connect, flushes the queue, discards input. Returns
    /// whether work is left for which there will be no edge.
    pub(super) fn merge(&mut self, flags: u32) -> bool {
        let flags = self.edge_flags(flags);
        self.readiness.merge(flags);
        if self.state == State::Connecting && self.readiness.can_write() {
            self.finish_connect();
        }
        let mut has_more = false;
        if self.has_unsent() && self.readiness.can_write() && self.state != State::Connecting {
            has_more |= self.flush_some() == Flushed::More;
        }
        if self.read_shut && self.readiness.can_read() {
            has_more |= self.discard_input();
        }
        has_more
    }
}
