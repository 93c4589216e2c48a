//! recv(2), send(2), and what a socket says of itself.

use std::io::IoSlice;

use super::super::sys::{self, Address, AsFd, Errno, Family};
use super::{Runner, SOCKETS, outcome, skipped};
use crate::world::fill;

/// The bytes that a fill or a drain asks for at once.
pub(super) const LARGE: usize = 32 << 10;

/// How many bytes beyond its end a file may be asked for.
const MORE: usize = 10;

/// How often a drain looks whether more has come.
pub(super) const MOST_WAITS: u32 = 200;

impl Runner {
    pub(super) fn send(&mut self, name: usize, sizes: &[usize]) -> String {
        let Some((fd, entry)) = self.socket(name) else { return skipped() };
        if entry.is_filled {
            return skipped();
        }
        let mut bytes = vec![0; sizes.iter().sum()];
        fill(&mut bytes, entry.stream, entry.sent);
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        for size in sizes {
            let (piece, others) = rest.split_at(*size);
            pieces.push(IoSlice::new(piece));
            rest = others;
        }
        let sent = sys::send_pieces(fd.as_fd(), &pieces);
        self.count_sent(name, sent.unwrap_or(0), None);
        counted(sent)
    }

    /// sendfile(2) of what comes next, which a file has behind other bytes. It may be asked for more than there is.
    pub(super) fn send_file(&mut self, name: usize, before: usize, size: usize) -> String {
        let Some((fd, entry)) = self.socket(name) else { return skipped() };
        if entry.is_filled {
            return skipped();
        }
        let next = (entry.stream, entry.sent);
        let mut bytes = vec![0; before + size];
        fill(&mut bytes[before..], next.0, next.1);
        let count = size + before % 2 * MORE;
        let file = super::super::regular_file(&bytes, before as u64..(before + count) as u64, next);
        let Some(file) = file.filter(|_| count > 0) else { return skipped() };
        let sent = file.send_to(fd.as_fd(), before as u64, count);
        self.count_sent(name, sent.unwrap_or(0), None);
        counted(sent)
    }

    pub(super) fn send_urgent(&mut self, name: usize) -> String {
        let Some((fd, entry)) = self.socket(name) else { return skipped() };
        if entry.is_filled || entry.family == Family::Unix {
            return skipped();
        }
        let mut byte = [0];
        fill(&mut byte, entry.stream, entry.sent);
        let sent = super::super::send_urgent(fd, byte[0]);
        self.count_sent(name, sent.unwrap_or(0), None);
        counted(sent)
    }

    /// A socket has sent bytes: its own, or those of another.
    pub(super) fn count_sent(&mut self, name: usize, count: usize, origin: Option<(u32, u64)>) {
        let Some((_, id)) = &self.sockets[name % SOCKETS] else { return };
        let entry = &mut self.entries[*id];
        let (stream, position) = (entry.stream, entry.sent);
        entry.sent += count as u64;
        if count > 0 {
            self.origins.add(stream, position, origin.unwrap_or((stream, position)));
        }
    }

    pub(super) fn receive(&mut self, name: usize, length: usize, peeks: bool) -> String {
        let Some((_, id)) = &self.sockets[name % SOCKETS] else { return skipped() };
        if self.entries[*id].peer.is_some_and(|peer| self.entries[peer].is_filled) {
            return skipped();
        }
        let mut bytes = vec![0; length];
        counted(self.receive_into(name, &mut bytes, peeks))
    }

    /// Receives, and compares the bytes with those that the peer has sent.
    pub(super) fn receive_into(
        &mut self,
        name: usize,
        bytes: &mut [u8],
        peeks: bool,
    ) -> Result<usize, Errno> {
        let Some((fd, id)) = &self.sockets[name % SOCKETS] else { return Err(Errno::BADF) };
        let entry = &self.entries[*id];
        let source = entry.peer.map(|peer| self.entries[peer].stream);
        let received =
            if peeks { sys::peek(fd.as_fd(), bytes) } else { sys::receive(fd.as_fd(), bytes) }?;
        if let Some(source) = source {
            let (bytes, position) = (&bytes[..received], entry.received);
            self.has_wrong_bytes |= self.origins.mismatch(bytes, source, position).is_some();
        }
        if !peeks {
            let id = *id;
            self.entries[id].received += received as u64;
        }
        Ok(received)
    }

