//! Sources are registered with a multiplexer, modified and deregistered.

use std::os::fd::RawFd;

use super::Registry;
use crate::core::handle::{Handle, Token};
use crate::core::interest::{Interest, Mode};
use crate::core::readiness::Readiness;
use crate::core::source::{Kind, Registration, Source};
use crate::sys::{self, Errno};

impl Registry {
    /// Registers a socket or listener.
    ///
    /// # Errors
    /// EEXIST when it has a multiplexer already; ENOSPC (`max_user_watches`), ENOMEM.
    pub(crate) fn add(
        &mut self,
        multiplexer: Handle,
        handle: Handle,
        interest: Interest,
        mode: Mode,
    ) -> Result<(), Errno> {
        let slot = self.multiplexers.token(multiplexer).ok_or(Errno::BADF)?.slot;
        let token = self.token(handle)?;
        self.register(slot, token, interest, mode)
    }

    /// Registers somebody else's descriptor.
    ///
    /// # Errors
    /// EBADF, EPERM for what epoll cannot watch (a regular file), EEXIST when it is watched here.
    pub(crate) fn add_descriptor(
        &mut self,
        multiplexer: Handle,
        fd: RawFd,
        interest: Interest,
        mode: Mode,
    ) -> Result<Handle, Errno> {
        let slot = self.multiplexers.token(multiplexer).ok_or(Errno::BADF)?.slot;
        sys::is_descriptor(fd)?;
        let source = Source::new(Kind::Foreign(fd, Readiness::UNKNOWN));
        let token = self.sources.insert(source).ok_or(Errno::NFILE)?;
        if let Err(errno) = self.register(slot, token, interest, mode) {
            self.sources.remove(token);
            return Err(errno);
        }
        Ok(token.handle())
    }

    fn register(
        &mut self,
        slot: u32,
        token: Token,
        interest: Interest,
        mode: Mode,
    ) -> Result<(), Errno> {
        let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
        if source.registration.is_some() {
            return Err(Errno::EXIST);
        }
        source.registration = Some(Registration {
            multiplexer: slot,
            interest,
            mode,
            epoll_flags: 0,
            listed: false,
            disabled: false,
            referenced: false,
        });
        if let Err(errno) = self.extend_epoll_flags(token) {
            if let Some(source) = self.sources.get_mut(token) {
                source.registration = None;
            }
            return Err(errno);
        }
        self.refresh(token);
        // What was put back has left the kernel: no edge will tell of it.
        if self.sources.get(token).is_some_and(Source::has_unread) {
            self.list_ready(token);
        }
        Ok(())
    }

    /// Changes interest and mode, and asks the kernel anew; re-arms a one-shot.
    ///
    /// # Errors
    /// ENOENT when the source is not in this multiplexer.
    pub(crate) fn modify(
        &mut self,
        multiplexer: Handle,
        handle: Handle,
        interest: Interest,
        mode: Mode,
    ) -> Result<(), Errno> {
        let token = self.member(multiplexer, handle)?;
        let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
        if let Some(registration) = &mut source.registration {
            registration.interest = interest;
            registration.mode = mode;
            registration.disabled = false;
        }
        // Whoever backs off would only meet the same limit: it is looked at again in its time.
        if !source.backs_off() {
            source.readiness_mut().invalidate();
        }
        self.extend_epoll_flags(token)?;
        self.list_ready(token);
        Ok(())
    }

    /// # Errors
    /// ENOENT when the source is not in this multiplexer.
    pub(crate) fn remove(&mut self, multiplexer: Handle, handle: Handle) -> Result<(), Errno> {
        let token = self.member(multiplexer, handle)?;
        self.deregister(token);
        if self.sources.get(token).is_some_and(Source::is_foreign) {
            self.sources.remove(token);
        }
        Ok(())
    }

    fn member(&self, multiplexer: Handle, handle: Handle) -> Result<Token, Errno> {
        let slot = self.multiplexers.token(multiplexer).ok_or(Errno::BADF)?.slot;
        let token = self.token(handle)?;
        let source = self.sources.get(token).ok_or(Errno::BADF)?;
        match &source.registration {
            Some(registration) if registration.multiplexer == slot => Ok(token),
            _ => Err(Errno::NOENT),
        }
    }

    /// Makes the kernel watch for all that the source needs now. What it watches for beyond that
    /// is taken back only when it fires: most interest that ends soon begins anew.
    pub(super) fn extend_epoll_flags(&mut self, token: Token) -> Result<(), Errno> {
        let Some(source) = self.sources.get_mut(token) else { return Ok(()) };
        let needed_flags = source.needed_flags();
        let Some(fd) = source.raw_fd() else { return Ok(()) };
        let Some(registration) = &mut source.registration else { return Ok(()) };
        let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer) else {
            return Ok(());
        };
        let wanted = registration.epoll_flags | needed_flags;
        if registration.epoll_flags == 0 {
            multiplexer.epoll.add(fd, wanted, token.raw())?;
        } else if wanted != registration.epoll_flags {
            multiplexer.epoll.modify(fd, wanted, token.raw())?;
        }
        registration.epoll_flags = wanted;
        Ok(())
    }

    /// Narrows what the kernel watches for to what is needed; readiness that holds fires anew.
    pub(super) fn narrow_epoll_flags(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let needed_flags = source.needed_flags();
        let Some(fd) = source.raw_fd() else { return };
        let Some(registration) = &mut source.registration else { return };
        let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer) else { return };
        // Only ENOMEM could come of it, and then the wider watch stays.
        if multiplexer.epoll.modify(fd, needed_flags, token.raw()).is_ok() {
            registration.epoll_flags = needed_flags;
        }
    }

    /// `EPOLL_CTL_DEL` before `close(2)`, always: a duplicate of the descriptor anywhere would keep
    /// the registration alive under a number that is dead here.
    pub(super) fn deregister(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let fd = source.raw_fd();
        let Some(registration) = source.registration.take() else { return };
        let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer) else { return };
        if let (Some(fd), true) = (fd, registration.epoll_flags != 0) {
            // EBADF: somebody else's descriptor, closed before it was removed here.
            let _ = multiplexer.epoll.delete(fd);
        }
        if registration.referenced {
            self.set_reference(registration.multiplexer, false);
        }
    }

    /// After anything that may have changed a socket's queue or its life.
    pub(super) fn refresh(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        if let Kind::Socket(socket) = &source.kind
            && socket.is_closed()
        {
            return self.discard_failed_connect(token);
        }
        let has_output = source.has_output();
        let Some(registration) = &mut source.registration else { return };
        if registration.referenced != has_output {
            registration.referenced = has_output;
            let slot = registration.multiplexer;
            self.set_reference(slot, has_output);
        }
        if has_output {
            // ENOMEM leaves the queue to the next flush.
            let _ = self.extend_epoll_flags(token);
        }
    }

    /// A failed connect: the descriptor goes at once, the news of it stays.
    fn discard_failed_connect(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let fd = source.raw_fd();
        if let Kind::Socket(socket) = &mut source.kind {
            if let (Some(fd), Some(registration)) = (fd, &mut source.registration)
                && let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer)
            {
                // It stands there: it has not left.
                let _ = multiplexer.epoll.delete(fd);
                registration.epoll_flags = 0;
            }
            socket.discard_failed();
        }
        if let Some(registration) = &mut source.registration
            && std::mem::take(&mut registration.referenced)
        {
            let slot = registration.multiplexer;
            self.set_reference(slot, false);
        }
        self.list_ready(token);
    }
}
