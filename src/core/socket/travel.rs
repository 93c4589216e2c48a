//! A socket leaves its registry with all that it has, and enters another one.

use super::Socket;
use crate::core::readiness::Readiness;
use crate::sys::{Errno, flags};

impl Socket {
    /// Makes ready to leave. What is corked is sent; what the kernel does not take waits for room, as other queued bytes.
    ///
    /// # Errors
    /// EBUSY while a file is sent; EBADF when it is closing; ENOTCONN after a failed connect.
    pub(in crate::core) fn depart(&mut self) -> Result<(), Errno> {
        if self.closing {
            return Err(Errno::BADF);
        }
        if self.has_files() {
            return Err(Errno::BUSY);
        }
        self.check_alive()?;
        self.send_corked();
        Ok(())
    }

    /// Enters a registry, whose owner knows of nothing that was reported before: it is reported again, as are an end and
    /// a failure.
    pub(in crate::core) fn arrive(&mut self) {
        self.readiness = Readiness::UNVERIFIED;
        if self.failure.is_some() {
            self.readiness.merge(flags::ERR);
        }
        self.starved = false;
        self.goes_on = false;
        self.receives_large = false;
        self.bare_error_reported = false;
        self.end_unreported = self.read_ended;
    }
}
