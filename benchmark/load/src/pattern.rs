//! The bytes to send: each received byte can be checked by its position in the stream.

/// The length after which the bytes repeat. It is a prime, so that bytes that were lost, repeated or moved by a power
/// of two do not match.
const PERIOD: usize = 65_521;

/// The maximum length of a slice.
pub const MAX_SLICE: usize = 65_536;

pub struct Pattern(Vec<u8>);

impl Pattern {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut bytes: Vec<u8> = (0..PERIOD)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        while bytes.len() < PERIOD + MAX_SLICE {
            bytes.extend_from_within(..PERIOD);
        }
        Self(bytes)
    }

    /// `length` bytes of a stream from `position` on, at most `MAX_SLICE`.
    #[inline]
    pub fn slice(&self, stream: usize, position: u64, length: usize) -> &[u8] {
        let start = (position as usize + stream * 7_919) % PERIOD;
        &self.0[start..start + length]
    }
}
