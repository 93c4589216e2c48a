//! A descriptor that a socket or listener owns, and the table of those that are owned.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::sys::{AsFd, AsRawFd, BorrowedFd, Errno, IntoRawFd, OwnedFd, RawFd};

/// The descriptors that the table covers: those below the kernel's default limit, `/proc/sys/fs/nr_open`.
const COVERED: usize = 1 << 20;

/// The bits of a word.
const WORD: usize = 64;

/// A bit for each descriptor that a socket or listener of this process owns.
///
/// All other state belongs to an environment. This table belongs to the process, as descriptors do: the number that one
/// thread adopts may be a socket of another thread. Its 128 KiB are zero pages until they are used.
static OWNED: [AtomicU64; COVERED / WORD] = [const { AtomicU64::new(0) }; COVERED / WORD];

/// The word and the bit of a descriptor; `None` for one that the table does not cover.
fn entry(fd: RawFd) -> Option<(&'static AtomicU64, u64)> {
    let number = usize::try_from(fd).ok()?;
    OWNED.get(number / WORD).map(|word| (word, 1 << (number % WORD)))
}

/// Sets the bit of a descriptor. Returns whether it was set.
fn mark(fd: RawFd) -> bool {
    entry(fd).is_some_and(|(word, bit)| word.fetch_or(bit, Ordering::AcqRel) & bit != 0)
}

fn unmark(fd: RawFd) {
    if let Some((word, bit)) = entry(fd) {
        word.fetch_and(!bit, Ordering::AcqRel);
    }
}

/// An owned descriptor, which is closed when it is dropped.
pub(super) struct Descriptor(OwnedFd);

impl Descriptor {
    /// A descriptor that the kernel has just opened.
    pub(super) fn new(fd: OwnedFd) -> Self {
        mark(fd.as_raw_fd());
        Self(fd)
    }

    /// A descriptor that the program has opened.
    ///
    /// # Errors
    /// EEXIST when another thread has adopted it since `check_unowned`. The descriptor then stays open.
    pub(super) fn adopt(fd: OwnedFd) -> Result<Self, Errno> {
        if mark(fd.as_raw_fd()) {
            let _ = fd.into_raw_fd();
            return Err(Errno::EXIST);
        }
        Ok(Self(fd))
    }

    /// # Errors
    /// EEXIST for a descriptor that a socket or listener owns, in any thread.
    pub(super) fn check_unowned(fd: RawFd) -> Result<(), Errno> {
        let is_owned = entry(fd).is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0);
        if is_owned { Err(Errno::EXIST) } else { Ok(()) }
    }

    /// Gives the descriptor up without closing it.
    pub(super) fn disown(self) {
        unmark(self.as_raw_fd());
        std::mem::forget(self);
    }
}

impl Drop for Descriptor {
    /// Clears the bit before close(2): afterwards another thread may be given the number.
    fn drop(&mut self) {
        unmark(self.as_raw_fd());
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::{COVERED, Descriptor, mark, unmark};
    use crate::sys::{self, AsRawFd, Errno, Family, RawFd};

    #[test]
    fn an_owned_descriptor_is_not_adopted() -> Result<(), Errno> {
        let descriptor = Descriptor::new(sys::socket(Family::Unix)?);
        let fd = descriptor.as_raw_fd();
        assert_eq!(Descriptor::check_unowned(fd), Err(Errno::EXIST));
        let checked = sys::adopt(fd, |_| Ok(()))?.0;
        assert!(matches!(Descriptor::adopt(checked), Err(Errno::EXIST)));
        sys::check_open(fd)
    }

    #[test]
    fn a_descriptor_that_is_given_up_stays_open_and_can_be_adopted() -> Result<(), Errno> {
        let descriptor = Descriptor::new(sys::socket(Family::Unix)?);
        let fd = descriptor.as_raw_fd();
        descriptor.disown();
        Descriptor::check_unowned(fd)?;
        let adopted = Descriptor::adopt(sys::adopt(fd, |_| Ok(()))?.0)?;
        assert_eq!(adopted.as_raw_fd(), fd);
        Ok(())
    }

    #[test]
    fn each_number_has_a_bit_of_its_own() {
        let last = RawFd::try_from(COVERED).unwrap_or(0) - 1;
        // Numbers that no descriptor of the tests has.
        for fd in [last - 64, last - 1, last] {
            assert!(!mark(fd), "{fd}");
            assert!(mark(fd), "{fd}");
        }
        for fd in [last - 64, last - 1, last] {
            unmark(fd);
            assert!(!mark(fd), "{fd}");
            unmark(fd);
        }
    }

    #[test]
    fn numbers_beyond_the_table_are_not_checked() {
        for fd in [RawFd::try_from(COVERED).unwrap_or(0), RawFd::MAX, -1] {
            assert!(!mark(fd) && !mark(fd));
            assert_eq!(Descriptor::check_unowned(fd), Ok(()));
        }
    }
}
