//! Actions on a socket that also change its registration.

use super::Registry;
use crate::core::handle::Handle;
use crate::core::source::Kind;
use crate::sys::{self, Errno, PollFd, Shutdown, flags};

impl Registry {
    /// Takes received bytes back. The next wait reports the socket as readable.
    ///
    /// # Errors
    /// EBADF for a handle that is not a socket's; EINVAL for more bytes than were received.
    pub(crate) fn unread(&mut self, handle: Handle, bytes: &[u8]) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.socket(handle)?.unread(bytes)?;
        self.push_ready(token);
        Ok(())
    }

    /// `send(2)` of as many bytes as there is room for. A corked write waits for `flush_corked`.
    ///
    /// # Errors
    /// As `Socket::write`.
    pub(crate) fn write(
        &mut self,
        handle: Handle,
        bytes: &[u8],
        cork: bool,
    ) -> Result<usize, Errno> {
        let (taken, is_corked) = self.with_socket(handle, |socket| {
            let was_corked = socket.is_corked();
            let taken = socket.write(bytes, cork)?;
            Ok((taken, !was_corked && socket.is_corked()))
        })?;
        if is_corked {
            self.corked.push(self.token(handle)?);
        }
        Ok(taken)
    }

    /// Flushes all sockets with corked writes, and returns their number.
    pub(crate) fn flush_corked(&mut self) -> usize {
        let mut corked = std::mem::take(&mut self.corked);
        let count = corked.len();
        for token in corked.drain(..) {
            // EBADF: the socket was closed meanwhile.
            let _ =
                self.with_socket(token.handle(), |socket| Ok(socket.is_corked() && socket.flush()));
        }
        self.corked = corked;
        count
    }

    /// `shutdown(2)`: of the reading half at once, of the writing half after the queue.
    ///
    /// # Errors
    /// ENOTCONN when the socket is not connected; EBADF for a handle that is not a socket's.
    pub(crate) fn shutdown(&mut self, handle: Handle, how: Shutdown) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.socket(handle)?.shutdown(how)?;
        // Discarded input needs EPOLLIN, whatever the interest is.
        self.extend_epoll_flags(token)
    }

    /// `poll(2)`: blocks the thread until the socket is readable or writable, for at most `timeout` milliseconds. No
    /// other call blocks on a socket.
    ///
    /// # Errors
    /// EBADF for a handle that is neither a socket's nor a listener's; ENOMEM.
    pub(crate) fn sleep_on(&self, handle: Handle, write: bool, timeout: i32) -> Result<(), Errno> {
        let flags = if write { flags::OUT } else { flags::IN };
        let request = PollFd::new(self.raw_fd(handle)?, flags);
        match sys::poll(&mut [request], timeout) {
            Err(Errno::INTR) => Ok(()),
            result => result,
        }
    }

    /// The state of a socket, see `Socket::state_bits`. The descriptor of a failed connect is closed.
    ///
    /// # Errors
    /// EBADF for a handle that is not a socket's.
    pub(crate) fn state_bits(&mut self, handle: Handle) -> Result<i32, Errno> {
        let bits = self.socket(handle)?.state_bits();
        let token = self.token(handle)?;
        self.update_registration(token);
        Ok(bits)
    }

    /// `setsockopt(2)`. Takes note of an option that makes close(2) block; accepted connections inherit it.
    ///
    /// # Errors
    /// As setsockopt(2).
    pub(crate) fn set_option(
        &mut self,
        handle: Handle,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        sys::set_option(self.fd(handle)?, level, name, value)?;
        if sys::makes_close_block(level, name, value) {
            match &mut self.source_mut(handle)?.kind {
                Kind::Socket(socket) => socket.lingers = true,
                Kind::Listener(listener) => listener.lingers = true,
                Kind::Foreign(..) => {}
            }
        }
        Ok(())
    }
}
