//! Names of slots. A name does not refer to a later value of its slot.

/// The number of low bits of a handle that are the generation.
const GENERATION_BITS: u32 = 9;
const GENERATION_MASK: u32 = (1 << GENERATION_BITS) - 1;

/// The number of slots that a handle can name.
pub(crate) const MAX_SLOTS: usize = 1 << (31 - GENERATION_BITS);

/// A slot and the low bits of its generation: an int32 that is never negative, for JavaScript.
///
/// A handle is not a descriptor: the kernel reuses the number of a closed descriptor for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle(i32);

impl Handle {
    pub(crate) fn new(slot: u32, generation: u32) -> Self {
        let bits = (slot << GENERATION_BITS) | (generation & GENERATION_MASK);
        Self((bits & i32::MAX.cast_unsigned()).cast_signed())
    }

    pub(crate) fn from_raw(raw: i32) -> Self {
        Self(raw)
    }

    pub(crate) fn raw(self) -> i32 {
        self.0
    }

    pub(crate) fn slot(self) -> u32 {
        self.0.cast_unsigned() >> GENERATION_BITS
    }

    /// Whether the handle was made for this generation of its slot.
    pub(crate) fn is_of(self, generation: u32) -> bool {
        self.0.cast_unsigned() & GENERATION_MASK == generation & GENERATION_MASK
    }
}

/// A slot and its whole generation: the data that epoll stores, and returns with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

impl Token {
    /// The token of a multiplexer's own timer: no slot has this number.
    pub(crate) const TIMER: Self = Self { slot: u32::MAX, generation: u32::MAX };

    /// The token of a registration that no source has.
    pub(crate) const NONE: Self = Self { slot: u32::MAX, generation: 0 };

    pub(crate) fn from_raw(raw: u64) -> Self {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        Self { slot: half(raw), generation: half(raw >> 32) }
    }

    pub(crate) fn raw(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    pub(crate) fn handle(self) -> Handle {
        Handle::new(self.slot, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::{Handle, MAX_SLOTS, Token};

    #[test]
    fn a_handle_is_never_negative_and_keeps_its_slot() {
        let last = u32::try_from(MAX_SLOTS).unwrap_or(0) - 1;
        for slot in [0, 1, 77, last] {
            let handle = Handle::new(slot, u32::MAX);
            assert!(handle.raw() >= 0);
            assert_eq!(handle.slot(), slot);
            assert!(handle.is_of(u32::MAX));
            assert!(!handle.is_of(0));
        }
    }

    #[test]
    fn a_token_survives_conversion_to_epoll_data() {
        let token = Token { slot: 5, generation: 0xdead_beef };
        assert_eq!(Token::from_raw(token.raw()), token);
    }
}
