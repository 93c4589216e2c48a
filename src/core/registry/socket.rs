//! Actions on a socket that also change its registration.

use super::Registry;
use crate::core::handle::Handle;
use crate::core::multiplexer::BACK_OFF_MILLISECONDS;
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

    /// Sends from the queue until it is empty or the kernel's buffer is full. Returns whether the queue is empty.
    ///
    /// # Errors
    /// The failure of the connection; its queue was dropped. EBADF for a handle that is not a socket's.
    pub(crate) fn flush(&mut self, handle: Handle) -> Result<bool, Errno> {
        self.with_socket(handle, |socket| {
            let is_empty = socket.flush();
            socket.failure().map_or(Ok(is_empty), |(_, errno)| Err(errno))
        })
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
        self.with_socket(handle, |socket| socket.shutdown(how))?;
        self.push_ready(token);
        // Discarded input needs EPOLLIN, whatever the interest is.
        if self.extend_epoll_flags(token).is_err() {
            self.back_off(token);
        }
        Ok(())
    }

    /// Writes all of the bytes, and ends the writing half behind them. Returns the bits of the state, and the result of the
    /// shutdown.
    ///
    /// # Errors
    /// As `Socket::end`; EBADF for a handle that is not a socket's.
    pub(crate) fn end(
        &mut self,
        handle: Handle,
        bytes: &[u8],
    ) -> Result<(i32, Result<(), Errno>), Errno> {
        let ended = self.with_socket(handle, |socket| socket.end(bytes))?;
        self.push_ready(self.token(handle)?);
        Ok(ended)
    }

    /// `poll(2)`: blocks the thread until the socket is readable or writable, for at most `timeout` milliseconds. No
    /// other call blocks on a socket. A starved socket is ready, and so is waited for as long as a back-off lasts; then
    /// its call may be tried again.
    ///
    /// # Errors
    /// EBADF for a handle that is neither a socket's nor a listener's; ENOMEM.
    pub(crate) fn sleep_on(
        &mut self,
        handle: Handle,
        write: bool,
        timeout: i32,
    ) -> Result<(), Errno> {
        let fd = self.raw_fd(handle)?;
        let (flags, timeout) = match &mut self.source_mut(handle)?.kind {
            Kind::Socket(socket) if socket.is_starved() => {
                socket.end_starvation();
                let is_unlimited = timeout < 0;
                (
                    0,
                    if is_unlimited {
                        BACK_OFF_MILLISECONDS
                    } else {
                        timeout.min(BACK_OFF_MILLISECONDS)
                    },
                )
            }
            _ if write => (flags::OUT, timeout),
            _ => (flags::IN, timeout),
        };
        let request = PollFd::new(fd, flags);
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
        let bits = self.any_socket(handle)?.state_bits();
        let token = self.token(handle)?;
        self.update_registration(token);
        Ok(bits)
    }

    /// `getsockopt(2)`: returns the number of bytes written to `into`. The error that `SO_ERROR` returns is kept for the
    /// socket's owner, since the kernel clears it.
    ///
    /// # Errors
    /// As getsockopt(2).
    pub(crate) fn get_option(
        &mut self,
        handle: Handle,
        level: i32,
        name: i32,
        into: &mut [u8],
    ) -> Result<usize, Errno> {
        let count = sys::get_option(self.fd(handle)?, level, name, into)?;
        if let Some(errno) = sys::error_of(level, name, into) {
            // EBADF for a listener: accept4(2) returns its errors.
            let kept = self.with_socket(handle, |socket| {
                socket.take_error(errno);
                Ok(())
            });
            if kept == Err(Errno::BUSY) {
                self.fail_relayed(handle, errno)?;
            }
        }
        Ok(count)
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
                Kind::Socket(socket) | Kind::Relayed(socket, _) => socket.lingers = true,
                Kind::Listener(listener) => listener.lingers = true,
                Kind::Foreign(..) => {}
            }
        }
        Ok(())
    }
}
