//! What the kernel would not take yet.

use std::collections::VecDeque;
use std::io::IoSlice;

/// What became of a piece given to `send`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum SendStatus {
    /// The kernel took all of it.
    Sent = 0,
    /// The kernel took some, the rest is queued.
    PartiallySent = 1,
    /// All of it is queued.
    Queued = 2,
    /// Nothing was taken: the queue is full.
    NotSent = 3,
    /// Nothing was taken: nothing can be sent any more.
    Closed = 4,
}

/// Bytes that wait for the kernel's buffer, in order, bounded by a limit of bytes.
pub(crate) struct SendQueue {
    bytes: VecDeque<u8>,
    limit: usize,
}

impl SendQueue {
    pub(crate) const DEFAULT_LIMIT: usize = 65536;
    /// Bytes of memory that an empty queue keeps at most: enough for the small writes that a batch gathers.
    const KEPT: usize = 256;

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

    /// Whether one more piece is let in: the last one may go over the limit.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() < self.limit
    }

    /// How many bytes may join before the limit is reached.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.bytes.len())
    }

    /// Copies the pieces in, without the `skip` bytes at their front that have gone out already.
    pub(crate) fn push(&mut self, pieces: &[IoSlice<'_>], mut skip: usize) {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.bytes.reserve(total.saturating_sub(skip));
        for piece in pieces {
            let gone = skip.min(piece.len());
            skip -= gone;
            self.bytes.extend(piece.get(gone..).unwrap_or_default());
        }
    }

    /// The waiting bytes, in order, as the two pieces of a ring.
    pub(crate) fn pieces(&self) -> [IoSlice<'_>; 2] {
        let (front, back) = self.bytes.as_slices();
        [IoSlice::new(front), IoSlice::new(back)]
    }

    /// Drops what has gone out; an empty queue gives its memory back, unless it is little.
    pub(crate) fn advance(&mut self, count: usize) {
        if count >= self.bytes.len() {
            self.clear();
        } else {
            self.bytes.drain(..count);
        }
    }

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
    use super::SendQueue;
    use std::io::IoSlice;

    fn contents(queue: &SendQueue) -> Vec<u8> {
        queue.pieces().iter().flat_map(|piece| piece.to_vec()).collect()
    }

    #[test]
    fn what_has_gone_out_is_skipped_across_pieces() {
        for skip in 0..=6 {
            let mut queue = SendQueue::new();
            queue.push(&[IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"def")], skip);
            assert_eq!(contents(&queue), b"abcdef".get(skip..).unwrap_or_default());
        }
    }

    #[test]
    fn order_survives_the_ring_wrapping() {
        let mut queue = SendQueue::new();
        let mut expected = Vec::new();
        for round in 0u8..200 {
            let piece = vec![round; usize::from(round % 17) + 1];
            queue.push(&[IoSlice::new(&piece)], 0);
            expected.extend(&piece);
            let gone = usize::from(round % 13).min(expected.len());
            queue.advance(gone);
            expected.drain(..gone);
            assert_eq!(contents(&queue), expected);
        }
    }

    #[test]
    fn the_last_piece_may_go_over_the_limit() {
        let mut queue = SendQueue::new();
        queue.set_limit(4);
        assert!(queue.has_room());
        queue.push(&[IoSlice::new(b"too long")], 0);
        assert!(!queue.has_room());
        assert_eq!(queue.len(), 8);
        queue.advance(5);
        assert!(queue.has_room());
    }

    #[test]
    fn an_empty_queue_keeps_little_memory() {
        let mut queue = SendQueue::new();
        for length in [1, 64, SendQueue::KEPT, SendQueue::KEPT + 1, 100_000] {
            queue.push(&[IoSlice::new(&vec![0; length])], 0);
            queue.advance(length);
            assert!(queue.is_empty());
            assert!(queue.bytes.capacity() <= SendQueue::KEPT);
        }
    }
}
