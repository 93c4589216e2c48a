//! What the bytes of a stream are: a function of the stream and the position, so that whoever gets one can check it.

/// The byte at a position of a stream.
fn byte(stream: u32, position: u64) -> u8 {
    let mixed = (position ^ u64::from(stream) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed.to_be_bytes()[1]
}

/// Fills `into` with the bytes of a stream from a position on.
pub(crate) fn fill(into: &mut [u8], stream: u32, position: u64) {
    for (position, to) in (position..).zip(into) {
        *to = byte(stream, position);
    }
}

/// The first index at which `bytes` are not those of a stream from a position on.
pub(crate) fn mismatch(bytes: &[u8], stream: u32, position: u64) -> Option<usize> {
    (position..).zip(bytes).position(|(position, is)| *is != byte(stream, position))
}
