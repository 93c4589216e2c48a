//! Regular files: what `src/sys` has in `file.rs`.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use super::Errno;
use super::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd, duplicate};
pub(crate) use crate::kernel::is_of_file;
use crate::world::{self, Call};

/// A regular file that is open for reading.
#[derive(Clone)]
pub(crate) struct File(Rc<OwnedFd>);

impl File {
    /// Small: a program sends files of several windows.
    pub(crate) const WINDOW: u64 = 512;
    pub(crate) const CALL: u64 = 200;
    pub(crate) const TURN: Duration = Duration::from_millis(1);

    pub(crate) fn duplicate(fd: RawFd) -> Result<(Self, u64), Errno> {
        let size = world::with(|world| world.disk(fd).map(|disk| disk.size))?;
        Ok((Self(Rc::new(duplicate(fd)?)), size))
    }

    pub(crate) fn send_to(
        &self,
        to: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Result<usize, Errno> {
        world::with(|world| {
            while let Err(errno) = world.enter(Call::SendFile, to.as_raw_fd()) {
                if errno == Errno::INTR {
                    continue;
                }
                let is_lack = [Errno::AGAIN, Errno::NOBUFS, Errno::NOMEM].contains(&errno);
                if is_of_file(errno) && !is_lack {
                    world.fail_transfer(self.0.as_raw_fd(), errno);
                }
                return Err(errno);
            }
            world.send_file(to.as_raw_fd(), self.0.as_raw_fd(), offset, count)
        })
    }

    pub(crate) fn is_resident(&self, offset: u64, length: usize) -> bool {
        world::with(|world| world.is_resident(self.0.as_raw_fd(), offset..offset + length as u64))
    }

    /// Brings a part of the file into the page cache.
    pub(crate) fn load(&self, part: Range<u64>) {
        world::with(|world| world.load(self.0.as_raw_fd(), part));
    }
}