    /// Sends until the kernel takes no more. How much that is differs.
    pub(super) fn fill(&mut self, name: usize) -> String {
        let Some((_, entry)) = self.socket(name) else { return skipped() };
        if entry.peer.is_none() {
            return skipped();
        }
        let (first, mut failures) = (entry.sent, 0);
        let last = loop {
            let sent = self.send_large(name);
            failures = if sent.is_ok() { 0 } else { failures + 1 };
            match sent {
                Ok(_) | Err(Errno::AGAIN) if failures < 3 => self.settle(),
                _ => break sent,
            }
        };
        let Some((_, entry)) = self.socket(name) else { return skipped() };
        let has_sent = entry.sent > first;
        entry.is_filled |= has_sent;
        format!("some {has_sent}, then {}", counted(last))
    }

    fn send_large(&mut self, name: usize) -> Result<usize, Errno> {
        let Some((fd, entry)) = self.socket(name) else { return Err(Errno::BADF) };
        let mut bytes = vec![0; LARGE];
        fill(&mut bytes, entry.stream, entry.sent);
        let sent = sys::send_pieces(fd.as_fd(), &[IoSlice::new(&bytes)])?;
        self.count_sent(name, sent, None);
        Ok(sent)
    }

    /// Receives all that the peer has sent.
    pub(super) fn drain(&mut self, name: usize) -> String {
        let Some((_, id)) = &self.sockets[name % SOCKETS] else { return skipped() };
        let (id, peer) = (*id, self.entries[*id].peer);
        // The sender learns of the room by its next probe, truth 50.
        if self.entries[id].shut_read && peer.is_some_and(|peer| self.entries[peer].is_filled) {
            return skipped();
        }
        let mut bytes = vec![0; LARGE];
        let mut waits = 0;
        let last = loop {
            let received = self.receive_into(name, &mut bytes, false);
            match received {
                Ok(1..) => {}
                Err(Errno::AGAIN) if self.misses(id) && waits < MOST_WAITS => {
                    waits += 1;
                    self.settle();
                }
                _ => break received,
            }
        };
        if let Some(peer) = peer {
            self.entries[peer].is_filled = false;
        }
        format!("all {}, then {}", !self.misses(id), counted(last))
    }

    /// Whether something that the peer has sent was not received.
    pub(super) fn misses(&self, id: usize) -> bool {
        let entry = &self.entries[id];
        entry.peer.is_some_and(|peer| self.entries[peer].sent > entry.received)
    }

    pub(super) fn error(&mut self, name: usize) -> String {
        let Some((fd, _)) = self.socket(name) else { return skipped() };
        match sys::socket_error(fd.as_fd()) {
            Ok(Some(errno)) => format!("SO_ERROR {}", -errno.negated()),
            result => outcome(&result),
        }
    }

    /// The addresses of a socket, without ports and names.
    pub(super) fn addresses(&mut self, name: usize) -> String {
        let Some((fd, entry)) = self.socket(name) else { return skipped() };
        let fd = fd.as_fd();
        let of = [sys::local_address(fd), sys::remote_address(fd)].map(shape).join(", ");
        // `sk_getsockopt` in `net/core/sock.c` refuses SO_PEERNAME for a shorter address, as one without a name is.
        match entry.family {
            Family::Unix => of,
            _ => format!("{of}, formerly {}", shape(sys::former_remote_address(fd))),
        }
    }

    pub(super) fn kind(&mut self, name: usize) -> String {
        let Some((fd, _)) = self.socket(name) else { return skipped() };
        let fd = fd.as_fd();
        let (listens, tcp) = (sys::is_listening(fd), sys::is_tcp(fd));
        format!("{:?} {:?} {:?}", listens.ok(), tcp.ok(), sys::check_stream(fd).ok())
    }
}

pub(super) fn counted(result: Result<usize, Errno>) -> String {
    result.map_or_else(|errno| format!("error {}", -errno.negated()), |count| count.to_string())
}

fn shape(address: Result<Address, Errno>) -> String {
    match address {
        Ok(Address::Inet(address)) => {
            let is_any = address.ip().is_unspecified();
            format!("{} {}", if is_any { "any" } else { "host" }, address.port() != 0)
        }
        Ok(Address::Unix(path)) => format!("path {}", !path.is_empty()),
        Err(errno) => format!("error {}", -errno.negated()),
    }
}
