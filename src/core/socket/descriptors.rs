//! Descriptors that are passed over a Unix socket: `SCM_RIGHTS`, unix(7).

use std::io::IoSlice;

use super::{Call, Socket};
use crate::core::send_queue::SendStatus;
use crate::sys::{self, Errno, Message, RawFd};

impl Socket {
    /// `sendmsg(2)` of bytes and the descriptors that go with the first of them: all or nothing. Bytes that the kernel does
    /// not take with the first ones are queued, beyond the limit of the queue too. Nothing is sent while anything is queued.
    ///
    /// # Errors
    /// EOPNOTSUPP for anything but a Unix socket; EINVAL for no bytes, or more than `MAX_DESCRIPTORS`; EBADF, EINVAL,
    /// ETOOMANYREFS, EPERM and others of the descriptors; ENOBUFS and ENOMEM: with nothing sent. ENOTCONN after a failed
    /// connect. ENOMEM is also the failure of the socket, as of `send`.
    pub(crate) fn send_descriptors(
        &mut self,
        pieces: &[IoSlice<'_>],
        descriptors: &[RawFd],
    ) -> Result<SendStatus, Errno> {
        self.check_alive()?;
        self.check_unix()?;
        let pieces: Vec<_> = pieces.iter().copied().filter(|piece| !piece.is_empty()).collect();
        if pieces.is_empty() || descriptors.len() > sys::MAX_DESCRIPTORS {
            return Err(Errno::INVAL);
        }
        self.send_corked();
        if self.write_ended {
            return Ok(SendStatus::Closed);
        }
        if self.must_queue() {
            return Ok(SendStatus::NotSent);
        }
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.reserve_rest(total)?;
        let result = self.pass(&pieces, total, descriptors);
        self.free_reserved();
        result
    }

    fn pass(
        &mut self,
        pieces: &[IoSlice<'_>],
        total: usize,
        descriptors: &[RawFd],
    ) -> Result<SendStatus, Errno> {
        let sent = sys::send_descriptors(self.fd()?, pieces, descriptors);
        self.note_starvation(sent);
        match sent {
            Ok(count) => {
                self.sent += count as u64;
                if count == total {
                    return Ok(SendStatus::Sent);
                }
                self.enqueue_rest(pieces, count)?;
                // The kernel may have room: one call has a limit of pieces, and of bytes.
                self.flush_turn();
                Ok(SendStatus::PartiallySent)
            }
            Err(Errno::AGAIN) => {
                self.readiness.would_block_writer();
                Ok(SendStatus::NotSent)
            }
            Err(errno) if errno.is_of_connection() => {
                self.break_connection(errno, Call::Write);
                Ok(SendStatus::Closed)
            }
            Err(errno) => Err(errno),
        }
    }

    /// `recvmsg(2)`: as `receive`, with the descriptors that came with the bytes. Bytes that were given back come alone.
    ///
    /// # Errors
    /// As `receive`; EOPNOTSUPP for anything but a Unix socket.
    pub(crate) fn receive_descriptors(&mut self, into: &mut [u8]) -> Result<Message, Errno> {
        self.check_unix()?;
        if into.is_empty() || self.read_shut || self.unread_length() > 0 {
            return self.receive(into).map(without_descriptors);
        }
        self.check_alive()?;
        match sys::receive_descriptors(self.fd()?, into) {
            Ok(message) if message.length == 0 => self.end_of_stream().map(without_descriptors),
            Ok(message) => {
                self.received += message.length as u64;
                self.readiness.took(false);
                Ok(message)
            }
            Err(errno) => self.receive_failed(errno).map(without_descriptors),
        }
    }

    /// The descriptor of this socket has been passed: its close takes nothing from those who have it now.
    pub(crate) fn set_passed(&mut self) {
        self.passed = true;
    }

    /// # Errors
    /// EOPNOTSUPP for anything but a Unix socket. One whose connect has failed is not looked at.
    fn check_unix(&self) -> Result<(), Errno> {
        match self.fd().map(sys::is_unix) {
            Ok(Ok(true)) | Err(_) => Ok(()),
            Ok(Ok(false)) => Err(Errno::OPNOTSUPP),
            Ok(Err(errno)) => Err(errno),
        }
    }
}

fn without_descriptors(length: usize) -> Message {
    Message { length, descriptors: Vec::new(), is_truncated: false }
}
