//! What is known of a descriptor's readiness: the one place that interprets epoll's bits.

use crate::sys::flags;

const HAPPENED_TO_READER: u32 = flags::IN | flags::RDHUP | flags::HUP | flags::ERR;
const HAPPENED_TO_WRITER: u32 = flags::OUT | flags::HUP | flags::ERR;
const UNASKED: u32 = flags::HUP | flags::ERR;

/// What is known about one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knowledge {
    /// Not ready; the next edge will say so.
    Waiting,
    /// Was ready when last told or used; only the kernel knows whether it still is.
    Doubtful,
    /// Ready, and not told yet.
    Ready,
}

/// Both directions of a descriptor, and its last words from the kernel.
#[derive(Debug)]
pub(crate) struct Readiness {
    read: Knowledge,
    write: Knowledge,
    /// The kernel's RDHUP, HUP, ERR and PRI, as last heard.
    flags: u32,
    /// A HUP or ERR that has not been told yet.
    alarm: bool,
}

impl Readiness {
    pub(crate) const UNKNOWN: Self =
        Self { read: Knowledge::Doubtful, write: Knowledge::Doubtful, flags: 0, alarm: false };

    /// Takes in what an edge says.
    pub(crate) fn hear(&mut self, heard: u32) {
        if heard & HAPPENED_TO_READER != 0 {
            self.read = Knowledge::Ready;
        }
        if heard & HAPPENED_TO_WRITER != 0 {
            self.write = Knowledge::Ready;
        }
        self.flags |= heard & (flags::RDHUP | UNASKED | flags::PRI);
        self.alarm |= heard & UNASKED != 0;
    }

    /// Replaces a doubt by what poll(2) answered.
    pub(crate) fn settle(&mut self, answered: u32) {
        let verdict = |happened| if happened { Knowledge::Ready } else { Knowledge::Waiting };
        if self.read == Knowledge::Doubtful {
            self.read = verdict(answered & HAPPENED_TO_READER != 0);
        }
        if self.write == Knowledge::Doubtful {
            self.write = verdict(answered & HAPPENED_TO_WRITER != 0);
        }
        self.flags = answered & (flags::RDHUP | UNASKED) | self.flags & flags::PRI;
    }

    pub(crate) fn can_read(&self) -> bool {
        self.read == Knowledge::Ready
    }

    pub(crate) fn can_write(&self) -> bool {
        self.write == Knowledge::Ready
    }

    /// Whether there is nothing to tell, whoever asks for what.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.can_read() && !self.can_write() && !self.alarm
    }

    /// Whether there is a doubt about a direction that is asked for.
    pub(crate) fn is_doubtful(&self, read: bool, write: bool) -> bool {
        read && self.read == Knowledge::Doubtful || write && self.write == Knowledge::Doubtful
    }

    pub(crate) fn is_alarmed(&self) -> bool {
        self.alarm
    }

    pub(crate) fn heard(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Whether bytes may wait that nobody has taken yet.
    pub(crate) fn may_hold_input(&self) -> bool {
        self.read != Knowledge::Waiting
    }

    /// The news has been told: whether it lasts is in doubt from here on.
    pub(crate) fn told(&mut self, writable_lasts: bool) {
        if self.read == Knowledge::Ready {
            self.read = Knowledge::Doubtful;
        }
        if self.write == Knowledge::Ready {
            self.write = if writable_lasts { Knowledge::Doubtful } else { Knowledge::Waiting };
        }
        self.alarm = false;
    }

    /// Puts both directions in doubt: somebody asks anew.
    pub(crate) fn doubt(&mut self) {
        self.read = Knowledge::Doubtful;
        self.write = Knowledge::Doubtful;
    }

    /// The kernel said EAGAIN to a reader.
    pub(crate) fn would_block_reader(&mut self) {
        self.read = Knowledge::Waiting;
        self.flags &= !flags::PRI;
    }

    /// The kernel said EAGAIN to a writer: its next edge will say when to go on.
    pub(crate) fn would_block_writer(&mut self) {
        self.write = Knowledge::Waiting;
    }

    /// The kernel spoke of a socket whose connect has not got anywhere: its OUT|HUP means nothing.
    pub(crate) fn forget(&mut self) {
        *self =
            Self { read: Knowledge::Waiting, write: Knowledge::Waiting, flags: 0, alarm: false };
    }

    /// Bytes were taken. `short` says that fewer came than there was room for.
    ///
    /// # Notes
    /// A short read means that the kernel is empty, unless an end or an error waits behind the
    /// bytes, or recv(2) stopped at the urgent mark, where tcp(7) splits the stream.
    pub(crate) fn took(&mut self, short: bool) {
        let inconclusive = flags::RDHUP | UNASKED | flags::PRI;
        self.read = if short && !self.heard(inconclusive) {
            Knowledge::Waiting
        } else {
            Knowledge::Doubtful
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{Readiness, flags};

    fn heard(flags: u32) -> Readiness {
        let mut readiness = Readiness::UNKNOWN;
        readiness.hear(flags);
        readiness
    }

    #[test]
    fn a_short_read_means_drained() {
        let mut readiness = heard(flags::IN);
        readiness.took(true);
        assert!(!readiness.can_read() && !readiness.is_doubtful(true, false));
    }

    #[test]
    fn a_short_read_before_a_fin_does_not() {
        for flag in [flags::RDHUP, flags::HUP, flags::ERR, flags::PRI] {
            let mut readiness = heard(flags::IN | flag);
            readiness.took(true);
            assert!(readiness.is_doubtful(true, false), "{flag:#x}");
        }
    }

    #[test]
    fn a_full_read_leaves_a_doubt_that_poll_settles() {
        for (answered, ready) in [(flags::IN, true), (0, false), (flags::OUT, false)] {
            let mut readiness = heard(flags::IN);
            readiness.took(false);
            readiness.settle(answered);
            assert_eq!(readiness.can_read(), ready);
        }
    }

    #[test]
    fn peer_shutdown_is_readable_and_not_writable() {
        let readiness = heard(flags::RDHUP);
        assert!(readiness.can_read() && !readiness.can_write() && !readiness.is_alarmed());
    }

    #[test]
    fn an_alarm_is_told_once() {
        let mut readiness = heard(flags::ERR);
        assert!(readiness.is_alarmed());
        readiness.told(false);
        assert!(!readiness.is_alarmed() && readiness.heard(flags::ERR));
    }
}
