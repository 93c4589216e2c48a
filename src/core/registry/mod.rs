//! All sources and multiplexers of one environment: a Node process's main thread, or a worker.

mod back_off;
mod keep_alive;
mod lifecycle;
mod ready_list;
mod registration;
mod socket;
#[cfg(test)]
mod tests;
mod wait;

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::handle::{Handle, Token};
use super::multiplexer::Multiplexer;
use super::slab::Slab;
use super::socket::Socket;
use super::source::{Kind, Source};
use crate::sys::{EpollEvent, Errno, PollFd};

/// How many events one `epoll_wait(2)` fetches.
const EVENTS_PER_WAIT: usize = 1000;

pub(crate) struct Registry {
    sources: Slab<Source>,
    multiplexers: Slab<Multiplexer>,
    /// Multiplexers that began or ceased to hold queued output since this was last asked for.
    reference_changes: Vec<Handle>,
    events: Vec<EpollEvent>,
    poll_requests: Vec<(Token, PollFd)>,
    /// Sockets whose small writes wait for the end of a batch.
    corked: Vec<Token>,
}

/// What became of a source that its owner has closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseResult {
    Closed = 0,
    /// A multiplexer sends the queue first, and then says that the source has left.
    AfterQueue = 1,
    /// As before, but no multiplexer watches the socket yet.
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
        }
    }

    /// Runs `act` on a socket, and then keeps its registration in step with what became of it.
    pub(crate) fn with_socket<T>(
        &mut self,
        handle: Handle,
        act: impl FnOnce(&mut Socket) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let token = self.token(handle)?;
        let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
        let Kind::Socket(socket) = &mut source.kind else { return Err(Errno::BADF) };
        let had_output = socket.has_output();
        let result = act(socket);
        if had_output || socket.has_output() || socket.is_closed() {
            self.refresh(token);
        }
        result
    }

    /// A socket for a call that leaves its queue and its state alone.
    pub(crate) fn socket(&mut self, handle: Handle) -> Result<&mut Socket, Errno> {
        match &mut self.source_mut(handle)?.kind {
            Kind::Socket(socket) => Ok(socket),
            _ => Err(Errno::BADF),
        }
    }

    /// The descriptor of a socket or listener.
    pub(crate) fn fd(&self, handle: Handle) -> Result<BorrowedFd<'_>, Errno> {
        self.sources.by_handle(handle).ok_or(Errno::BADF)?.own_fd()
    }

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
