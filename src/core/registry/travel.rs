//! Sockets leave a registry, and enter another one.

use super::Registry;
use crate::core::handle::Handle;
use crate::core::socket::Socket;
use crate::core::source::{Kind, Source};
use crate::sys::Errno;

impl Registry {
    /// Takes a socket out: its descriptor, what is unread and queued, its halves and its counters. It leaves its
    /// multiplexer, and its handle is free.
    ///
    /// # Errors
    /// EBADF for a handle that is not an open socket's; EBUSY for a relayed one, and for one that sends a file; ENOTCONN
    /// after a failed connect. It then stays.
    pub(crate) fn take_out(&mut self, handle: Handle) -> Result<Socket, Errno> {
        let token = self.token(handle)?;
        self.with_socket(handle, Socket::depart)?;
        self.deregister(token);
        self.keep_file_ends(token);
        match self.sources.remove(token).map(|source| source.kind) {
            Some(Kind::Socket(socket)) => Ok(socket),
            _ => Err(Errno::BADF),
        }
    }

    /// Takes in a socket that has been taken out of this registry or another one. It is in no multiplexer.
    ///
    /// # Errors
    /// ENFILE when all handles are in use; the socket is then closed. `has_room` says so before.
    pub(crate) fn take_in(&mut self, mut socket: Socket) -> Result<Handle, Errno> {
        socket.arrive();
        let token = self.sources.insert(Source::new(Kind::Socket(socket))).ok_or(Errno::NFILE)?;
        Ok(token.handle())
    }

    /// Whether there is a handle for another source.
    pub(crate) fn has_room(&self) -> bool {
        self.sources.has_room()
    }
}
