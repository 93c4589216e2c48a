//! The socket options that `core` knows, and the addresses of a socket.

use super::fd::{AsRawFd, BorrowedFd, RawFd};
use super::{Address, Errno};
use crate::world::{self, Call, Phase, World};

impl World {
    pub(crate) fn local_address(&self, fd: RawFd) -> Result<Address, Errno> {
        Ok(self.socket_of(fd)?.local_name())
    }

    /// `inet_getname`: ENOTCONN before a connection and after it. `unix_getname`: what the peer is bound to by now.
    pub(crate) fn remote_address(&self, fd: RawFd) -> Result<Address, Errno> {
        let socket = self.socket_of(fd)?;
        if let Some(peer) = socket.unix_peer().and_then(|peer| self.socket(peer)) {
            return Ok(peer.local_name());
        }
        if socket.is_connected() { socket.peer_name() } else { Err(Errno::NOTCONN) }
    }

    pub(crate) fn former_remote_address(&self, fd: RawFd) -> Result<Address, Errno> {
        self.socket_of(fd)?.peer_name()
    }
}

fn with_option<T>(
    call: Call,
    fd: BorrowedFd<'_>,
    action: impl FnOnce(&mut World) -> Result<T, Errno>,
) -> Result<T, Errno> {
    world::with(|world| {
        world.enter(call, fd.as_raw_fd())?;
        action(world)
    })
}

/// `SO_ERROR` and `SO_LINGER`; any other option is 0.
pub(crate) fn get_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    into: &mut [u8],
) -> Result<usize, Errno> {
    let value = if (level, name) == (libc::SOL_SOCKET, libc::SO_ERROR) {
        socket_error(fd)?.map_or(0, |errno| -errno.negated())
    } else {
        with_option(Call::GetOption, fd, |world| world.socket_of(fd.as_raw_fd()).map(|_| 0))?
    };
    let bytes = value.to_ne_bytes();
    let count = into.len().min(bytes.len());
    into[..count].copy_from_slice(&bytes[..count]);
    Ok(count)
}

pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &[u8],
) -> Result<(), Errno> {
    with_option(Call::SetOption, fd, |world| {
        let socket = world.socket_of_mut(fd.as_raw_fd())?;
        if (level, name) == (libc::SOL_SOCKET, libc::SO_LINGER) {
            let half = |at: usize| value.get(at..at + 4).and_then(|it| it.first_chunk());
            let number = |at| half(at).map_or(0, |bytes| u32::from_ne_bytes(*bytes));
            socket.set_linger((number(0) != 0).then(|| number(4)));
        }
        Ok(())
    })
}

pub(crate) fn socket_error(fd: BorrowedFd<'_>) -> Result<Option<Errno>, Errno> {
    with_option(Call::GetOption, fd, |world| Ok(world.socket_of_mut(fd.as_raw_fd())?.pop_error()))
}

pub(crate) fn check_stream(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    with_option(Call::GetOption, fd, |world| {
        if world.socket_of(fd.as_raw_fd())?.is_stream() { Ok(()) } else { Err(Errno::PROTOTYPE) }
    })
}

pub(crate) fn is_tcp(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    with_option(Call::GetOption, fd, |world| Ok(world.socket_of(fd.as_raw_fd())?.has_tcp()))
}

pub(crate) fn is_unix(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    with_option(Call::GetOption, fd, |world| Ok(!world.socket_of(fd.as_raw_fd())?.has_tcp()))
}

pub(crate) fn is_listening(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    with_option(Call::GetOption, fd, |world| {
        Ok(matches!(world.socket_of(fd.as_raw_fd())?.phase(), Phase::Listening { .. }))
    })
}

pub(crate) fn lingers(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    with_option(Call::GetOption, fd, |world| {
        Ok(world.socket_of(fd.as_raw_fd())?.linger().is_some_and(|seconds| seconds > 0))
    })
}

pub(crate) fn discard_on_close(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_linger(fd, 1)
}

pub(crate) fn send_after_close(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_linger(fd, 0)
}

fn set_linger(fd: BorrowedFd<'_>, on: i32) -> Result<(), Errno> {
    let mut value = [0; 8];
    value[..4].copy_from_slice(&on.to_ne_bytes());
    set_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, &value)
}
