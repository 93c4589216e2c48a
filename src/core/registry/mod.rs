//! All sources and multiplexers of one environment: a Node process's main thread, or a worker.

mod registration;
#[cfg(test)]
mod tests;
mod wait;

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::handle::{Handle, Token};
use super::listener::Listener;
use super::multiplexer::Multiplexer;
use super::slab::Slab;
use super::socket::Socket;
use super::source::{Kind, Source};
use crate::sys::{self, Address, EpollEvent, Errno, Family, PollFd, Shutdown, flags};

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

    /// A socket that is neither bound nor connected.
    pub(crate) fn open(&mut self, family: Family) -> Result<Handle, Errno> {
        let fd = sys::socket(family)?;
        self.insert(Kind::Socket(Socket::new(fd, family != Family::Unix)))
    }

    /// Somebody's connected descriptor.
    pub(crate) fn adopt_socket(&mut self, fd: RawFd) -> Result<Handle, Errno> {
        self.check_unregistered(fd)?;
        let socket = Socket::adopt(fd)?;
        self.insert(Kind::Socket(socket))
    }

    /// Somebody's bound or listening descriptor.
    pub(crate) fn adopt_listener(&mut self, fd: RawFd, backlog: i32) -> Result<Handle, Errno> {
        self.check_unregistered(fd)?;
        let listener = Listener::adopt(fd, backlog)?;
        self.insert(Kind::Listener(listener))
    }

    /// # Errors
    /// EEXIST when the descriptor is ours already, or watched.
    fn check_unregistered(&self, fd: RawFd) -> Result<(), Errno> {
        if self.sources.values().any(|source| source.raw_fd() == Some(fd)) {
            return Err(Errno::EXIST);
        }
        Ok(())
    }

    fn insert(&mut self, kind: Kind) -> Result<Handle, Errno> {
        let token = self.sources.insert(Source::new(kind)).ok_or(Errno::NFILE)?;
        Ok(token.handle())
    }

    pub(crate) fn bind(&mut self, handle: Handle, address: &Address) -> Result<(), Errno> {
        sys::bind(self.fd(handle)?, address)
    }

    /// Makes a listener of a bound socket, under the same handle.
    pub(crate) fn listen(&mut self, handle: Handle, backlog: i32) -> Result<(), Errno> {
        let source = self.source_mut(handle)?;
        let Kind::Socket(socket) = &mut source.kind else { return Err(Errno::INVAL) };
        let listener = socket.listen(backlog)?;
        source.kind = Kind::Listener(listener);
        Ok(())
    }

    pub(crate) fn accept(&mut self, handle: Handle) -> Result<Handle, Errno> {
        let token = self.token(handle)?;
        let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
        let Kind::Listener(listener) = &mut source.kind else { return Err(Errno::INVAL) };
        match listener.accept() {
            Ok(socket) => self.insert(Kind::Socket(socket)),
            Err(errno) => {
                if errno.is_exhaustion() {
                    self.back_off(token);
                }
                Err(errno)
            }
        }
    }

    pub(crate) fn connect(&mut self, handle: Handle, to: &Address) -> Result<(), Errno> {
        self.socket(handle)?.connect(to)
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

    /// Gives input back that a wait has received ahead, and whose owner does not want it now.
    pub(crate) fn unread(&mut self, handle: Handle, bytes: &[u8]) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.socket(handle)?.unread(bytes);
        self.list_ready(token);
        Ok(())
    }

    /// Takes what there is room for. Gathered, it waits for a flush.
    pub(crate) fn write(
        &mut self,
        handle: Handle,
        bytes: &[u8],
        cork: bool,
    ) -> Result<usize, Errno> {
        let (taken, is_corked) = self.with_socket(handle, |socket| {
            let was_corked = socket.is_corked();
            let taken = socket.write(bytes, cork)?;
            Ok((taken, !was_corked && socket.is_corked()))
        })?;
        if is_corked {
            self.corked.push(self.token(handle)?);
        }
        Ok(taken)
    }

    /// Sends corked writes; returns of how many sockets.
    pub(crate) fn flush_corked(&mut self) -> usize {
        let mut corked = std::mem::take(&mut self.corked);
        let count = corked.len();
        for token in corked.drain(..) {
            // One that was flushed or closed since has nothing to send here.
            let _ =
                self.with_socket(token.handle(), |socket| Ok(socket.is_corked() && socket.flush()));
        }
        self.corked = corked;
        count
    }

    /// Ends one half or both: reading at once, writing after the queue.
    pub(crate) fn shutdown(&mut self, handle: Handle, how: Shutdown) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.socket(handle)?.shutdown(how)?;
        // Input that is only dropped is watched for, whatever the owner asks for.
        self.extend_epoll_flags(token)
    }

    /// Sleeps this thread until a socket is ready, or for `timeout` milliseconds: the one thing
    /// that waits on a socket, and only where its owner wants that.
    pub(crate) fn sleep_on(&self, handle: Handle, write: bool, timeout: i32) -> Result<(), Errno> {
        let wanted = if write { flags::OUT } else { flags::IN };
        let question = PollFd::new(self.raw_fd(handle)?, wanted);
        match sys::poll(&mut [question], timeout) {
            Err(Errno::INTR) => Ok(()),
            result => result,
        }
    }

    /// A socket for a call that leaves its queue and its state alone.
    pub(crate) fn socket(&mut self, handle: Handle) -> Result<&mut Socket, Errno> {
        match &mut self.source_mut(handle)?.kind {
            Kind::Socket(socket) => Ok(socket),
            _ => Err(Errno::BADF),
        }
    }

    pub(crate) fn state_bits(&mut self, handle: Handle) -> Result<i32, Errno> {
        let bits = self.socket(handle)?.state_bits();
        self.settle_failure(handle)?;
        Ok(bits)
    }

    /// Sets a kernel option, and remembers one that would make close(2) wait: accepted
    /// connections inherit it.
    pub(crate) fn set_option(
        &mut self,
        handle: Handle,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        sys::set_option(self.fd(handle)?, level, name, value)?;
        if sys::makes_close_wait(level, name, value) {
            match &mut self.source_mut(handle)?.kind {
                Kind::Socket(socket) => socket.lingers = true,
                Kind::Listener(listener) => listener.lingers = true,
                Kind::Foreign(..) => {}
            }
        }
        Ok(())
    }

    /// The descriptor of a socket or listener.
    pub(crate) fn fd(&self, handle: Handle) -> Result<BorrowedFd<'_>, Errno> {
        self.sources.by_handle(handle).ok_or(Errno::BADF)?.own_fd()
    }

    pub(crate) fn raw_fd(&self, handle: Handle) -> Result<RawFd, Errno> {
        self.fd(handle).map(|fd| fd.as_raw_fd())
    }

    /// Gracefully: a queue goes out first. A descriptor of somebody else is only let go of.
    pub(crate) fn close(&mut self, handle: Handle) -> Result<CloseResult, Errno> {
        let token = self.token(handle)?;
        let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
        if let Kind::Socket(socket) = &mut source.kind {
            if socket.close() {
                return Ok(self.close_after_queue(token));
            }
            socket.prepare_close();
        }
        self.remove_source(token);
        Ok(CloseResult::Closed)
    }

    fn close_after_queue(&mut self, token: Token) -> CloseResult {
        let watched = self.sources.get(token).is_some_and(|source| source.registration.is_some());
        self.refresh(token);
        if watched { CloseResult::AfterQueue } else { CloseResult::Unregistered }
    }

    /// Gives an adopted listener back to whoever handed its descriptor in.
    pub(crate) fn disown(&mut self, handle: Handle) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.deregister(token);
        if let Some(Kind::Listener(listener)) = self.sources.remove(token).map(|it| it.kind) {
            listener.disown();
        }
        Ok(())
    }

    /// At once, by RST.
    pub(crate) fn reset(&mut self, handle: Handle) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.socket(handle)?.reset();
        self.remove_source(token);
        Ok(())
    }

    /// Lets go of the multiplexer, then of the descriptor, then of the slot.
    fn remove_source(&mut self, token: Token) {
        self.deregister(token);
        self.sources.remove(token);
    }

    /// A connect that failed is thrown away at once; its outcome waits to be told or met.
    fn settle_failure(&mut self, handle: Handle) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.refresh(token);
        Ok(())
    }

    fn token(&self, handle: Handle) -> Result<Token, Errno> {
        self.sources.token(handle).ok_or(Errno::BADF)
    }

    fn source_mut(&mut self, handle: Handle) -> Result<&mut Source, Errno> {
        let token = self.token(handle)?;
        self.sources.get_mut(token).ok_or(Errno::BADF)
    }
}
