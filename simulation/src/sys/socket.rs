//! Sockets: what `src/sys` has in `socket.rs` and `transfer.rs`.

use std::io::IoSlice;

use super::fd::{AsRawFd, BorrowedFd, OwnedFd};
use super::{Address, Errno, Family, Shutdown};
use crate::world::{self, Call, Process, World};

/// Makes a call of the program.
fn call<T>(
    call: Call,
    fd: Option<BorrowedFd<'_>>,
    action: impl FnOnce(&mut World) -> Result<T, Errno>,
) -> Result<T, Errno> {
    world::with(|world| {
        world.enter(call, fd.map_or(-1, |fd| fd.as_raw_fd()))?;
        action(world)
    })
}

pub(crate) fn socket(family: Family) -> Result<OwnedFd, Errno> {
    call(Call::Socket, None, |world| Ok(OwnedFd::new(world.socket_call(Process::Program, family))))
}

/// No kernel of the simulation has Multipath TCP, which no program asks for.
pub(crate) fn multipath_socket(_: Family) -> Result<OwnedFd, Errno> {
    Err(Errno::OPNOTSUPP)
}

pub(crate) fn datagram_socket() -> Result<OwnedFd, Errno> {
    call(Call::Socket, None, |world| Ok(OwnedFd::new(world.datagram_socket())))
}

pub(crate) fn bind(fd: BorrowedFd<'_>, address: &Address) -> Result<(), Errno> {
    call(Call::Bind, Some(fd), |world| world.bind(Process::Program, fd.as_raw_fd(), address))
}

pub(crate) fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    call(Call::Listen, Some(fd), |world| world.listen(Process::Program, fd.as_raw_fd(), backlog))
}

pub(crate) fn accept(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    call(Call::Accept, Some(fd), |world| {
        let accepted = world.accept(Process::Program, fd.as_raw_fd());
        world.note(|| format!("    accept({}) = {accepted:?}", fd.as_raw_fd()));
        accepted.map(OwnedFd::new)
    })
}

/// # Notes
/// As the real one: EINTR is EINPROGRESS, and the connect goes on.
pub(crate) fn connect(fd: BorrowedFd<'_>, address: &Address) -> Result<(), Errno> {
    let result = call(Call::Connect, Some(fd), |_| Ok(()));
    let made = || world::with(|world| world.connect(Process::Program, fd.as_raw_fd(), address));
    match result {
        Ok(()) => made(),
        Err(Errno::INTR) => made().and(Err(Errno::INPROGRESS)),
        Err(errno) => Err(errno),
    }
}

pub(crate) fn shutdown(fd: BorrowedFd<'_>, how: Shutdown) -> Result<(), Errno> {
    call(Call::Shutdown, Some(fd), |world| {
        world.note(|| format!("    shutdown({}, {how:?})", fd.as_raw_fd()));
        world.shutdown(Process::Program, fd.as_raw_fd(), how)
    })
}

pub(crate) fn local_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    call(Call::LocalAddress, Some(fd), |world| world.local_address(fd.as_raw_fd()))
}

pub(crate) fn remote_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    call(Call::RemoteAddress, Some(fd), |world| world.remote_address(fd.as_raw_fd()))
}

pub(crate) fn former_remote_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    call(Call::GetOption, Some(fd), |world| world.former_remote_address(fd.as_raw_fd()))
}

pub(crate) fn receive(fd: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    call(Call::Receive, Some(fd), |world| world.receive(fd.as_raw_fd(), into, false))
}

pub(crate) fn peek(fd: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    call(Call::Receive, Some(fd), |world| world.receive(fd.as_raw_fd(), into, true))
}

pub(crate) fn send_pieces(fd: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let pieces: Vec<&[u8]> = pieces.iter().take(super::MAX_PIECES).map(|piece| &**piece).collect();
    call(Call::Send, Some(fd), |world| world.send(fd.as_raw_fd(), &pieces))
}
