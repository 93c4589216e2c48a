//! What the program knows of its sources, apart from what `core` does.

use crate::core::{Handle, Interest, Mode, Serving};
use crate::kernel::Errno;
use crate::world::FileId;

/// The bits of an event, as the bindings pass them.
pub(super) mod event_bits {
    pub(crate) const READABLE: u32 = 1;
    pub(crate) const WRITABLE: u32 = 2;
    pub(crate) const READ_ENDED: u32 = 4;
    pub(crate) const HANGUP: u32 = 8;
    pub(crate) const ERROR: u32 = 16;
    pub(crate) const DETACHED: u32 = 32;
    pub(crate) const FILE: u32 = 64;
    pub(crate) const ACCEPTED: u32 = 128;
    pub(crate) const REFUSED: u32 = 256;
}

/// A multiplexer.
pub(super) struct Multiplexer {
    pub(super) handle: Handle,
    pub(super) fd: i32,
    /// An eventfd that is registered with it, as the one of `wake()`.
    pub(super) wake: Option<FileId>,
}

/// A registration, and what has been reported under it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registration {
    /// The handle of the multiplexer.
    pub(super) multiplexer: i32,
    pub(super) interest: Interest,
    pub(super) mode: Mode,
    /// Whether a one-shot registration has been reported.
    pub(super) disabled: bool,
    /// Whether writable is to be reported, once it is so.
    pub(super) owes_writable: bool,
    /// Whether bytes were queued under it, when last looked.
    pub(super) had_output: bool,
    /// The waits since it was ready, that have not reported it.
    pub(super) passed_over: u32,
    /// How waits accept the connections of a listener.
    pub(super) serving: Option<Serving>,
}

impl Registration {
    pub(super) fn new(multiplexer: i32, interest: Interest, mode: Mode) -> Self {
        Self {
            multiplexer,
            interest,
            mode,
            disabled: false,
            owes_writable: true,
            had_output: false,
            passed_over: 0,
            serving: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Socket,
    Listener,
    /// A descriptor of the program's own.
    Foreign {
        fd: i32,
        file: FileId,
        is_open: bool,
    },
}

/// A socket, listener or foreign descriptor of the program.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "none follows from the others")]
pub(super) struct Source {
    pub(super) handle: Handle,
    pub(super) kind: Kind,
    pub(super) registration: Option<Registration>,
    /// The name of the bytes that it sends, and how many `core` has accepted.
    pub(super) stream: u32,
    pub(super) taken: u64,
    /// The name of the bytes that it receives, and how many it has.
    pub(super) origin: u32,
    pub(super) got: u64,
    /// Whether the end of its input or its error was received.
    pub(super) read_done: bool,
    pub(super) read_shut: bool,
    pub(super) write_shut: bool,
    /// Whether it was shut behind a queue, and no event has said since that the queue is empty.
    pub(super) awaits_drain: bool,
    /// As `awaits_drain`; also behind a file of which nothing is to be sent, which may have ended before.
    pub(super) may_await_drain: bool,
    pub(super) closing: bool,
    /// Whether its bytes may be lost: its connection failed, or a call on it did.
    pub(super) is_broken: bool,
    /// When its back-off is over.
    pub(super) backs_off_until: u64,
    /// Whether the kernel has kept a registration that was to be deleted.
    pub(super) has_ghost: bool,
    pub(super) was_corked: bool,
    /// The failure that it has, and whether it was reported.
    pub(super) first_failure: Option<Errno>,
    pub(super) failure_reported: bool,
    /// How often an error was reported that is only in the kernel's error queue.
    pub(super) bare_errors: u32,
    /// Whether its first failure is that of a send.
    pub(super) send_failed: bool,
    /// Whether it could not be had reset at its close.
    pub(super) cannot_reset: bool,
    /// Whether a receive has returned 0.
    pub(super) has_ended: bool,
    /// Whether all that is queued is corked.
    pub(super) is_corked: bool,
    /// The multiplexers that it has left by itself, before they reported that.
    pub(super) left: Vec<i32>,
    /// The multiplexer of its relay.
    pub(super) relayed: Option<i32>,
    /// Whether its relay has passed on the end of what it receives.
    pub(super) has_passed_end: bool,
    /// Whether a shutdown(2) of it has failed.
    pub(super) cannot_end: bool,
    /// Whether it may be connected with itself.
    pub(super) may_meet_itself: bool,
}

impl Source {
    pub(super) fn new(handle: Handle, kind: Kind, stream: u32) -> Self {
        Self {
            handle,
            kind,
            registration: None,
            stream,
            taken: 0,
            origin: 0,
            got: 0,
            read_done: false,
            read_shut: false,
            write_shut: false,
            awaits_drain: false,
            may_await_drain: false,
            closing: false,
            is_broken: false,
            backs_off_until: 0,
            has_ghost: false,
            was_corked: false,
            first_failure: None,
            failure_reported: false,
            bare_errors: 0,
            send_failed: false,
            cannot_reset: false,
            has_ended: false,
            is_corked: false,
            left: Vec::new(),
            relayed: None,
            has_passed_end: false,
            cannot_end: false,
            may_meet_itself: false,
        }
    }

    pub(super) fn is_socket(&self) -> bool {
        self.kind == Kind::Socket
    }

    pub(super) fn is_foreign(&self) -> bool {
        matches!(self.kind, Kind::Foreign { .. })
    }

    /// Whether it may have left its multiplexer by itself: once it is flushed, or its connect has failed. One that is not
    /// reported yet registers it again for a queue.
    pub(super) fn may_have_left(&self) -> bool {
        let Some(registration) = &self.registration else { return !self.left.is_empty() };
        registration.interest == Interest::NONE || self.closing
    }

    pub(super) fn is_of(&self, multiplexer: i32) -> bool {
        self.relayed == Some(multiplexer)
            || self.registration.as_ref().is_some_and(|it| it.multiplexer == multiplexer)
    }

    /// Whether it is a socket that the program can use.
    pub(super) fn is_free(&self) -> bool {
        self.is_socket() && !self.closing && self.relayed.is_none()
    }
}

/// A relay that has not been reported to be over.
pub(super) struct Relay {
    pub(super) multiplexer: i32,
    /// The handles of both sockets.
    pub(super) sides: [i32; 2],
    /// How many bytes each one had received and was to send, as it began.
    pub(super) begun: [(u64, u64); 2],
    /// What each one had queued.
    pub(super) queued: [usize; 2],
    /// What each direction had moved at the last wait, and how many waits could have moved something and did not.
    pub(super) moved: [u64; 2],
    pub(super) passed_over: [u32; 2],
    /// Whether it was a failure that ended it, once it is over.
    pub(super) has_failed: Option<bool>,
}

/// What became of a socket that is gone, to be compared with its close(2).
pub(super) struct Departure {
    pub(super) stream: u32,
    pub(super) taken: u64,
    /// Whether all that was taken has to be sent.
    pub(super) is_graceful: bool,
    /// Whether a send has failed, so that a part must not be taken for the whole.
    pub(super) has_lost: bool,
}

/// A socket of the peer.
pub(super) struct End {
    pub(super) fd: i32,
}
