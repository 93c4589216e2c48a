//! A source: anything that a multiplexer can report events of, and its registration.

use super::interest::{Interest, Mode};
use super::listener::{Listener, Serving};
use super::multiplexer::event_bits;
use super::readiness::Readiness;
use super::relay::Direction;
use super::socket::Socket;
use crate::sys::{AsRawFd, BorrowedFd, Errno, RawFd, flags};

pub(crate) enum Kind {
    Socket(Socket),
    /// A socket of a relay: what it receives is sent by another one.
    Relayed(Socket, Box<Direction>),
    Listener(Listener),
    /// A descriptor of the program: registered, and never read, written or closed here. A negative one is stale.
    Foreign(RawFd, Readiness),
}

/// The number of a descriptor that the program has closed: epoll(7) refuses it, and poll(2) ignores it.
const STALE: RawFd = -1;

/// The registration of a source with a multiplexer.
#[allow(clippy::struct_excessive_bools, reason = "none follows from the others")]
pub(super) struct Registration {
    /// The slot of the multiplexer.
    pub(super) multiplexer: u32,
    pub(super) interest: Interest,
    pub(super) mode: Mode,
    /// The flags that epoll monitors; 0 when the descriptor is not in its interest list.
    pub(super) epoll_flags: u32,
    /// Whether the source is on the ready list.
    pub(super) listed: bool,
    /// Whether a oneshot registration has been reported.
    pub(super) disabled: bool,
    /// Whether the source counts in `Multiplexer::references`.
    pub(super) referenced: bool,
    /// Whether the source is in back-off: its multiplexer's timer ends it.
    pub(super) backing_off: bool,
}

pub(crate) struct Source {
    pub(super) kind: Kind,
    pub(super) registration: Option<Registration>,
}

