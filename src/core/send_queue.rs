//! Bytes that wait for room in the kernel's send buffer.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::sys::Errno;

/// The result of `send`, by its number in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum SendStatus {
    /// The kernel took all bytes.
    Sent = 0,
    /// The kernel took some bytes, the rest is queued.
    PartiallySent = 1,
    /// All bytes are queued.
    Queued = 2,
    /// No bytes were taken: the queue is full.
    NotSent = 3,
    /// No bytes were taken: the socket cannot send any more.
    Closed = 4,
}

/// A queue of bytes with a limit.
pub(crate) struct SendQueue {
    bytes: VecDeque<u8>,
    limit: usize,
}

impl SendQueue {
    /// The limit unless it is set, in bytes.
    const DEFAULT_LIMIT: usize = 65536;
    /// The most memory that an empty queue keeps, in bytes: room for a few small corked writes.
    const KEPT: usize = 256;
    /// From this capacity on, in bytes, memory is freed before the queue is empty.
    const LARGE: usize = 1 << 20;
    /// A queue with this limit takes whatever it is given.
    pub(crate) const UNLIMITED: usize = usize::MAX;
    /// The limit that stands for none: JavaScript's `Number.MAX_SAFE_INTEGER`.
    const NO_LIMIT: u64 = (1 << 53) - 1;

    pub(crate) fn new() -> Self {
        Self { bytes: VecDeque::new(), limit: Self::DEFAULT_LIMIT }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether the queue has no limit, and so has to take whatever it is given.
    pub(crate) fn is_unlimited(&self) -> bool {
        self.limit as u64 >= Self::NO_LIMIT
    }

    /// Whether another piece may be queued. The last one may exceed the limit.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() < self.limit
    }

    /// The number of bytes below the limit.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    /// Makes room for more bytes. The kernel provides the memory of a large queue when it is written to: mmap(2).
    ///
    /// # Errors
    /// ENOMEM.
    pub(crate) fn reserve(&mut self, additional: usize) -> Result<(), Errno> {
        // The first call also makes room for later bytes, if there is memory for that.
        let reserved = self.bytes.try_reserve(additional);
        reserved.or_else(|_| self.bytes.try_reserve_exact(additional)).map_err(|_| Errno::NOMEM)
    }

    /// Queues the pieces without their first `skip` bytes, which have been sent already.
    ///
    /// # Errors
    /// ENOMEM, with nothing queued.
    pub(crate) fn push(&mut self, pieces: &[IoSlice<'_>], mut skip: usize) -> Result<(), Errno> {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.reserve(total.saturating_sub(skip))?;
        for piece in pieces {
            let sent = skip.min(piece.len());
            skip -= sent;
            self.bytes.extend(piece.get(sent..).unwrap_or_default());
        }
        Ok(())
    }

    /// The first `count` queued bytes in order, in the two pieces of the ring buffer.
    pub(crate) fn first(&self, count: usize) -> [IoSlice<'_>; 2] {
        let (front, back) = self.bytes.as_slices();
        let rest = count.saturating_sub(front.len());
        [
            IoSlice::new(front.get(..count).unwrap_or(front)),
            IoSlice::new(back.get(..rest).unwrap_or(back)),
        ]
    }

    /// Removes the first `count` bytes, which have been sent.
    pub(crate) fn advance(&mut self, count: usize) {
        if count >= self.bytes.len() {
            self.clear();
        } else {
            self.bytes.drain(..count);
            self.free_some();
        }
    }

    /// Frees half of the memory of a large queue of which a quarter is left. So as many bytes are moved as have been
    /// sent, and the next bytes find room.
    fn free_some(&mut self) {
        let (length, capacity) = (self.bytes.len(), self.bytes.capacity());
        if capacity >= Self::LARGE && length <= capacity / 4 {
            self.bytes.shrink_to(capacity / 2);
        }
    }

    /// Moves all bytes into `into`, in order, and returns their number.
    ///
    /// # Errors
    /// EINVAL when they do not fit, with nothing moved.
    pub(crate) fn take(&mut self, into: &mut [u8]) -> Result<usize, Errno> {
        let (front, back) = self.bytes.as_slices();
        let count = self.bytes.len();
        let (into, _) = into.split_at_mut_checked(count).ok_or(Errno::INVAL)?;
        let (into_front, into_back) = into.split_at_mut(front.len());
        into_front.copy_from_slice(front);
        into_back.copy_from_slice(back);
        self.clear();
        Ok(count)
    }

    /// Removes all bytes, and frees memory above `KEPT`.
    pub(crate) fn clear(&mut self) {
        if self.bytes.capacity() > Self::KEPT {
            self.bytes = VecDeque::new();
        } else {
            self.bytes.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Errno, SendQueue};
    use std::io::IoSlice;

    fn contents(queue: &SendQueue) -> Vec<u8> {
        let [front, back] = queue.first(usize::MAX);
        [&*front, &*back].concat()
    }

    #[test]
    fn bytes_that_were_sent_are_skipped_across_pieces() {
        for skip in 0..=6 {
            let mut queue = SendQueue::new();
            let pieces = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"def")];
            assert_eq!(queue.push(&pieces, skip), Ok(()));
            assert_eq!(contents(&queue), b"abcdef".get(skip..).unwrap_or_default());
        }
    }

