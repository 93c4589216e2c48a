//! Sources are registered with a multiplexer, modified and deregistered.

use super::Registry;
use super::foreign::is_closed;
use crate::core::handle::{Handle, Token};
use crate::core::interest::{Interest, Mode};
use crate::core::listener::Serving;
use crate::core::source::{Kind, Registration, Source};
use crate::sys::Errno;

impl Registry {
    /// Registers a socket or listener.
    ///
    /// # Errors
    /// EEXIST when it is registered already; ENOSPC (`max_user_watches`), ENOMEM; EBADF for a stale handle.
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

    /// Whether a source is on the ready list of its multiplexer.
    pub(crate) fn is_listed(&self, handle: Handle) -> bool {
        let source = self.sources.by_handle(handle);
        source.and_then(|it| it.registration.as_ref()).is_some_and(|it| it.listed)
    }

    pub(super) fn register(
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
            backing_off: false,
        });
        source.set_serving(None);
        // What is left to send is tried at once: epoll reports what is ready when it is added.
        if let Some(socket) = source.any_socket() {
            socket.end_starvation();
            socket.set_progress_reported(false);
        }
        if let Err(errno) = self.extend_epoll_flags(token) {
            if let Some(source) = self.sources.get_mut(token) {
                source.registration = None;
            }
            return Err(errno);
        }
        // It has left before, and that is not reported yet: it must not be taken for the end of this registration.
        if let Some(multiplexer) = self.multiplexers.at_mut(slot) {
            multiplexer.detached.retain(|detached| detached.handle != token.handle());
        }
        self.update_registration(token);
        if let Some(source) = self.sources.get_mut(token).filter(|source| source.has_kept_input()) {
            // A receive may have found no memory since. A failed connect has no descriptor that could be polled.
            if source.raw_fd().is_some() {
                source.readiness_mut().invalidate();
            }
            self.push_ready(token);
        }
        Ok(())
    }

    /// Changes interest and mode, enables a oneshot registration again, and makes the readiness unverified.
    ///
    /// # Errors
    /// ENOENT when the source is not registered with this multiplexer; EBADF for a stale handle; of a foreign source EBADF
    /// for a descriptor that was closed meanwhile, and ENOMEM. The registration then stays as it was.
    ///
    /// # Notes
    /// What `epoll_ctl(2)` refuses for a source of our own is tried again after a back-off: a program that waits for room
    /// has written already, and the event alone says when there is some.
    pub(crate) fn modify(
        &mut self,
        multiplexer: Handle,
        handle: Handle,
        interest: Interest,
        mode: Mode,
    ) -> Result<(), Errno> {
        self.watch_for(multiplexer, handle, (interest, mode), None)
    }

    /// As `modify`, and sets whether and how waits accept the connections of a listener.
    ///
    /// # Errors
    /// As `modify`.
    pub(super) fn watch_for(
        &mut self,
        multiplexer: Handle,
        handle: Handle,
        (interest, mode): (Interest, Mode),
        serving: Option<Serving>,
    ) -> Result<(), Errno> {
        let token = self.member(multiplexer, handle)?;
        let source = self.sources.get_mut(token).ok_or(Errno::BADF)?;
        if source.is_stale() {
            return Err(Errno::BADF);
        }
        if source.is_relayed() {
            return Err(Errno::BUSY);
        }
        let previous = source.set_interest((interest, mode, false));
        source.set_serving(serving);
        if let Err(errno) = self.extend_epoll_flags(token) {
            match self.sources.get_mut(token).filter(|source| source.is_foreign()) {
                Some(source) => {
                    previous.and_then(|previous| source.set_interest(previous));
                    return Err(if is_closed(Err(errno)) { Errno::BADF } else { errno });
                }
                None => self.back_off(token),
            }
        }
        // A source in back-off would hit the limit again, and is verified at its end. A failed connect has no descriptor that could be polled.
        if let Some(source) = self.sources.get_mut(token)
            && !source.is_backing_off()
            && source.raw_fd().is_some()
        {
            source.readiness_mut().invalidate();
        }
        self.push_ready(token);
        Ok(())
    }

    /// Deregisters a source.
    ///
    /// # Errors
    /// ENOENT when the source is not registered with this multiplexer; EBADF for a stale handle.
    pub(crate) fn remove(&mut self, multiplexer: Handle, handle: Handle) -> Result<(), Errno> {
        let token = self
            .member(multiplexer, handle)
            .inspect_err(|_| self.forget_detached(multiplexer, handle))?;
        self.leave_relay(token);
        self.deregister(token);
        if self.sources.get(token).is_some_and(Source::is_foreign) {
            self.sources.remove(token);
        }
        Ok(())
    }

    /// That a source has left is not reported any more: its owner has removed it.
    fn forget_detached(&mut self, multiplexer: Handle, handle: Handle) {
        let token = self.multiplexers.token(multiplexer);
        if let Some(entry) = token.and_then(|token| self.multiplexers.get_mut(token)) {
            entry.detached.retain(|detached| detached.is_closed || detached.handle != handle);
        }
    }

    fn member(&self, multiplexer: Handle, handle: Handle) -> Result<Token, Errno> {
        let slot = self.multiplexers.token(multiplexer).ok_or(Errno::BADF)?.slot;
        let token = self.token(handle)?;
        let source = self.sources.get(token).ok_or(Errno::BADF)?;
        if source.is_registered_with(slot) { Ok(token) } else { Err(Errno::NOENT) }
    }

    /// `EPOLL_CTL_ADD` or `EPOLL_CTL_MOD`, if epoll does not monitor all flags that the source needs.
    ///
    /// Flags that are not needed any more stay until they fire: most of them are needed again soon.
    pub(super) fn extend_epoll_flags(&mut self, token: Token) -> Result<(), Errno> {
        let Some(source) = self.sources.get_mut(token) else { return Ok(()) };
        let (needed, is_foreign) = (source.needed_flags(), source.is_foreign());
        let Some(fd) = source.raw_fd() else { return Ok(()) };
        let Some(registration) = &mut source.registration else { return Ok(()) };
        let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer) else {
            return Ok(());
        };
        let extended = registration.epoll_flags | needed;
        let is_new = registration.epoll_flags == 0;
        if is_new {
            match multiplexer.epoll.add(fd, extended, token.raw()) {
                // A registration of the same socket that could not be deleted.
                Err(Errno::EXIST) if !is_foreign && !multiplexer.foreign.contains_key(&fd) => {
                    multiplexer.epoll.modify(fd, extended, token.raw())?;
                }
                added => added?,
            }
        } else if is_foreign || extended != registration.epoll_flags {
            // The program may have closed a descriptor of its own: see `is_closed`.
            multiplexer.epoll.modify(fd, extended, token.raw())?;
        }
        registration.epoll_flags = extended;
        if is_new && (is_foreign || !multiplexer.foreign.is_empty()) {
            self.take_number(token, fd);
        }
        Ok(())
    }

    /// `EPOLL_CTL_MOD` to the flags that the source needs. What is ready is reported again.
    pub(super) fn narrow_epoll_flags(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let needed = source.needed_flags();
        let Some(fd) = source.raw_fd() else { return };
        let Some(registration) = &mut source.registration else { return };
        let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer) else { return };
        // After ENOMEM the old flags stay, and it is tried again after a back-off.
        match multiplexer.epoll.modify(fd, needed, token.raw()) {
            Ok(()) => registration.epoll_flags = needed,
            Err(_) => self.back_off(token),
        }
    }

    /// `EPOLL_CTL_DEL`, always before close(2).
    ///
    /// # Notes
    /// epoll(7): a registration ends only when all duplicates of the descriptor are closed. Until then it reports
    /// events, and cannot be deleted, since its number is closed in this process.
    pub(super) fn deregister(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let (fd, is_foreign, is_stale) = (source.raw_fd(), source.is_foreign(), source.is_stale());
        let Some(registration) = source.registration.take() else { return };
        let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer) else { return };
        if let (Some(fd), true, false) = (fd, registration.epoll_flags != 0, is_stale) {
            // EBADF: the program has closed a descriptor of its own before it removed it.
            let _ = multiplexer.epoll.delete(fd);
            if is_foreign {
                multiplexer.foreign.remove(&fd);
            }
        }
        if registration.backing_off {
            multiplexer.cancel_back_off(token);
        }
        if registration.referenced {
            self.set_reference(registration.multiplexer, false);
        }
    }

    /// Updates a registration after a change of its socket's queue or state.
    pub(super) fn update_registration(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        if let Kind::Socket(socket) = &source.kind
            && socket.is_closed()
        {
            self.discard_failed_connect(token);
            return self.report_files(token);
        }
        let (has_output, is_starved) = (source.has_output(), source.is_starved());
        let Some(registration) = &mut source.registration else { return };
        if registration.referenced != has_output {
            registration.referenced = has_output;
            let slot = registration.multiplexer;
            self.set_reference(slot, has_output);
        }
        // After ENOMEM of epoll_ctl(2) there would be no edge either.
        if is_starved || has_output && self.extend_epoll_flags(token).is_err() {
            self.back_off(token);
        }
        self.report_files(token);
    }

    /// Closes the descriptor of a failed connect. The failure is still reported.
    fn discard_failed_connect(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let fd = source.raw_fd();
        if let Kind::Socket(socket) = &mut source.kind {
            if let (Some(fd), Some(registration)) = (fd, &mut source.registration)
                && let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer)
            {
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
        self.push_ready(token);
    }
}