impl Source {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, registration: None }
    }

    /// Whether it is registered with the multiplexer of a slot.
    pub(super) fn is_registered_with(&self, multiplexer: u32) -> bool {
        self.registration.as_ref().is_some_and(|it| it.multiplexer == multiplexer)
    }

    pub(super) fn is_relayed(&self) -> bool {
        matches!(self.kind, Kind::Relayed(..))
    }

    /// Why an action on a socket is refused.
    pub(super) fn not_a_socket(&self) -> Errno {
        if self.is_relayed() { Errno::BUSY } else { Errno::BADF }
    }

    /// The socket, also of a relay.
    pub(super) fn any_socket(&mut self) -> Option<&mut Socket> {
        match &mut self.kind {
            Kind::Socket(socket) | Kind::Relayed(socket, _) => Some(socket),
            _ => None,
        }
    }

    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.kind, Kind::Foreign(..))
    }

    /// Whether it is a descriptor of the program's that is known to have been closed before it was removed.
    pub(super) fn is_stale(&self) -> bool {
        matches!(&self.kind, Kind::Foreign(STALE, _))
    }

    /// The program has closed the descriptor: nothing may be done by its number any more.
    pub(super) fn set_stale(&mut self) {
        if let Kind::Foreign(fd, readiness) = &mut self.kind {
            *fd = STALE;
            readiness.clear();
        }
    }

    pub(super) fn raw_fd(&self) -> Option<RawFd> {
        match &self.kind {
            Kind::Socket(socket) | Kind::Relayed(socket, _) => socket.raw_fd(),
            Kind::Listener(listener) => Some(listener.fd().as_raw_fd()),
            Kind::Foreign(fd, _) => Some(*fd),
        }
    }

    /// # Errors
    /// EBADF for a descriptor of the program, and after a failed connect.
    pub(super) fn own_fd(&self) -> Result<BorrowedFd<'_>, Errno> {
        match &self.kind {
            Kind::Socket(socket) | Kind::Relayed(socket, _) => socket.fd(),
            Kind::Listener(listener) => Ok(listener.fd()),
            Kind::Foreign(..) => Err(Errno::BADF),
        }
    }

    /// The kind, for another one to be put into its place.
    pub(super) fn take_kind(&mut self) -> Kind {
        std::mem::replace(&mut self.kind, Kind::Foreign(STALE, Readiness::UNVERIFIED))
    }

    fn readiness(&self) -> &Readiness {
        match &self.kind {
            Kind::Socket(socket) | Kind::Relayed(socket, _) => &socket.readiness,
            Kind::Listener(listener) => &listener.readiness,
            Kind::Foreign(_, readiness) => readiness,
        }
    }

    pub(super) fn readiness_mut(&mut self) -> &mut Readiness {
        match &mut self.kind {
            Kind::Socket(socket) | Kind::Relayed(socket, _) => &mut socket.readiness,
            Kind::Listener(listener) => &mut listener.readiness,
            Kind::Foreign(_, readiness) => readiness,
        }
    }

    /// Merges the flags of an edge-triggered event. Returns whether work is left for which there will be no edge.
    pub(super) fn merge(&mut self, flags: u32) -> bool {
        match &mut self.kind {
            Kind::Socket(socket) | Kind::Relayed(socket, _) => socket.merge(flags),
            Kind::Listener(listener) => {
                listener.readiness.merge(flags);
                false
            }
            // epoll(7): duplicates of a closed descriptor keep its registration.
            Kind::Foreign(STALE, _) => false,
            Kind::Foreign(_, readiness) => {
                readiness.merge(flags);
                false
            }
        }
    }

    /// Sets what is reported, how often, and whether a oneshot registration has been reported; returns what was set.
    pub(super) fn set_interest(
        &mut self,
        (interest, mode, disabled): (Interest, Mode, bool),
    ) -> Option<(Interest, Mode, bool)> {
        let registration = self.registration.as_mut()?;
        let previous = (registration.interest, registration.mode, registration.disabled);
        registration.interest = interest;
        registration.mode = mode;
        registration.disabled = disabled;
        Some(previous)
    }

    /// Sets whether and how waits accept the connections of a listener.
    pub(super) fn set_serving(&mut self, serving: Option<Serving>) {
        if let Kind::Listener(listener) = &mut self.kind {
            listener.serving = serving;
        }
    }

    /// Ends a back-off: what is left to do is tried again, or reported when poll(2) has verified it.
    pub(super) fn end_back_off(&mut self) {
        if let Kind::Socket(socket) | Kind::Relayed(socket, _) = &mut self.kind {
            socket.end_starvation();
        }
        self.readiness_mut().invalidate();
    }

    /// Whether sends and receives have to wait for memory.
    pub(super) fn is_starved(&self) -> bool {
        matches!(&self.kind, Kind::Socket(socket) | Kind::Relayed(socket, _) if socket.is_starved())
    }

    /// Replaces unverified readiness by the flags that poll(2) returned.
    pub(super) fn verify(&mut self, polled: u32) {
        let flags = match &mut self.kind {
            Kind::Socket(socket) => socket.verified_flags(polled),
            _ => polled,
        };
        self.readiness_mut().verify(flags);
    }

    /// As `verify`, where poll(2) has failed: what is known to last is ready.
    pub(super) fn verify_unpolled(&mut self) {
        let lasting = self.readiness().lasting();
        self.verify(lasting);
    }

    /// Whether a receive would return something that epoll does not report.
    pub(super) fn has_kept_input(&self) -> bool {
        matches!(&self.kind, Kind::Socket(socket) if socket.kept_flags() != 0)
    }

    /// Whether a wait prefetches the bytes that these event bits report. An end or an error is left to the owner, who
    /// receives the bytes before it first.
    pub(super) fn is_prefetched(&self, bits: u32) -> bool {
        let (Kind::Socket(socket), Some(registration)) = (&self.kind, &self.registration) else {
            return false;
        };
        let is_input = bits & !event_bits::WRITABLE == event_bits::READABLE;
        is_input && registration.interest.prefetch && !socket.receives_large()
    }

    pub(super) fn has_output(&self) -> bool {
        matches!(&self.kind, Kind::Socket(socket) if socket.has_output())
    }

    /// Whether a flush-only registration, or a socket that is closing, has nothing left to do.
    pub(super) fn should_detach(&self) -> bool {
        let Kind::Socket(socket) = &self.kind else { return false };
        let is_flush_only =
            self.registration.as_ref().is_some_and(|it| it.interest == Interest::NONE);
        let has_work = socket.awaits_writable() || socket.discards() || socket.has_unsent();
        socket.is_finished() || is_flush_only && !has_work
    }

    /// The part of the interest that can be reported now.
    pub(super) fn reportable(&self) -> Interest {
        let Some(registration) = &self.registration else { return Interest::NONE };
        if registration.disabled {
            return Interest::NONE;
        }
        let Interest { read, write, .. } = registration.interest;
        match &self.kind {
            Kind::Socket(socket) => {
                let read = read && socket.reports_readable();
                let write = write && socket.reports_writable();
                Interest { read, write, ..registration.interest }
            }
            Kind::Relayed(..) => Interest::NONE,
            Kind::Listener(it) => Interest { read: read && !it.is_full(), ..Interest::NONE },
            Kind::Foreign(..) => registration.interest,
        }
    }

    /// The flags that epoll has to monitor now.
    ///
    /// # Notes
    /// PRI marks the position at which a read stops short: tcp(7). Edge-triggered, an unread urgent byte is reported
    /// once.
    pub(super) fn needed_flags(&self) -> u32 {
        let Some(registration) = &self.registration else { return 0 };
        let interest = if registration.disabled { Interest::NONE } else { registration.interest };
        let (read, write) = match &self.kind {
            Kind::Socket(socket) => (
                interest.read && socket.reports_readable() || socket.discards(),
                interest.write || socket.awaits_writable(),
            ),
            Kind::Relayed(..) => (true, true),
            Kind::Listener(listener) => (interest.read && !listener.is_full(), interest.write),
            Kind::Foreign(..) => (interest.read, interest.write),
        };
        let mut needed = flags::ET;
        if read {
            needed |= flags::IN | flags::RDHUP | flags::PRI;
        }
        if write {
            needed |= flags::OUT;
        }
        needed
    }

    /// The bits of the event to report, 0 for none.
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

    /// Whether it counts among the sources with queued output.
    pub(super) fn is_referenced(&self) -> bool {
        self.registration.as_ref().is_some_and(|it| it.referenced)
    }

    pub(super) fn is_backing_off(&self) -> bool {
        self.registration.as_ref().is_some_and(|it| it.backing_off)
    }

    fn is_closing(&self) -> bool {
        matches!(&self.kind, Kind::Socket(socket) if socket.is_closing())
    }

    /// Whether a direction that can be reported is unverified. Edge-triggered, writable is unverified only after
    /// `modify`.
    pub(super) fn is_unverified(&self) -> bool {
        let Some(registration) = &self.registration else { return false };
        let reportable = self.reportable();
        self.readiness().is_unverified(reportable.read, reportable.write) && !registration.disabled
    }

    /// Marks the pending event as reported.
    pub(super) fn set_reported(&mut self) {
        let Interest { read, write, .. } = self.reportable();
        let is_writable = write && self.readiness().can_write();
        let Some(registration) = &mut self.registration else { return };
        registration.disabled = registration.mode == Mode::Oneshot;
        let level_triggered = registration.mode == Mode::Level;
        if let Kind::Socket(socket) = &mut self.kind
            && is_writable
        {
            socket.set_drain_reported();
        }
        self.readiness_mut().set_reported((read, write), level_triggered);
    }
}
