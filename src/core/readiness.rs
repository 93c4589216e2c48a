//! What is known of a descriptor's readiness: the one place that interprets epoll's bits.

use crate::sys::flags;

const READ_FLAGS: u32 = flags::IN | flags::RDHUP | flags::HUP | flags::ERR;
const WRITE_FLAGS: u32 = flags::OUT | flags::HUP | flags::ERR;
const ALWAYS_REPORTED: u32 = flags::HUP | flags::ERR;

/// What is known about one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not ready; the next edge will say so.
    NotReady,
    /// Was ready when last told or used; only the kernel knows whether it still is.
    Unverified,
    /// Ready, and not told yet.
    Ready,
}

/// Both directions of a descriptor, and its last words from the kernel.
#[derive(Debug)]
pub(crate) struct Readiness {
    read: State,
    write: State,
    /// The kernel's RDHUP, HUP, ERR and PRI, as last heard.
    flags: u32,
    /// A HUP or ERR that has not been told yet.
    alarm: bool,
}

impl Readiness {
    pub(crate) const UNKNOWN: Self =
        Self { read: State::Unverified, write: State::Unverified, flags: 0, alarm: false };

    /// Takes in what an edge says.
    pub(crate) fn merge(&mut self, flags: u32) {
        if flags & READ_FLAGS != 0 {
            self.read = State::Ready;
        }
        if flags & WRITE_FLAGS != 0 {
            self.write = State::Ready;
        }
        self.flags |= flags & (flags::RDHUP | ALWAYS_REPORTED | flags::PRI);
        self.alarm |= flags & ALWAYS_REPORTED != 0;
    }

    /// Replaces an unverified state by what poll(2) says.
    pub(crate) fn verify(&mut self, polled: u32) {
        let verdict = |happened| if happened { State::Ready } else { State::NotReady };
        if self.read == State::Unverified {
            self.read = verdict(polled & READ_FLAGS != 0);
        }
        if self.write == State::Unverified {
            self.write = verdict(polled & WRITE_FLAGS != 0);
        }
        self.flags = polled & (flags::RDHUP | ALWAYS_REPORTED) | self.flags & flags::PRI;
    }

    pub(crate) fn can_read(&self) -> bool {
        self.read == State::Ready
    }

    pub(crate) fn can_write(&self) -> bool {
        self.write == State::Ready
    }

    /// Whether there is nothing to tell, whoever asks for what.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.can_read() && !self.can_write() && !self.alarm
    }

    /// Whether there is a doubt about a direction that is asked for.
    pub(crate) fn is_unverified(&self, read: bool, write: bool) -> bool {
        read && self.read == State::Unverified || write && self.write == State::Unverified
    }

    pub(crate) fn has_alarm(&self) -> bool {
        self.alarm
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether bytes may wait that nobody has taken yet.
    pub(crate) fn may_hold_input(&self) -> bool {
        self.read != State::NotReady
    }

    /// The news has been told: whether it lasts is in doubt from here on.
    pub(crate) fn set_reported(&mut self, writable_lasts: bool) {
        if self.read == State::Ready {
            self.read = State::Unverified;
        }
        if self.write == State::Ready {
            self.write = if writable_lasts { State::Unverified } else { State::NotReady };
        }
        self.alarm = false;
    }

    /// Puts both directions in doubt: somebody asks anew.
    pub(crate) fn invalidate(&mut self) {
        self.read = State::Unverified;
        self.write = State::Unverified;
    }

    /// The kernel said EAGAIN to a reader.
    pub(crate) fn would_block_reader(&mut self) {
        self.read = State::NotReady;
        self.flags &= !flags::PRI;
    }

    /// The kernel said EAGAIN to a writer: its next edge will say when to go on.
    pub(crate) fn would_block_writer(&mut self) {
        self.write = State::NotReady;
    }

    /// The kernel spoke of a socket whose connect has not got anywhere: its OUT|HUP means nothing.
    pub(crate) fn forget(&mut self) {
        *self = Self { read: State::NotReady, write: State::NotReady, flags: 0, alarm: false };
    }

    /// Bytes were taken. `short` says that fewer came than there was room for.
    ///
    /// # Notes
    /// A short read means that the kernel is empty, unless an end or an error waits behind the
    /// bytes, or recv(2) stopped at the urgent mark, where tcp(7) splits the stream.
    pub(crate) fn took(&mut self, short: bool) {
        let inconclusive = flags::RDHUP | ALWAYS_REPORTED | flags::PRI;
        self.read =
            if short && !self.has(inconclusive) { State::NotReady } else { State::Unverified };
    }
}

#[cfg(test)]
mod tests {
    use super::{Readiness, flags};

    fn heard(flags: u32) -> Readiness {
        let mut readiness = Readiness::UNKNOWN;
        readiness.merge(flags);
        readiness
    }

    #[test]
    fn a_short_read_means_drained() {
        let mut readiness = heard(flags::IN);
        readiness.took(true);
        assert!(!readiness.can_read() && !readiness.is_unverified(true, false));
    }

    #[test]
    fn a_short_read_before_a_fin_does_not() {
        for flag in [flags::RDHUP, flags::HUP, flags::ERR, flags::PRI] {
            let mut readiness = heard(flags::IN | flag);
            readiness.took(true);
            assert!(readiness.is_unverified(true, false), "{flag:#x}");
        }
    }

    #[test]
    fn a_full_read_leaves_a_doubt_that_poll_settles() {
        for (polled, ready) in [(flags::IN, true), (0, false), (flags::OUT, false)] {
            let mut readiness = heard(flags::IN);
            readiness.took(false);
            readiness.verify(polled);
            assert_eq!(readiness.can_read(), ready);
        }
    }

    #[test]
    fn peer_shutdown_is_readable_and_not_writable() {
        let readiness = heard(flags::RDHUP);
        assert!(readiness.can_read() && !readiness.can_write() && !readiness.has_alarm());
    }

    #[test]
    fn an_alarm_is_told_once() {
        let mut readiness = heard(flags::ERR);
        assert!(readiness.has_alarm());
        readiness.set_reported(false);
        assert!(!readiness.has_alarm() && readiness.has(flags::ERR));
    }
}