    #[test]
    fn the_order_is_kept_when_the_ring_buffer_wraps() {
        let mut queue = SendQueue::new();
        let mut expected = Vec::new();
        for round in 0u8..200 {
            let piece = vec![round; usize::from(round % 17) + 1];
            assert_eq!(queue.push(&[IoSlice::new(&piece)], 0), Ok(()));
            expected.extend(&piece);
            let sent = usize::from(round % 13).min(expected.len());
            queue.advance(sent);
            expected.drain(..sent);
            assert_eq!(contents(&queue), expected);
        }
    }

    #[test]
    fn the_bytes_of_a_wrapped_ring_are_taken_in_order_or_not_at_all() {
        let mut queue = SendQueue::new();
        assert_eq!(queue.push(&[IoSlice::new(&[0; 60])], 0), Ok(()));
        queue.advance(58);
        assert_eq!(queue.push(&[IoSlice::new(b"wraps around")], 0), Ok(()));
        assert_eq!(queue.take(&mut [0; 13]), Err(Errno::INVAL));
        let mut into = [9; 20];
        assert_eq!(queue.take(&mut into), Ok(14));
        assert_eq!(&into, b"\0\0wraps around\x09\x09\x09\x09\x09\x09");
        assert!(queue.is_empty());
        assert_eq!(queue.take(&mut []), Ok(0));
    }

    #[test]
    fn the_first_bytes_of_a_wrapped_ring_are_taken_across_its_pieces() {
        let mut queue = SendQueue::new();
        assert_eq!(queue.push(&[IoSlice::new(&[0; 60])], 0), Ok(()));
        queue.advance(58);
        assert_eq!(queue.push(&[IoSlice::new(b"wraps around")], 0), Ok(()));
        for count in 0..=20 {
            let [front, back] = queue.first(count);
            let expected = contents(&queue);
            let cut = expected.len().min(count);
            assert_eq!([&*front, &*back].concat(), expected.get(..cut).unwrap_or_default());
        }
    }

    #[test]
    fn the_last_piece_may_exceed_the_limit() {
        let mut queue = SendQueue::new();
        queue.set_limit(4);
        assert!(queue.has_room());
        assert_eq!(queue.push(&[IoSlice::new(b"too long")], 0), Ok(()));
        assert!(!queue.has_room());
        assert_eq!(queue.len(), 8);
        queue.advance(5);
        assert!(queue.has_room());
    }

    #[test]
    fn an_empty_queue_keeps_little_memory() {
        let mut queue = SendQueue::new();
        for length in [1, 64, SendQueue::KEPT, SendQueue::KEPT + 1, 100_000] {
            assert_eq!(queue.push(&[IoSlice::new(&vec![0; length])], 0), Ok(()));
            queue.advance(length);
            assert!(queue.is_empty());
            assert!(queue.bytes.capacity() <= SendQueue::KEPT);
        }
    }

    #[test]
    fn a_large_queue_frees_memory_while_it_is_sent_and_keeps_the_order() {
        let mut queue = SendQueue::new();
        let bytes: Vec<u8> = (0..=250).cycle().take(16 * SendQueue::LARGE).collect();
        assert_eq!(queue.push(&[IoSlice::new(&bytes)], 0), Ok(()));
        // The ring wraps.
        queue.advance(1000);
        assert_eq!(queue.push(&[IoSlice::new(&[251; 1000])], 0), Ok(()));
        let mut expected = [bytes.get(1000..).unwrap_or_default(), &[251; 1000]].concat();
        for _ in 0..15 {
            queue.advance(SendQueue::LARGE);
            expected.drain(..SendQueue::LARGE);
            assert!(queue.bytes.capacity() <= SendQueue::LARGE.max(4 * queue.len()));
            assert!(contents(&queue) == expected);
        }
    }

    #[test]
    fn a_queue_that_grows_and_shrinks_moves_few_bytes() {
        let mut queue = SendQueue::new();
        assert_eq!(queue.push(&[IoSlice::new(&vec![0; 4 * SendQueue::LARGE])], 0), Ok(()));
        queue.advance(3 * SendQueue::LARGE);
        let capacity = queue.bytes.capacity();
        for _ in 0..100 {
            assert_eq!(queue.push(&[IoSlice::new(&[0; 1000])], 0), Ok(()));
            queue.advance(1000);
        }
        assert_eq!(queue.bytes.capacity(), capacity);
    }

    #[test]
    fn more_than_there_is_memory_for_is_an_error_and_changes_nothing() {
        let mut queue = SendQueue::new();
        assert_eq!(queue.push(&[IoSlice::new(b"small")], 0), Ok(()));
        for additional in [usize::MAX, isize::MAX.unsigned_abs()] {
            assert_eq!(queue.reserve(additional), Err(Errno::NOMEM));
        }
        assert_eq!(contents(&queue), b"small");
    }
}
