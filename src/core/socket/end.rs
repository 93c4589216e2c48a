//! Half a socket's end, and the whole one's.

use super::{Socket, State};
use crate::sys::{self, Errno, Shutdown};

impl Socket {
    /// Ends one half or both: reading at once, writing after the queue.
    ///
    /// # Errors
    /// ENOTCONN when there is no connection any more, or never was.
    pub(crate) fn shutdown(&mut self, how: Shutdown) -> Result<(), Errno> {
        self.check_alive()?;
        if how != Shutdown::Write {
            self.shutdown_read()?;
        }
        if how == Shutdown::Read || self.write_ended {
            return Ok(());
        }
        self.send_corked();
        self.write_ended = true;
        if self.awaits_writable() {
            self.shutdown_due = true;
            return Ok(());
        }
        sys::shutdown(self.fd()?, Shutdown::Write)
    }

    /// tcp(7) keeps taking bytes in after a shutdown for reading: they are dropped as they come,
    /// or the peer would stall on a full window.
    fn shutdown_read(&mut self) -> Result<(), Errno> {
        if self.state != State::Connecting {
            sys::shutdown(self.fd()?, Shutdown::Read)?;
        }
        self.read_ended = true;
        self.read_shut = true;
        self.discard_input();
        Ok(())
    }

    /// The queue has gone out, and shutdown(2) was to follow it.
    pub(super) fn shutdown_now(&mut self) {
        self.shutdown_due = false;
        if let Ok(fd) = self.fd() {
            // ENOTCONN here says that the peer was faster: there is nothing left to end.
            let _ = sys::shutdown(fd, Shutdown::Write);
        }
    }

    /// Begins the graceful end; tells whether the queue has to go out first.
    pub(crate) fn close(&mut self) -> bool {
        self.send_corked();
        self.closing = true;
        self.write_ended = true;
        !self.queue.is_empty()
    }

    /// The end by RST, whatever is queued.
    pub(crate) fn reset(&mut self) {
        self.queue.clear();
        if let Ok(fd) = self.fd() {
            // Refused on a socket that is reset already; close(2) then has nothing to send.
            let _ = sys::discard_on_close(fd);
        }
        self.state = State::Closed;
    }

    /// close(2) is next, gracefully, and must not wait. With input unread, tcp(7) would send RST
    /// instead of FIN, and the peer could lose what it has not read yet.
    pub(in crate::core) fn prepare_close(&mut self) {
        if self.state == State::Closed {
            return;
        }
        // Behind the peer's end there is nothing.
        let has_met_end = self.read_ended && !self.read_shut;
        if !has_met_end && self.readiness.may_hold_input() {
            self.discard_input();
        }
        if let (true, Ok(fd)) = (self.lingers, self.fd()) {
            // A socket that refuses has no connection left to wait for.
            let _ = sys::send_behind_close(fd);
        }
    }
}
