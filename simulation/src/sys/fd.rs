//! Descriptors of the program, in the shape of `std::os::fd`.

use std::marker::PhantomData;

use super::Errno;
use crate::world::{self, Call, Process};

pub(crate) use std::os::fd::RawFd;

pub(crate) trait AsRawFd {
    fn as_raw_fd(&self) -> RawFd;
}

pub(crate) trait AsFd {
    fn as_fd(&self) -> BorrowedFd<'_>;
}

pub(crate) trait IntoRawFd {
    fn into_raw_fd(self) -> RawFd;
}

/// A descriptor that is closed when it is dropped.
pub(crate) struct OwnedFd(RawFd);

impl OwnedFd {
    pub(super) fn new(fd: RawFd) -> Self {
        Self(fd)
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        world::with(|world| {
            let closed = world.close(Process::Program, self.0);
            world.note(|| format!("    close({})", self.0));
            if closed.is_err() {
                world.violate(|| format!("descriptor {} is closed twice", self.0));
            }
        });
    }
}

impl AsFd for OwnedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        BorrowedFd(self.0, PhantomData)
    }
}

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl IntoRawFd for OwnedFd {
    fn into_raw_fd(self) -> RawFd {
        let fd = self.0;
        std::mem::forget(self);
        fd
    }
}

#[derive(Clone, Copy)]
pub(crate) struct BorrowedFd<'a>(RawFd, PhantomData<&'a OwnedFd>);

impl AsRawFd for BorrowedFd<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// `fcntl(F_GETFD)`.
pub(crate) fn check_open(fd: RawFd) -> Result<(), Errno> {
    world::with(|world| {
        world.enter(Call::Fcntl, fd)?;
        world.file(Process::Program, fd).map(drop)
    })
}

/// `fcntl(F_DUPFD_CLOEXEC)`.
pub(crate) fn duplicate(fd: RawFd) -> Result<OwnedFd, Errno> {
    world::with(|world| {
        world.enter(Call::Fcntl, fd)?;
        world.duplicate(fd).map(OwnedFd)
    })
}

/// Takes ownership of a descriptor if `check` accepts it.
pub(crate) fn adopt<T>(
    fd: RawFd,
    check: impl FnOnce(BorrowedFd<'_>) -> Result<T, Errno>,
) -> Result<(OwnedFd, T), Errno> {
    check_open(fd)?;
    let checked = check(BorrowedFd(fd, PhantomData))?;
    world::with(|world| world.enter(Call::Fcntl, fd))?;
    Ok((OwnedFd(fd), checked))
}
