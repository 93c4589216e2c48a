//! How sources and multiplexers are opened and closed.

use super::{CloseResult, Registry};
use crate::core::descriptor::Descriptor;
use crate::core::handle::{Handle, Token};
use crate::core::listener::Listener;
use crate::core::multiplexer::Multiplexer;
use crate::core::open_failure::{OpenCall, OpenFailure};
use crate::core::socket::Socket;
use crate::core::source::{Kind, Source};
use crate::sys::{self, Address, AsRawFd, Errno, Family, RawFd};

impl Registry {
    /// `epoll_create1(2)`, `timerfd_create(2)`.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM, ENOSPC; ENFILE also when all handles are in use.
    pub(crate) fn open_multiplexer(&mut self) -> Result<Handle, OpenFailure> {
        let token = self.multiplexers.insert(Multiplexer::new()?);
        let failure = OpenFailure { call: OpenCall::EpollCreate, errno: Errno::NFILE };
        token.map(Token::handle).ok_or(failure)
    }

    /// The epoll descriptor, for the event loop.
    ///
    /// # Errors
    /// EBADF for a handle that is not a multiplexer's.
    pub(crate) fn epoll_fd(&self, handle: Handle) -> Result<RawFd, Errno> {
        let multiplexer = self.multiplexers.by_handle(handle).ok_or(Errno::BADF)?;
        Ok(multiplexer.epoll.as_raw_fd())
    }

    /// Closes the epoll descriptor. Its sockets and listeners are deregistered and stay open.
    ///
    /// # Errors
    /// EBADF for a handle that is not a multiplexer's.
    pub(crate) fn close_multiplexer(&mut self, handle: Handle) -> Result<(), Errno> {
        let token = self.multiplexers.token(handle).ok_or(Errno::BADF)?;
        let is_registered_here = |source: &Source| source.is_registered_with(token.slot);
        self.sources.remove_all(|source| is_registered_here(source) && source.is_foreign());
        for source in self.sources.values_mut().filter(|source| is_registered_here(source)) {
            source.leave_relay();
            source.registration = None;
        }
        self.multiplexers.remove(token);
        Ok(())
    }

    /// `socket(2)`: a socket that is neither bound nor connected.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM, EAFNOSUPPORT.
    pub(crate) fn open(&mut self, family: Family) -> Result<Handle, Errno> {
        let fd = Descriptor::new(sys::socket(family)?);
        self.insert(Kind::Socket(Socket::new(fd, family != Family::Unix)))
    }

    /// `socket(2)`: as [`Self::open`], a socket of Multipath TCP.
    ///
    /// # Errors
    /// As `sys::multipath_socket`.
    pub(crate) fn open_multipath(&mut self, family: Family) -> Result<Handle, Errno> {
        let fd = Descriptor::new(sys::multipath_socket(family)?);
        self.insert(Kind::Socket(Socket::new(fd, false)))
    }

    /// Takes ownership of a connected or connecting descriptor.
    ///
    /// # Errors
    /// EEXIST for a descriptor that is owned or watched already; the errors of `Socket::adopt`.
    pub(crate) fn adopt_socket(&mut self, fd: RawFd) -> Result<Handle, Errno> {
        self.check_unknown(fd)?;
        let socket = Socket::adopt(fd)?;
        self.insert(Kind::Socket(socket))
    }

    /// Takes ownership of a descriptor that is to be connected.
    ///
    /// # Errors
    /// EEXIST for a descriptor that is owned or watched already; the errors of `Socket::adopt_unconnected`.
    pub(crate) fn adopt_unconnected(&mut self, fd: RawFd) -> Result<Handle, Errno> {
        self.check_unknown(fd)?;
        let socket = Socket::adopt_unconnected(fd)?;
        self.insert(Kind::Socket(socket))
    }

    /// Takes ownership of a bound or listening descriptor; without a backlog, of a listening one.
    ///
    /// # Errors
    /// EEXIST for a descriptor that is owned or watched already; the errors of `Listener::adopt`.
    pub(crate) fn adopt_listener(
        &mut self,
        fd: RawFd,
        backlog: Option<i32>,
    ) -> Result<Handle, Errno> {
        self.check_unknown(fd)?;
        let listener = Listener::adopt(fd, backlog)?;
        self.insert(Kind::Listener(listener))
    }

    /// Checks that no socket or listener of the process owns a descriptor, and no multiplexer of this thread watches it.
    fn check_unknown(&mut self, fd: RawFd) -> Result<(), Errno> {
        Descriptor::check_unowned(fd)?;
        if self.watches(fd) { Err(Errno::EXIST) } else { Ok(()) }
    }

