//! Calls on one socket that its registration has to follow.

use super::Registry;
use crate::core::handle::Handle;
use crate::core::source::Kind;
use crate::sys::{self, Errno, PollFd, Shutdown, flags};

impl Registry {
    /// Gives input back that a wait has received ahead, and whose owner does not want it now.
    pub(crate) fn unread(&mut self, handle: Handle, bytes: &[u8]) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.socket(handle)?.unread(bytes);
        self.list_ready(token);
        Ok(())
    }

    /// Takes what there is room for. Gathered, it waits for a flush.
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

    /// Sends corked writes; returns of how many sockets.
    pub(crate) fn flush_corked(&mut self) -> usize {
        let mut corked = std::mem::take(&mut self.corked);
        let count = corked.len();
        for token in corked.drain(..) {
            // One that was flushed or closed since has nothing to send here.
            let _ =
                self.with_socket(token.handle(), |socket| Ok(socket.is_corked() && socket.flush()));
        }
        self.corked = corked;
        count
    }

    /// Ends one half or both: reading at once, writing after the queue.
    pub(crate) fn shutdown(&mut self, handle: Handle, how: Shutdown) -> Result<(), Errno> {
        let token = self.token(handle)?;
        self.socket(handle)?.shutdown(how)?;
        // Input that is only dropped is watched for, whatever the owner asks for.
        self.extend_epoll_flags(token)
    }

    /// Sleeps this thread until a socket is ready, or for `timeout` milliseconds: the one thing
    /// that waits on a socket, and only where its owner wants that.
    pub(crate) fn sleep_on(&self, handle: Handle, write: bool, timeout: i32) -> Result<(), Errno> {
        let wanted = if write { flags::OUT } else { flags::IN };
        let question = PollFd::new(self.raw_fd(handle)?, wanted);
        match sys::poll(&mut [question], timeout) {
            Err(Errno::INTR) => Ok(()),
            result => result,
        }
    }

    /// A connect that failed is thrown away at once; its outcome waits to be told or met.
    pub(crate) fn state_bits(&mut self, handle: Handle) -> Result<i32, Errno> {
        let bits = self.socket(handle)?.state_bits();
        let token = self.token(handle)?;
        self.refresh(token);
        Ok(bits)
    }

    /// Sets a kernel option, and remembers one that would make close(2) wait: accepted
    /// connections inherit it.
    pub(crate) fn set_option(
        &mut self,
        handle: Handle,
        level: i32,
        name: i32,
        value: &[u8],
    ) -> Result<(), Errno> {
        sys::set_option(self.fd(handle)?, level, name, value)?;
        if sys::makes_close_wait(level, name, value) {
            match &mut self.source_mut(handle)?.kind {
                Kind::Socket(socket) => socket.lingers = true,
                Kind::Listener(listener) => listener.lingers = true,
                Kind::Foreign(..) => {}
            }
        }
        Ok(())
    }
}
