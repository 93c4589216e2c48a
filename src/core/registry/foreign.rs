//! Descriptors of the program. It may close one before it removes it, and the kernel then gives its number to another
//! one: `epoll_ctl(2)` and poll(2) by that number would concern the newcomer.

use super::Registry;
use crate::core::handle::{Handle, Token};
use crate::core::interest::{Interest, Mode};
use crate::core::multiplexer::Multiplexer;
use crate::core::readiness::Readiness;
use crate::core::source::{Kind, Source};
use crate::sys::{self, Errno, PollFd, RawFd, flags};

impl Registry {
    /// Registers a descriptor that stays the program's.
    ///
    /// # Errors
    /// EBADF for a closed descriptor; EPERM for one that epoll does not support (a regular file); EEXIST when it is
    /// registered with this multiplexer already; ENOSPC (`max_user_watches`), ENOMEM.
    pub(crate) fn add_descriptor(
        &mut self,
        multiplexer: Handle,
        fd: RawFd,
        interest: Interest,
        mode: Mode,
    ) -> Result<Handle, Errno> {
        let slot = self.multiplexers.token(multiplexer).ok_or(Errno::BADF)?.slot;
        sys::check_open(fd)?;
        let source = Source::new(Kind::Foreign(fd, Readiness::UNVERIFIED));
        let token = self.sources.insert(source).ok_or(Errno::NFILE)?;
        if let Err(errno) = self.register(slot, token, interest, mode) {
            self.sources.remove(token);
            return Err(errno);
        }
        Ok(token.handle())
    }

    /// Takes note that epoll watches a number for a source. A descriptor of the program that had the number before has
    /// been closed: `EPOLL_CTL_ADD` would have failed with EEXIST.
    pub(super) fn take_number(&mut self, token: Token, fd: RawFd) {
        let Some(source) = self.sources.get(token) else { return };
        let Some(registration) = &source.registration else { return };
        let Some(multiplexer) = self.multiplexers.at_mut(registration.multiplexer) else { return };
        let previous = if source.is_foreign() {
            multiplexer.foreign.insert(fd, token)
        } else {
            multiplexer.foreign.remove(&fd)
        };
        if let Some(source) = previous.and_then(|token| self.sources.get_mut(token)) {
            source.set_stale();
        }
    }

    /// Leaves out of what is to be polled the descriptors of the program that are closed: poll(2) by such a number would
    /// be of another descriptor, which need not be registered here.
    pub(super) fn leave_out_stale(
        &mut self,
        multiplexer: Token,
        requests: &mut Vec<(Token, PollFd)>,
    ) {
        let Some(entry) = self.multiplexers.get_mut(multiplexer) else { return };
        if entry.foreign.is_empty() {
            return;
        }
        let sources = &mut self.sources;
        requests.retain(|(token, _)| {
            let Some(source) = sources.get_mut(*token) else { return false };
            let Kind::Foreign(fd, _) = source.kind else { return true };
            let is_stale = source.is_stale() || !entry.still_watches(fd);
            if is_stale {
                source.set_stale();
                entry.foreign.remove(&fd);
            }
            !is_stale
        });
    }

    /// Whether a multiplexer watches a descriptor as the program's.
    pub(super) fn watches(&mut self, fd: RawFd) -> bool {
        for multiplexer in self.multiplexers.values_mut() {
            let Some(token) = multiplexer.foreign.get(&fd) else { continue };
            if multiplexer.still_watches(fd) {
                return true;
            }
            if let Some(source) = self.sources.get_mut(*token) {
                source.set_stale();
            }
            multiplexer.foreign.remove(&fd);
        }
        false
    }
}

impl Multiplexer {
    /// Whether a number still is the descriptor that was registered with it: `EPOLL_CTL_ADD`, which has no effect then.
    fn still_watches(&self, fd: RawFd) -> bool {
        match self.epoll.add(fd, flags::ET, Token::NONE.raw()) {
            Ok(()) => {
                let _ = self.epoll.delete(fd);
                false
            }
            // EEXIST; it is not known after ENOMEM.
            Err(Errno::EXIST | Errno::NOMEM) => true,
            Err(_) => false,
        }
    }
}

/// Whether `EPOLL_CTL_MOD` says that a number is not the descriptor that was registered: it is closed, or another one, the
/// epoll descriptor itself (EINVAL), or a file of a disk (EPERM).
pub(super) fn is_closed(modified: Result<(), Errno>) -> bool {
    matches!(modified, Err(Errno::NOENT | Errno::BADF | Errno::INVAL | Errno::PERM))
}
