//! Pipes: what `src/sys` has in `pipe.rs`.

use super::Errno;
use super::fd::{AsRawFd, BorrowedFd, OwnedFd};
use crate::world::{self, Call, Process};

pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    world::with(|world| {
        world.enter(Call::Pipe, -1)?;
        let (reader, writer) = world.pipe();
        let ends = [reader, writer].map(|file| world.describe(Process::Program, file));
        world.note(|| format!("    pipe2() = {ends:?}"));
        Ok(ends.map(OwnedFd::new).into())
    })
}

pub(crate) fn set_pipe_size(fd: BorrowedFd<'_>, bytes: usize) -> Result<usize, Errno> {
    world::with(|world| {
        world.enter(Call::SetPipeSize, fd.as_raw_fd())?;
        world.set_pipe_size(fd.as_raw_fd(), bytes)
    })
}

/// # Notes
/// A fault concerns the socket.
pub(crate) fn splice(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    count: usize,
) -> Result<usize, Errno> {
    world::with(|world| {
        let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
        let socket = if world.socket_of(from).is_ok() { from } else { to };
        world.enter(Call::Splice, socket)?;
        world.splice(from, to, count)
    })
}
