//! Where a wait puts what it receives ahead.

use std::ops::Range;

/// The most bytes that a wait receives of one socket. Whoever sends more at a time is received from by its owner, into
/// an array that holds it.
pub(crate) const PREFETCH_LIMIT: usize = 2048;

/// Each part begins at a multiple of it, as Node's own chunks do.
const ALIGNMENT: usize = 8;

/// A byte array that is filled from one end.
pub(crate) struct ReceiveBuffer<'a> {
    bytes: &'a mut [u8],
    used: usize,
}

impl<'a> ReceiveBuffer<'a> {
    /// What follows the `used` bytes is free.
    pub(crate) fn new(bytes: &'a mut [u8], used: usize) -> Self {
        Self { bytes, used }
    }

    /// One that nothing fits into.
    pub(crate) fn none() -> Self {
        Self::new(&mut [], 0)
    }

    /// Lets `fill` write into the next space, where one is left; it returns how many bytes it wrote.
    pub(crate) fn receive<E>(
        &mut self,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Option<Range<usize>> {
        let start = self.used;
        let count = fill(self.bytes.get_mut(start..)?.get_mut(..PREFETCH_LIMIT)?)
            .ok()
            .filter(|it| *it > 0)?;
        self.used = (start + count).next_multiple_of(ALIGNMENT);
        Some(start..start + count)
    }
}

#[cfg(test)]
mod tests {
    use super::{PREFETCH_LIMIT, ReceiveBuffer};
    use crate::sys::Errno;

    #[test]
    fn parts_follow_each_other_while_a_window_is_left() {
        let mut bytes = [0; 2 * PREFETCH_LIMIT];
        let mut buffer = ReceiveBuffer::new(&mut bytes, 0);
        let mut receive = |count| buffer.receive(|_| Ok::<_, Errno>(count));
        assert_eq!(receive(3), Some(0..3));
        assert_eq!(receive(PREFETCH_LIMIT - 8), Some(8..PREFETCH_LIMIT));
        assert_eq!(receive(1), Some(PREFETCH_LIMIT..PREFETCH_LIMIT + 1));
        assert_eq!(receive(1), None);
    }

    #[test]
    fn nothing_received_takes_no_room() {
        let mut bytes = [0; PREFETCH_LIMIT];
        let mut buffer = ReceiveBuffer::new(&mut bytes, 0);
        assert_eq!(buffer.receive(|_| Err(Errno::AGAIN)), None);
        assert_eq!(buffer.receive(|_| Ok::<_, Errno>(0)), None);
        assert_eq!(buffer.receive(|_| Ok::<_, Errno>(1)), Some(0..1));
        assert_eq!(ReceiveBuffer::none().receive(|_| Ok::<_, Errno>(1)), None);
    }
}
