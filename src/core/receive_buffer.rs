//! The buffer that a wait prefetches into.

use std::ops::Range;

/// The most bytes that a wait prefetches of one socket. After a prefetch of this size the socket's owner receives the
/// next bytes itself.
pub(crate) const PREFETCH_LIMIT: usize = 2048;

/// Each chunk begins at a multiple of it, as the chunks of Node's buffer pool do.
const ALIGNMENT: usize = 8;

/// A byte array that is filled from a position on.
pub(crate) struct ReceiveBuffer<'a> {
    bytes: &'a mut [u8],
    /// Where it was filled from, and to.
    start: usize,
    end: usize,
    used: usize,
}

impl<'a> ReceiveBuffer<'a> {
    /// A buffer whose first `used` bytes are in use.
    pub(crate) fn new(bytes: &'a mut [u8], used: usize) -> Self {
        Self { bytes, start: used, end: used, used }
    }

    /// A buffer without room.
    pub(crate) fn none() -> Self {
        Self::new(&mut [], 0)
    }

    /// Calls `fill` with the next `PREFETCH_LIMIT` bytes, if that many are left; `fill` returns the number of bytes
    /// that it wrote. Returns their range.
    pub(crate) fn receive<E>(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Option<Range<usize>> {
        let start = self.used;
        let count = fill(self.bytes.get_mut(start..)?.get_mut(..PREFETCH_LIMIT)?)
            .ok()
            .filter(|it| *it > 0)?;
        self.end = start + count;
        self.used = self.end.next_multiple_of(ALIGNMENT);
        Some(start..self.end)
    }

    /// The bytes that were received.
    fn received(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }
}

/// A copy of what a wait prefetched. The buffer itself is JavaScript's, which may detach it before all of it has been
/// delivered.
#[derive(Default)]
pub(crate) struct Prefetched {
    start: usize,
    bytes: Vec<u8>,
}

impl Prefetched {
    /// Copies what was received into the buffer; keeps the earlier copy if that is nothing.
    pub(crate) fn keep(&mut self, buffer: &ReceiveBuffer<'_>) {
        let received = buffer.received();
        if !received.is_empty() {
            self.start = buffer.start;
            self.bytes.clear();
            self.bytes.extend_from_slice(received);
        }
    }

    /// Copies the bytes to the offsets that they had. Returns false, and copies nothing, when `into` is too short.
    pub(crate) fn copy_to(&self, into: &mut [u8]) -> bool {
        let range = self.start..self.start + self.bytes.len();
        into.get_mut(range).map(|into| into.copy_from_slice(&self.bytes)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{PREFETCH_LIMIT, Prefetched, ReceiveBuffer};
    use crate::sys::Errno;

    #[test]
    fn chunks_follow_each_other_until_less_than_the_limit_is_left() {
        let mut bytes = [0; 2 * PREFETCH_LIMIT];
        let mut buffer = ReceiveBuffer::new(&mut bytes, 0);
        let mut receive = |count| buffer.receive(|_| Ok::<_, Errno>(count));
        assert_eq!(receive(3), Some(0..3));
        assert_eq!(receive(PREFETCH_LIMIT - 8), Some(8..PREFETCH_LIMIT));
        assert_eq!(receive(1), Some(PREFETCH_LIMIT..PREFETCH_LIMIT + 1));
        assert_eq!(receive(1), None);
    }

    #[test]
    fn a_receive_without_bytes_takes_no_room() {
        let mut bytes = [0; PREFETCH_LIMIT];
        let mut buffer = ReceiveBuffer::new(&mut bytes, 0);
        assert_eq!(buffer.receive(|_| Err(Errno::AGAIN)), None);
        assert_eq!(buffer.receive(|_| Ok::<_, Errno>(0)), None);
        assert_eq!(buffer.receive(|_| Ok::<_, Errno>(1)), Some(0..1));
        assert_eq!(ReceiveBuffer::none().receive(|_| Ok::<_, Errno>(1)), None);
    }

    #[test]
    fn a_copy_of_what_was_received_is_kept_at_its_offset() {
        let mut bytes = [0; 16 + PREFETCH_LIMIT];
        let mut buffer = ReceiveBuffer::new(&mut bytes, 16);
        let mut kept = Prefetched::default();
        buffer.receive(|part| {
            part.iter_mut().zip(b"hello").for_each(|(to, byte)| *to = *byte);
            Ok::<_, Errno>(5)
        });
        kept.keep(&buffer);
        kept.keep(&ReceiveBuffer::none());
        let mut copy = [0; 21];
        assert!(kept.copy_to(&mut copy));
        assert_eq!(copy.get(16..), Some(b"hello".as_slice()));
        assert!(!kept.copy_to(&mut [0; 20]));
    }
}
