//! Sources and multiplexers are opened and closed.

use std::os::fd::{AsRawFd, RawFd};

use super::{CloseResult, Registry};
use crate::core::handle::{Handle, Token};
use crate::core::listener::Listener;
use crate::core::multiplexer::Multiplexer;
use crate::core::socket::Socket;
use crate::core::source::{Kind, Source};
use crate::sys::{self, Address, Errno, Family};

impl Registry {
    pub(crate) fn open_multiplexer(&mut self) -> Result<Handle, Errno> {
        let multiplexer = Multiplexer::new()?;
        self.multiplexers.insert(multiplexer).map(Token::handle).ok_or(Errno::NFILE)
    }

    /// The epoll descriptor itself: for Node's loop to watch.
    pub(crate) fn epoll_fd(&self, handle: Handle) -> Result<RawFd, Errno> {
        let multiplexer = self.multiplexers.by_handle(handle).ok_or(Errno::BADF)?;
        Ok(multiplexer.epoll.as_raw_fd())
    }

    /// Closes the epoll descriptor; its sources are deregistered and live on.
    pub(crate) fn close_multiplexer(&mut self, handle: Handle) -> Result<(), Errno> {
        let token = self.multiplexers.token(handle).ok_or(Errno::BADF)?;
        let here = |source: &Source| {
            source
                .registration
                .as_ref()
                .is_some_and(|registration| registration.multiplexer == token.slot)
        };
        self.sources.remove_all(|source| here(source) && source.is_foreign());
        for source in self.sources.values_mut().filter(|source| here(source)) {
            source.registration = None;
        }
        self.multiplexers.remove(token);
        Ok(())
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
}
