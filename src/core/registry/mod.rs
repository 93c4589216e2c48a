//! All sources and multiplexers of one environment: the main thread of a process, or a worker.

mod accept;
mod back_off;
mod file;
mod foreign;
mod keep_alive;
mod lifecycle;
mod ready_list;
mod registration;
mod relay;
mod socket;
#[cfg(test)]
mod tests;
mod travel;
mod wait;

use super::handle::{Handle, Token};
use super::multiplexer::Multiplexer;
use super::relay::RelayMemory;
use super::slab::Slab;
use super::socket::{FileEnd, Socket};
use super::source::{Kind, Source};
use crate::sys::{AsRawFd, BorrowedFd, EpollEvent, Errno, PollFd, RawFd};

/// The most events that one `epoll_wait(2)` returns.
const EVENTS_PER_WAIT: usize = 1000;

pub(crate) struct Registry {
    sources: Slab<Source>,
    multiplexers: Slab<Multiplexer>,
    /// Multiplexers that got their first or lost their last source with queued output.
    reference_changes: Vec<Handle>,
    /// The buffer of `epoll_wait(2)`.
    events: Vec<EpollEvent>,
    /// The buffer of `poll(2)`.
    poll_requests: Vec<(Token, PollFd)>,
    /// Sockets with corked writes.
    corked: Vec<Token>,
    relay_memory: RelayMemory,
    /// Ends of files whose sockets are gone, for JavaScript.
    file_ends: Vec<(Handle, FileEnd)>,
    /// The id of the next file.
    next_file: u32,
}

/// The result of `close`, by its number in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseResult {
    Closed = 0,
    /// The multiplexer flushes the queue, closes the socket and reports it as detached.
    AfterQueue = 1,
    /// The same, once the socket is registered with a multiplexer.
    Unregistered = 2,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self {
            sources: Slab::new(),
            multiplexers: Slab::new(),
            reference_changes: Vec::new(),
            events: vec![EpollEvent::EMPTY; EVENTS_PER_WAIT],
            poll_requests: Vec::new(),
            corked: Vec::new(),
            relay_memory: RelayMemory::new(),
            file_ends: Vec::new(),
            next_file: 0,
        }
    }

    /// Runs `action` on a socket, and updates its registration.
    ///
    /// # Errors
    /// EBADF for a handle that is not a socket's; EBUSY for a relayed one; the error of `action`.
    pub(crate) fn with_socket<T>(
        &mut self,
        handle: Handle,
        action: impl FnOnce(&mut Socket) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let token = self.token(handle)?;
        let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
        let Kind::Socket(socket) = &mut source.kind else { return Err(source.not_a_socket()) };
        let (had_output, had_unsent) = (socket.has_output(), socket.has_unsent());
        let result = action(socket);
        let is_over = socket.has_alarm() || socket.is_finished();
        let is_emptied = had_unsent && !socket.has_unsent();
        let goes_on = socket.take_goes_on();
        if had_output || socket.has_output() || socket.is_starved() || socket.is_closed() {
            self.update_registration(token);
        }
        if goes_on {
            self.narrow_epoll_flags(token);
        }
        if is_over {
            self.report_end(token);
        } else if is_emptied {
            self.report_emptied(token);
        }
        result
    }

    /// A socket, for an action after which its registration stays as it is.
    ///
    /// # Errors
    /// As `with_socket`.
    pub(crate) fn socket(&mut self, handle: Handle) -> Result<&mut Socket, Errno> {
        let source = self.source_mut(handle)?;
        if source.is_relayed() {
            return Err(Errno::BUSY);
        }
        source.any_socket().ok_or(Errno::BADF)
    }

    /// A socket, also a relayed one, to ask for its state.
    ///
    /// # Errors
    /// EBADF for a handle that is not a socket's.
    pub(crate) fn any_socket(&mut self, handle: Handle) -> Result<&mut Socket, Errno> {
        self.source_mut(handle)?.any_socket().ok_or(Errno::BADF)
    }

    /// The descriptor of a socket or listener.
    ///
    /// # Errors
    /// EBADF for any other handle, and after a failed connect.
    pub(crate) fn fd(&self, handle: Handle) -> Result<BorrowedFd<'_>, Errno> {
        self.sources.by_handle(handle).ok_or(Errno::BADF)?.own_fd()
    }

    /// # Errors
    /// As `fd`.
    pub(crate) fn raw_fd(&self, handle: Handle) -> Result<RawFd, Errno> {
        self.fd(handle).map(|fd| fd.as_raw_fd())
    }

    fn token(&self, handle: Handle) -> Result<Token, Errno> {
        self.sources.token(handle).ok_or(Errno::BADF)
    }

    fn source_mut(&mut self, handle: Handle) -> Result<&mut Source, Errno> {
        let token = self.token(handle)?;
        self.sources.get_mut(token).ok_or(Errno::BADF)
    }
}
