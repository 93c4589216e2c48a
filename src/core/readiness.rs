//! The readiness of a descriptor. Only this module interprets epoll's flags.

use crate::sys::flags;

/// The flags after which a read does not block.
const READ_READY: u32 = flags::IN | flags::RDHUP | flags::HUP | flags::ERR;

/// The flags after which a write does not block.
const WRITE_READY: u32 = flags::OUT | flags::HUP | flags::ERR;

/// The flags that epoll always reports, requested or not: `epoll_ctl(2)`.
const ALWAYS_REPORTED: u32 = flags::HUP | flags::ERR;

/// The readiness of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not ready: epoll reports an edge when it becomes ready.
    NotReady,
    /// Was ready when it was reported or used last; poll(2) says whether it still is.
    Unverified,
    /// Ready, and not reported yet.
    Ready,
}

/// The readiness of both directions of a descriptor.
#[derive(Debug)]
pub(crate) struct Readiness {
    read: State,
    write: State,
    /// RDHUP, HUP, ERR and PRI, as epoll or poll reported them last.
    flags: u32,
    /// Whether there is a HUP or ERR that is not reported yet.
    alarm: bool,
}

impl Readiness {
    /// The readiness of a new descriptor.
    pub(crate) const UNVERIFIED: Self =
        Self { read: State::Unverified, write: State::Unverified, flags: 0, alarm: false };

    /// Merges the flags of an edge-triggered event.
    pub(crate) fn merge(&mut self, flags: u32) {
        if flags & READ_READY != 0 {
            self.read = State::Ready;
        }
        if flags & WRITE_READY != 0 {
            self.write = State::Ready;
        }
        self.flags |= flags & (flags::RDHUP | ALWAYS_REPORTED | flags::PRI);
        self.alarm |= flags & ALWAYS_REPORTED != 0;
    }

    /// Replaces unverified readiness by the flags that poll(2) returned.
    pub(crate) fn verify(&mut self, polled: u32) {
        let state = |ready| if ready { State::Ready } else { State::NotReady };
        if self.read == State::Unverified {
            self.read = state(polled & READ_READY != 0);
        }
        if self.write == State::Unverified {
            self.write = state(polled & WRITE_READY != 0);
        }
        self.flags = polled & (flags::RDHUP | ALWAYS_REPORTED) | self.flags & flags::PRI;
    }

    /// The flags that stay once they are set, as far as they are known.
    pub(crate) fn lasting(&self) -> u32 {
        self.flags & (flags::RDHUP | ALWAYS_REPORTED)
    }

    /// Whether a read may return something: what is unverified may.
    pub(crate) fn may_read(&self) -> bool {
        self.read != State::NotReady
    }

    /// As `may_read`, of a write.
    pub(crate) fn may_write(&self) -> bool {
        self.write != State::NotReady
    }

    pub(crate) fn can_read(&self) -> bool {
        self.read == State::Ready
    }

    pub(crate) fn can_write(&self) -> bool {
        self.write == State::Ready
    }

    /// Whether there is nothing to report, whatever the interest is.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.can_read() && !self.can_write() && !self.alarm
    }

    /// Whether one of these directions has to be verified.
    pub(crate) fn is_unverified(&self, read: bool, write: bool) -> bool {
        read && self.read == State::Unverified || write && self.write == State::Unverified
    }

    pub(crate) fn has_alarm(&self) -> bool {
        self.alarm
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Marks what is ready as reported, of the directions that could be: it is unverified from then on. Without
    /// `level_triggered`, writable is reported again only by the next edge.
    pub(crate) fn set_reported(&mut self, (read, write): (bool, bool), level_triggered: bool) {
        if read && self.read == State::Ready {
            self.read = State::Unverified;
        }
        if write && self.write == State::Ready {
            self.write = if level_triggered { State::Unverified } else { State::NotReady };
        }
        self.alarm = false;
    }

    /// Forgets an error that is not the connection's.
    pub(crate) fn clear_error(&mut self) {
        self.flags &= !flags::ERR;
    }

    /// Makes both directions unverified.
    pub(crate) fn invalidate(&mut self) {
        self.read = State::Unverified;
        self.write = State::Unverified;
    }

    /// Takes note that a read returned EAGAIN.
    pub(crate) fn would_block_reader(&mut self) {
        self.read = State::NotReady;
        self.flags &= !flags::PRI;
    }

    /// Takes note that a read had no memory: what there is to read, and the urgent mark in it, stay.
    pub(crate) fn starve_reader(&mut self) {
        self.read = State::NotReady;
    }

    /// Takes note that a write returned EAGAIN.
    pub(crate) fn would_block_writer(&mut self) {
        self.write = State::NotReady;
    }

    /// Drops all flags of a socket that is not connected: epoll reports it as OUT|HUP, which means nothing.
    pub(crate) fn clear(&mut self) {
        *self = Self { read: State::NotReady, write: State::NotReady, flags: 0, alarm: false };
    }

    /// Takes note of a read or accept that succeeded. `short` says that it returned fewer bytes than there was room
    /// for.
    ///
    /// # Notes
    /// After a short read the kernel is empty, unless an end or an error follows the bytes, or recv(2) stopped at the
    /// urgent mark: tcp(7).
    pub(crate) fn took(&mut self, short: bool) {
        let more = flags::RDHUP | ALWAYS_REPORTED | flags::PRI;
        self.read = if short && !self.has(more) { State::NotReady } else { State::Unverified };
    }
}

#[cfg(test)]
mod tests {
    use super::{Readiness, flags};

    fn merged(flags: u32) -> Readiness {
        let mut readiness = Readiness::UNVERIFIED;
        readiness.merge(flags);
        readiness
    }

    #[test]
    fn a_short_read_means_drained() {
        let mut readiness = merged(flags::IN);
        readiness.took(true);
        assert!(!readiness.can_read() && !readiness.is_unverified(true, false));
    }

    #[test]
    fn a_short_read_before_an_end_does_not_mean_drained() {
        for flag in [flags::RDHUP, flags::HUP, flags::ERR, flags::PRI] {
            let mut readiness = merged(flags::IN | flag);
            readiness.took(true);
            assert!(readiness.is_unverified(true, false), "{flag:#x}");
        }
    }

    #[test]
    fn poll_verifies_readiness_after_a_full_read() {
        for (polled, ready) in [(flags::IN, true), (0, false), (flags::OUT, false)] {
            let mut readiness = merged(flags::IN);
            readiness.took(false);
            readiness.verify(polled);
            assert_eq!(readiness.can_read(), ready);
        }
    }

    #[test]
    fn a_peer_shutdown_is_readable_and_not_writable() {
        let readiness = merged(flags::RDHUP);
        assert!(readiness.can_read() && !readiness.can_write() && !readiness.has_alarm());
    }

    #[test]
    fn an_error_is_reported_once() {
        let mut readiness = merged(flags::ERR);
        assert!(readiness.has_alarm());
        readiness.set_reported((true, true), false);
        assert!(!readiness.has_alarm() && readiness.has(flags::ERR));
    }
}
