//! Whatever a multiplexer can watch, and its registration in one.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Instant;

use super::interest::{Interest, Mode};
use super::listener::Listener;
use super::multiplexer::event_bits;
use super::readiness::Readiness;
use super::socket::Socket;
use crate::sys::{Errno, flags};

pub(crate) enum Kind {
    Socket(Socket),
    Listener(Listener),
    /// Somebody else's descriptor: watched, never read, written or closed.
    Foreign(RawFd, Readiness),
}

/// A registration in a multiplexer.
pub(super) struct Registration {
    /// The multiplexer's slot.
    pub(super) multiplexer: u32,
    pub(super) interest: Interest,
    pub(super) mode: Mode,
    /// The flags that the kernel watches for.
    pub(super) epoll_flags: u32,
    /// Whether the source stands on the ready list.
    pub(super) listed: bool,
    /// One-shot, and told.
    pub(super) disabled: bool,
    /// Whether queued output of this source holds the multiplexer, and with it the process.
    pub(super) referenced: bool,
}

pub(crate) struct Source {
    pub(super) kind: Kind,
    pub(super) registration: Option<Registration>,
}

impl Source {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, registration: None }
    }

    /// Whether it is here only as long as it is watched.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.kind, Kind::Foreign(..))
    }

    pub(super) fn raw_fd(&self) -> Option<RawFd> {
        match &self.kind {
            Kind::Socket(socket) => socket.raw_fd(),
            Kind::Listener(listener) => Some(listener.fd().as_raw_fd()),
            Kind::Foreign(fd, _) => Some(*fd),
        }
    }

    /// # Errors
    /// EBADF for somebody else's descriptor, or one that is gone.
    pub(super) fn own_fd(&self) -> Result<BorrowedFd<'_>, Errno> {
        match &self.kind {
            Kind::Socket(socket) => socket.fd(),
            Kind::Listener(listener) => Ok(listener.fd()),
            Kind::Foreign(..) => Err(Errno::BADF),
        }
    }

    fn readiness(&self) -> &Readiness {
        match &self.kind {
            Kind::Socket(socket) => &socket.readiness,
            Kind::Listener(listener) => &listener.readiness,
            Kind::Foreign(_, readiness) => readiness,
        }
    }

    pub(super) fn readiness_mut(&mut self) -> &mut Readiness {
        match &mut self.kind {
            Kind::Socket(socket) => &mut socket.readiness,
            Kind::Listener(listener) => &mut listener.readiness,
            Kind::Foreign(_, readiness) => readiness,
        }
    }

    /// Takes in an edge; tells whether work was left over that no further edge will announce.
    pub(super) fn merge(&mut self, flags: u32) -> bool {
        match &mut self.kind {
            Kind::Socket(socket) => socket.merge(flags),
            Kind::Listener(listener) => {
                listener.readiness.merge(flags);
                false
            }
            Kind::Foreign(_, readiness) => {
                readiness.merge(flags);
                false
            }
        }
    }

    /// Replaces unverified states by what poll(2) says, which knows nothing of what was put back.
    pub(super) fn verify(&mut self, polled: u32) {
        let ours = if self.has_unread() { flags::IN } else { 0 };
        self.readiness_mut().verify(polled | ours);
    }

    /// Whether input waits that was put back, and has left the kernel.
    pub(super) fn has_unread(&self) -> bool {
        matches!(&self.kind, Kind::Socket(socket) if socket.has_unread())
    }

    /// Whether what these bits tell of may be received at once. An end or an error is left to the
    /// owner: it is met behind all that came before.
    pub(super) fn is_prefetched(&self, bits: u32) -> bool {
        let (Kind::Socket(socket), Some(registration)) = (&self.kind, &self.registration) else {
            return false;
        };
        let is_input = bits & !event_bits::WRITABLE == event_bits::READABLE;
        is_input && registration.interest.prefetch && !socket.receives_large()
    }

    /// Whether queued output waits.
    pub(super) fn has_output(&self) -> bool {
        matches!(&self.kind, Kind::Socket(socket) if socket.has_output())
    }

    /// Whether the source is here only to connect and to empty its queue, and has.
    pub(super) fn should_detach(&self) -> bool {
        let Kind::Socket(socket) = &self.kind else { return false };
        let unasked = |registration: &Registration| registration.interest == Interest::NONE;
        let is_guest = self.registration.as_ref().is_some_and(unasked);
        socket.is_finished() || is_guest && !socket.awaits_writable() && !socket.discards()
    }

    /// What the owner asks for and may still be told.
    pub(super) fn reportable(&self) -> Interest {
        let Some(registration) = &self.registration else { return Interest::NONE };
        if registration.disabled {
            return Interest::NONE;
        }
        let Interest { read, write, .. } = registration.interest;
        match &self.kind {
            Kind::Socket(socket) => {
                let (read, write) =
                    (read && socket.reports_readable(), write && socket.reports_writable());
                Interest { read, write, ..registration.interest }
            }
            Kind::Listener(_) => Interest { read, ..Interest::NONE },
            Kind::Foreign(..) => registration.interest,
        }
    }

    /// The flags that epoll has to watch for now. PRI is watched for since it marks where a read
    /// stops short; edge-triggered, it does not spin.
    pub(super) fn needed_flags(&self) -> u32 {
        let Some(registration) = &self.registration else { return 0 };
        let asked = if registration.disabled { Interest::NONE } else { registration.interest };
        let (read, write) = match &self.kind {
            Kind::Socket(socket) => (
                asked.read && socket.reports_readable() || socket.discards(),
                asked.write || socket.awaits_writable(),
            ),
            _ => (asked.read, asked.write),
        };
        let mut needed_flags = flags::ET;
        if read {
            needed_flags |= flags::IN | flags::RDHUP | flags::PRI;
        }
        if write {
            needed_flags |= flags::OUT;
        }
        needed_flags
    }

    /// The bits to report, 0 when there are none.
    pub(super) fn pending_bits(&self) -> u32 {
        let Some(registration) = &self.registration else { return 0 };
        let readiness = self.readiness();
        if readiness.is_quiet() {
            return 0;
        }
        let reportable = self.reportable();
        let mut bits = 0;
        if reportable.read && readiness.can_read() {
            bits |= event_bits::READABLE;
        }
        if reportable.write && readiness.can_write() {
            bits |= event_bits::WRITABLE;
        }
        if bits == 0 && (!readiness.has_alarm() || registration.disabled || self.is_closing()) {
            return 0;
        }
        for (flag, bit) in [
            (flags::RDHUP | flags::HUP, event_bits::READ_ENDED),
            (flags::HUP, event_bits::HANGUP),
            (flags::ERR, event_bits::ERROR),
        ] {
            if readiness.has(flag) {
                bits |= bit;
            }
        }
        bits
    }

    /// Whether an exhausted listener is to be left alone for now.
    pub(super) fn backs_off(&self) -> bool {
        let Kind::Listener(listener) = &self.kind else { return false };
        listener.back_off.is_some_and(|end| end > Instant::now())
    }

    fn is_closing(&self) -> bool {
        matches!(&self.kind, Kind::Socket(socket) if socket.is_closing())
    }

    /// Whether a doubt about a direction that is asked for has to be settled.
    pub(super) fn is_unverified(&self) -> bool {
        let Some(registration) = &self.registration else { return false };
        let reportable = self.reportable();
        // An edge tells writable once; a doubt about it comes from somebody asking anew.
        self.readiness().is_unverified(reportable.read, reportable.write) && !registration.disabled
    }

    /// The bits have been reported.
    pub(super) fn set_reported(&mut self) {
        let Some(registration) = &mut self.registration else { return };
        registration.disabled = registration.mode == Mode::Oneshot;
        let level = registration.mode == Mode::Level;
        self.readiness_mut().set_reported(level);
    }
}
