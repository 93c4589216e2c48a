//! What the bytes of a stream are: a function of the stream and the position, so that a receiver can check each one.

use std::collections::HashMap;

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

/// What has been sent by each stream, where the bytes are those of a test.
#[derive(Default)]
pub(crate) struct Contents(HashMap<u32, Vec<u8>>);

impl Contents {
    pub(super) fn add(&mut self, stream: u32, bytes: &[u8]) {
        self.0.entry(stream).or_default().extend_from_slice(bytes);
    }

    pub(super) fn read(&self, into: &mut [u8], stream: u32, position: u64) {
        let position = usize::try_from(position).unwrap_or(usize::MAX);
        let sent = self.0.get(&stream).and_then(|sent| sent.get(position..)).unwrap_or(&[]);
        for (to, from) in into.iter_mut().zip(sent) {
            *to = *from;
        }
    }
}
