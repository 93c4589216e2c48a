//! The end of one half of a connection, and of both.

use super::{Call, FileOutcome, Socket, State};
use crate::sys::{self, Errno, Shutdown};

impl Socket {
    /// `shutdown(2)`: of the reading half at once, of the writing half after the queue.
    ///
    /// # Errors
    /// ENOTCONN when the socket is not connected.
    pub(crate) fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno> {
        self.check_alive()?;
        if how != Shutdown::Write {
            self.shutdown_read()?;
        }
        if how == Shutdown::Read || self.write_ended {
            return Ok(());
        }
        self.send_corked();
        if self.write_ended {
            return Ok(());
        }
        self.write_ended = true;
        if self.must_queue() {
            self.shutdown_pending = true;
            self.drain_unreported = self.has_unsent();
            return Ok(());
        }
        let result = sys::shutdown(self.fd()?, Shutdown::Write);
        self.write_ended = matches!(result, Ok(()) | Err(Errno::NOTCONN));
        result
    }

    /// Writes all of the bytes, beyond the limit of the queue too, and ends the writing half behind them. Returns the
    /// bits of the state, and the result of the shutdown.
    ///
    /// # Errors
    /// EALREADY when the half has ended before; EPIPE and ENOMEM when the bytes cannot be sent, and the half does not end
    /// by this; ENOTCONN when the socket is not connected.
    pub(crate) fn end(&mut self, bytes: &[u8]) -> Result<(i32, Result<(), Errno>), Errno> {
        self.check_alive()?;
        if self.write_ended {
            return Err(Errno::ALREADY);
        }
        if !bytes.is_empty() {
            self.write_whole(bytes)?;
        }
        let shutdown = self.shutdown(Shutdown::Write);
        Ok((self.state_bits(), shutdown))
    }

    /// # Notes
    /// TCP accepts bytes also after a shutdown for reading. They are discarded, since the peer would otherwise wait for
    /// its send window.
    fn shutdown_read(&mut self) -> Result<(), Errno> {
        if self.state != State::Connecting {
            sys::shutdown(self.fd()?, Shutdown::Read)?;
        }
        self.end_unreported |= !self.read_ended;
        self.read_ended = true;
        self.read_shut = true;
        self.discard_input();
        Ok(())
    }

    /// The `shutdown(2)` that waited for the queue.
    pub(super) fn shutdown_now(&mut self) {
        self.shutdown_pending = false;
        match self.fd().and_then(|fd| sys::shutdown(fd, Shutdown::Write)) {
            // ENOTCONN: the peer has reset the connection.
            Ok(()) | Err(Errno::NOTCONN | Errno::BADF) => {}
            Err(errno) => self.break_connection(errno, Call::Write),
        }
    }

    /// Begins a graceful close. Returns whether the queue has to be flushed first.
    ///
    /// # Notes
    /// Input is discarded meanwhile: a peer that reads nothing until its own bytes are read would never take the queue.
    pub(crate) fn close(&mut self) -> bool {
        self.send_corked();
        self.closing = true;
        self.write_ended = true;
        if !self.has_unsent() {
            return false;
        }
        if self.passed {
            return true;
        }
        self.read_shut = true;
        if self.state == State::Open {
            self.discard_input();
        }
        // The input may have ended by an error, with which the queue was dropped.
        self.has_unsent()
    }

    /// Discards the queue and the files, and has close(2) send RST.
    pub(crate) fn reset(&mut self) {
        self.queue.clear();
        self.drop_files(FileOutcome::Dropped);
        self.discard_on_close();
        self.state = State::Closed;
    }

    /// Discards the queue and the files. What is corked waits for no room in the kernel, and is sent first.
    pub(crate) fn discard(&mut self) {
        self.send_corked();
        self.queue.clear();
        self.drop_files(FileOutcome::Dropped);
    }

    /// Makes close(2) send FIN and not block. Of a socket that has been passed nothing is changed but that: the open file is
    /// that of others, too, who go on with it.
    ///
    /// # Notes
    /// With unread input, close(2) of a TCP socket sends RST instead of FIN (RFC 2525 section 2.17), and the peer could
    /// lose bytes that it has not read yet. So the input is discarded, also where no edge has been seen: bytes may have
    /// come since the last wait.
    pub(in crate::core) fn prepare_close(&mut self) {
        if self.state == State::Closed {
            return;
        }
        if self.state == State::Connecting && !self.passed {
            self.abandon_connect();
        }
        let has_read_to_end = self.read_ended && !self.read_shut;
        if !has_read_to_end && !self.passed {
            self.discard_last();
        }
        if self.has_lost && self.discard_on_close() {
            return;
        }
        if let (true, Ok(fd)) = (self.lingers, self.fd()) {
            // An error means that there is no connection left.
            let _ = sys::send_after_close(fd);
        }
    }
}