    fn insert(&mut self, kind: Kind) -> Result<Handle, Errno> {
        let token = self.sources.insert(Source::new(kind)).ok_or(Errno::NFILE)?;
        Ok(token.handle())
    }

    /// `bind(2)`.
    ///
    /// # Errors
    /// As bind(2); EBADF for a handle that is neither a socket's nor a listener's.
    pub(crate) fn bind(&mut self, handle: Handle, address: &Address) -> Result<(), Errno> {
        sys::bind(self.fd(handle)?, address)
    }

    /// `listen(2)` on a bound socket, which becomes a listener under the same handle.
    ///
    /// # Errors
    /// EADDRINUSE; EINVAL for a handle that is not a socket's.
    pub(crate) fn listen(&mut self, handle: Handle, backlog: i32) -> Result<(), Errno> {
        let source = self.source_mut(handle)?;
        let Kind::Socket(socket) = &mut source.kind else { return Err(Errno::INVAL) };
        let listener = socket.listen(backlog)?;
        source.kind = Kind::Listener(listener);
        Ok(())
    }

    /// `accept4(2)`.
    ///
    /// # Errors
    /// EAGAIN when no connection is pending; those of `Listener::accept`, with the listener in back-off; EINVAL for a
    /// handle that is not a listener's.
    pub(crate) fn accept(&mut self, handle: Handle) -> Result<Handle, Errno> {
        let token = self.token(handle)?;
        let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
        let Kind::Listener(listener) = &mut source.kind else { return Err(Errno::INVAL) };
        match listener.accept() {
            Ok(socket) => self.insert(Kind::Socket(socket)),
            Err(errno) => {
                if errno != Errno::AGAIN {
                    self.back_off(token);
                }
                Err(errno)
            }
        }
    }

    /// `connect(2)`. Its outcome is reported as readiness.
    ///
    /// # Errors
    /// EBADF for a handle that is not a socket's.
    pub(crate) fn connect(&mut self, handle: Handle, to: &Address) -> Result<(), Errno> {
        self.socket(handle)?.connect(to)
    }

    /// Closes a socket gracefully, a listener at once; a descriptor of the program is only deregistered.
    ///
    /// # Errors
    /// EBADF for a stale handle. The failure of a socket that was met by this, and with which its queue is lost; it is
    /// closed.
    pub(crate) fn close(&mut self, handle: Handle) -> Result<CloseResult, Errno> {
        let token = self.token(handle)?;
        self.leave_relay(token);
        let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
        let mut lost = None;
        if let Kind::Socket(socket) = &mut source.kind {
            let had_failed = socket.failure().is_some();
            if socket.close() {
                return Ok(self.close_after_queue(token));
            }
            lost = socket.failure().filter(|_| !had_failed);
            socket.prepare_close();
        }
        self.remove_source(token);
        lost.map_or(Ok(CloseResult::Closed), |(_, errno)| Err(errno))
    }

    fn close_after_queue(&mut self, token: Token) -> CloseResult {
        let registered = self.sources.get(token).is_some_and(|it| it.registration.is_some());
        self.update_registration(token);
        if registered { CloseResult::AfterQueue } else { CloseResult::Unregistered }
    }

    /// Closes a socket at once, by RST.
    ///
    /// # Errors
    /// EBADF for a handle that is not a socket's.
    pub(crate) fn reset(&mut self, handle: Handle) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.leave_relay(token);
        self.socket(handle)?.reset();
        self.remove_source(token);
        Ok(())
    }

    /// Closes a socket at once, by FIN: what is queued is discarded, and the kernel sends what it has taken.
    ///
    /// # Errors
    /// EBADF for a handle that is not a socket's.
    pub(crate) fn discard(&mut self, handle: Handle) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.leave_relay(token);
        let socket = self.socket(handle)?;
        socket.discard();
        socket.prepare_close();
        self.remove_source(token);
        Ok(())
    }

    /// Frees the handle of a socket or listener, and leaves its descriptor open.
    ///
    /// # Errors
    /// EBADF for any other handle, and after a failed connect.
    pub(crate) fn disown(&mut self, handle: Handle) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.fd(handle)?;
        self.leave_relay(token);
        self.deregister(token);
        match self.sources.remove(token).map(|it| it.kind) {
            Some(Kind::Socket(mut socket)) => socket.disown(),
            Some(Kind::Listener(listener)) => listener.disown(),
            _ => {}
        }
        Ok(())
    }

    /// Deregisters a source, closes its descriptor and frees its slot.
    fn remove_source(&mut self, token: Token) {
        self.deregister(token);
        self.keep_file_ends(token);
        self.sources.remove(token);
    }
}
