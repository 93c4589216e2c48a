//! What a multiplexer reports of a source, and how often.

/// The bits of an interest, as JavaScript passes them.
mod interest_bits {
    pub(super) const READ: u32 = 1;
    pub(super) const WRITE: u32 = 2;
    pub(super) const PREFETCH: u32 = 4;
}

/// The directions that a multiplexer reports. Hang-up and errors are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    pub(crate) read: bool,
    pub(crate) write: bool,
    /// Whether a wait may receive the bytes that it would report.
    pub(crate) prefetch: bool,
}

impl Interest {
    /// The interest of a flush-only registration.
    pub(crate) const NONE: Self = Self { read: false, write: false, prefetch: false };

    /// `None` for an unknown bit.
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        let known = interest_bits::READ | interest_bits::WRITE | interest_bits::PREFETCH;
        (bits & !known == 0).then_some(Self {
            read: bits & interest_bits::READ != 0,
            write: bits & interest_bits::WRITE != 0,
            prefetch: bits & interest_bits::PREFETCH != 0,
        })
    }
}

/// How often lasting readiness is reported, by its number in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Readable at each wait until it is drained; writable once each time that it becomes writable.
    Edge = 0,
    /// At each wait for as long as it is ready.
    Level = 1,
    /// Once, and again after `modify`.
    Oneshot = 2,
}

impl Mode {
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        [Self::Edge, Self::Level, Self::Oneshot].into_iter().find(|mode| *mode as u32 == number)
    }
}
