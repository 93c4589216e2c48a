//! Descriptors that are passed: what `src/sys` has in `ancillary.rs`.

use std::io::IoSlice;

use super::Errno;
use super::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
pub(crate) use crate::kernel::MAX_DESCRIPTORS;
use crate::world::{self, Call};

pub(crate) struct Message {
    pub(crate) length: usize,
    pub(crate) descriptors: Vec<OwnedFd>,
    pub(crate) is_truncated: bool,
}

pub(crate) fn send_descriptors(
    fd: BorrowedFd<'_>,
    pieces: &[IoSlice<'_>],
    descriptors: &[RawFd],
) -> Result<usize, Errno> {
    let pieces: Vec<&[u8]> = pieces.iter().take(super::MAX_PIECES).map(|piece| &**piece).collect();
    world::with(|world| {
        world.enter(Call::SendDescriptors, fd.as_raw_fd())?;
        world.send_descriptors(fd.as_raw_fd(), &pieces, descriptors)
    })
}

pub(crate) fn receive_descriptors(fd: BorrowedFd<'_>, into: &mut [u8]) -> Result<Message, Errno> {
    let (length, descriptors, is_truncated) = world::with(|world| {
        world.enter(Call::ReceiveDescriptors, fd.as_raw_fd())?;
        world.receive_descriptors(fd.as_raw_fd(), into)
    })?;
    let descriptors = descriptors.into_iter().map(OwnedFd::new).collect();
    Ok(Message { length, descriptors, is_truncated })
}
