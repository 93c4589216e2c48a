//! What a multiplexer is asked to watch, and how often it tells.

/// Which directions are asked for. Hang-up and errors are told unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Whether a wait with a receive buffer may prefetch what it would report.
    pub(crate) prefetch: bool,
}

impl Interest {
    /// A closing socket's: only its queue still moves.
    pub(crate) const NONE: Self = Self { read: false, write: false, prefetch: false };

    pub(crate) fn from_bits(bits: u32) -> Self {
        Self { read: bits & 1 != 0, write: bits & 2 != 0, prefetch: bits & 4 != 0 }
    }
}

/// How often readiness that lasts is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Readable until drained; writable once each time it becomes so.
    Edge,
    /// Readable and writable for as long as they last.
    Level,
    /// Once, then nothing until modified.
    Oneshot,
}

impl Mode {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Edge),
            1 => Some(Self::Level),
            2 => Some(Self::Oneshot),
            _ => None,
        }
    }
}
