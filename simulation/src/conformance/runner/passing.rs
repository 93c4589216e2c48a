//! Passed descriptors.

use std::io::IoSlice;

use super::super::sys::{self, AsFd, Errno, EventFd, Family};
use super::transfers::counted;
use super::{Runner, SOCKETS, skipped};
use crate::world::fill;

impl Runner {
    /// Sends some bytes with descriptors.
    pub(super) fn pass(&mut self, name: usize, size: usize) -> String {
        let Some((fd, entry)) = self.socket(name) else { return skipped() };
        if entry.is_filled || entry.family != Family::Unix {
            return skipped();
        }
        let mut bytes = vec![0; size + 1];
        fill(&mut bytes, entry.stream, entry.sent);
        let sent = pass_some(fd, &bytes, 1 + size % 3);
        self.count_sent(name, sent.unwrap_or(0), None);
        counted(sent)
    }

    /// Receives bytes, and the descriptors that came with them.
    pub(super) fn receive_passed(&mut self, name: usize, length: usize) -> String {
        let Some((fd, id)) = &self.sockets[name % SOCKETS] else { return skipped() };
        let entry = &self.entries[*id];
        if entry.family != Family::Unix || entry.peer.is_some_and(|it| self.entries[it].is_filled) {
            return skipped();
        }
        let (id, source) = (*id, entry.peer.map(|peer| self.entries[peer].stream));
        let mut bytes = vec![0; length];
        let message = match sys::receive_descriptors(fd.as_fd(), &mut bytes) {
            Ok(message) => message,
            Err(errno) => return counted(Err(errno)),
        };
        if let Some(source) = source {
            let (bytes, position) = (&bytes[..message.length], self.entries[id].received);
            self.has_wrong_bytes |= self.origins.mismatch(bytes, source, position).is_some();
        }
        self.entries[id].received += message.length as u64;
        format!("{} with {}", message.length, message.descriptors.len())
    }
}

/// Passes an eventfd several times.
fn pass_some(to: &sys::OwnedFd, bytes: &[u8], count: usize) -> Result<usize, Errno> {
    let passed = EventFd::new()?;
    sys::send_descriptors(to.as_fd(), &[IoSlice::new(bytes)], &vec![passed.fd(); count])
}
