//! A stream socket.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::World;
use super::connection::unspecified;
use super::file::{FileId, Kind};
use crate::kernel::{Address, Errno, Family};

/// The most input that `core` discards at a close, in bytes: 16 pieces of 16 KiB, and the urgent mark may cut one of them.
const MOST_DISCARDED: usize = 240 << 10;

/// What connect(2), listen(2) and the peer have made of a socket: the states of tcp(7) as far as a program sees them.
pub(crate) enum Phase {
    Fresh,
    Listening {
        backlog: usize,
        queue: VecDeque<FileId>,
    },
    /// TCP: SYN-SENT.
    Connecting {
        to: Address,
        since: u64,
    },
    Connected,
    /// TCP: CLOSE, after a connection.
    Over,
}

/// What the calls of connect(2) of a TCP socket have returned: `socket_state` in `include/linux/net.h`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    None,
    /// The outcome is not returned yet.
    Pending,
    Returned,
    /// shutdown(2) has come in between.
    GivenUp,
}

/// What one send has put into the receive buffer of a Unix socket: all of it counts until the last byte is received.
pub(super) struct Piece {
    pub(super) size: usize,
    pub(super) left: usize,
    /// Whether descriptors came with it, and which.
    pub(super) passes: bool,
    pub(super) files: Vec<FileId>,
}

impl Piece {
    pub(super) fn new(size: usize) -> Self {
        Self { size, left: size, passes: false, files: Vec::new() }
    }
}

/// Bytes are counted and not stored: `stream` and the position of a byte say what it is, see `bytes.rs`.
#[allow(clippy::struct_excessive_bools, reason = "the flags of struct sock")]
pub(crate) struct Socket {
    pub(super) family: Family,
    pub(super) is_datagram: bool,
    pub(super) phase: Phase,
    pub(super) attempt: Attempt,
    pub(super) local: Option<Address>,
    /// TCP: the kernel has chosen the port, or it is that of the listener.
    pub(super) has_chosen_port: bool,
    /// TCP: bind(2) has chosen the host.
    pub(super) has_own_host: bool,
    /// The port is only shown: the end of a connection has given it back.
    pub(super) is_unbound: bool,
    pub(super) peer_address: Option<Address>,
    pub(super) peer: Option<FileId>,
    /// The name of what it sends, and of what its peer sends.
    pub(crate) stream: u32,
    pub(crate) source: u32,
    /// The bytes that it took from its program, and gave to it.
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// The bytes in its receive buffer, and of TCP those that have not reached the peer's.
    pub(crate) incoming: usize,
    pub(crate) outgoing: usize,
    /// Unix: the incoming bytes by the sends that they came by.
    pub(super) pieces: VecDeque<Piece>,
    pub(super) in_limit: usize,
    pub(super) out_limit: usize,
    pub(super) shut_read: bool,
    pub(super) shut_write: bool,
    /// TCP: whether the peer's FIN has come, `SOCK_DONE`.
    pub(super) fin_came: bool,
    /// Unix: whether the peer had ended its half before an error.
    pub(super) peer_ended: bool,
    /// TCP: whether a FIN follows the outgoing bytes, or an RST comes in their place.
    pub(super) fin_leaves: bool,
    pub(super) rst_leaves: bool,
    pub(super) error: Option<Errno>,
    /// Whether the error queue has an entry, as a time stamp.
    pub(super) error_queue: bool,
    /// Whether a send took less than there was room for, as for want of memory: there is none until the peer has some.
    pub(super) is_pressed: bool,
    /// `SOCK_NOSPACE`: room in the send buffer is to be reported.
    pub(super) no_space: bool,
    /// TCP: the urgent mark, as the number of bytes before it.
    pub(super) urgent: Option<usize>,
    pub(super) urgent_leaves: Option<usize>,
    /// `SO_LINGER` in seconds.
    pub(super) linger: Option<u32>,
    /// The number of calls of the program when bytes last came.
    pub(super) arrived: u64,
    /// Whether the network has something to do for it: it is in `World::moving`.
    pub(super) is_moving: bool,
}

impl Socket {
    pub(super) fn new(family: Family, stream: u32, (in_limit, out_limit): (usize, usize)) -> Self {
        Self {
            family,
            is_datagram: false,
            phase: Phase::Fresh,
            attempt: Attempt::None,
            local: None,
            has_chosen_port: false,
            is_unbound: false,
            has_own_host: false,
            peer_address: None,
            peer: None,
            stream,
            source: 0,
            sent: 0,
            received: 0,
            incoming: 0,
            outgoing: 0,
            pieces: VecDeque::new(),
            in_limit,
            out_limit,
            shut_read: false,
            shut_write: false,
            fin_came: false,
            peer_ended: false,
            fin_leaves: false,
            rst_leaves: false,
            error: None,
            error_queue: false,
            is_pressed: false,
            no_space: false,
            urgent: None,
            urgent_leaves: None,
            linger: None,
            arrived: 0,
            is_moving: false,
        }
    }

    pub(super) fn is_unix(&self) -> bool {
        self.family == Family::Unix
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected)
    }

    pub(super) fn is_connecting_since(&self, time: u64) -> bool {
        matches!(self.phase, Phase::Connecting { since, .. } if since <= time)
    }

    /// The pending error, which is cleared: `sock_error` in `include/net/sock.h`.
    pub(super) fn take_error(&mut self) -> Result<(), Errno> {
        self.error.take().map_or(Ok(()), Err)
    }

    /// How many bytes a receive may return: up to the urgent mark, or to the end of what descriptors came with.
    pub(super) fn readable(&self) -> usize {
        if let Some(last) = self.pieces.iter().position(|piece| piece.passes) {
            return self.pieces.iter().take(last + 1).map(|piece| piece.left).sum();
        }
        self.urgent.filter(|mark| *mark > 0).map_or(self.incoming, |mark| mark.min(self.incoming))
    }

    /// Takes bytes out of those that were sent at once. Returns whether memory of the sender is free again: that of all
    /// bytes of one send, `unix_stream_read_generic` in `net/unix/af_unix.c`. And the descriptors that came with them.
    pub(super) fn consume_pieces(&mut self, mut count: usize) -> (bool, Vec<FileId>) {
        let before = self.pieces.len();
        let mut files = Vec::new();
        while let Some(piece) = self.pieces.front_mut() {
            if piece.left > count {
                if count > 0 {
                    piece.left -= count;
                    piece.passes = false;
                    files.append(&mut piece.files);
                }
                break;
            }
            count -= piece.left;
            files.append(&mut piece.files);
            self.pieces.pop_front();
        }
        (self.pieces.len() < before, files)
    }

    /// Takes bytes out of the receive buffer.
    pub(super) fn consume(&mut self, count: usize) {
        self.incoming -= count;
        self.received += count as u64;
        // A receive that begins at a mark goes over it.
        self.urgent = self.urgent.and_then(|mark| mark.checked_sub(count));
    }
}

impl World {
    pub(super) fn note_closing(&mut self, file: FileId) {
        // `core` does not read all of it.
        let has_large = self.largest_buffer > MOST_DISCARDED;
        let step_begin = self.calls - u64::from(self.calls_of_step);
        let Some(socket) = self.socket(file) else { return };
        let closing = Closing {
            stream: socket.stream,
            sent: socket.sent + self.left_out_of(socket.stream),
            unread: if socket.arrived > step_begin || has_large { 0 } else { socket.incoming },
            is_sound: socket.is_connected() && socket.error.is_none() && socket.peer != Some(file),
            has_tcp: socket.has_tcp(),
            resets: socket.linger == Some(0),
        };
        self.closings.push(closing);
    }

    /// `socket(2)`.
    pub(crate) fn open_socket(&mut self, family: Family) -> FileId {
        self.streams += 1;
        let limits = self.buffer_limits;
        self.largest_buffer = self.largest_buffer.max(limits.0).max(limits.1);
        self.insert(Kind::Socket(Box::new(Socket::new(family, self.streams, limits))))
    }

    pub(crate) fn socket(&self, file: FileId) -> Option<&Socket> {
        match &self.files.get(file)?.as_ref()?.kind {
            Kind::Socket(socket) => Some(socket),
            _ => None,
        }
    }

    pub(crate) fn socket_mut(&mut self, file: FileId) -> Option<&mut Socket> {
        match &mut self.files.get_mut(file)?.as_mut()?.kind {
            Kind::Socket(socket) => Some(socket),
            _ => None,
        }
    }
}

/// A socket of the program at its close(2).
pub(crate) struct Closing {
    pub(crate) stream: u32,
    /// The bytes that the kernel took from it, and those that were left out.
    pub(crate) sent: u64,
    /// The bytes that the program has left unread, and could have read: with any, the peer gets RST for FIN.
    pub(crate) unread: usize,
    /// Whether the connection stands, without an error.
    pub(crate) is_sound: bool,
    pub(crate) has_tcp: bool,
    /// Whether it ends by RST, as `SO_LINGER` with a time of 0 has it.
    pub(crate) resets: bool,
}

/// What getsockopt(2) and its like return.
impl Socket {
    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    pub(crate) fn unix_peer(&self) -> Option<FileId> {
        self.peer.filter(|_| self.is_unix())
    }

    pub(crate) fn is_stream(&self) -> bool {
        !self.is_datagram
    }

    /// Whether its program has ended its half of a connection that stands.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_connected() && self.shut_write
    }

    /// Whether its input has ended, by FIN or by an end of the peer that has no error.
    pub(crate) fn input_ended(&self) -> bool {
        if self.is_unix() { self.peer_ended } else { self.fin_came }
    }

    pub(crate) fn has_error(&self) -> bool {
        self.error.is_some()
    }

    /// Whether its output has ended.
    pub(crate) fn output_ended(&self) -> bool {
        self.shut_write
    }

    /// Whether it is connected with itself.
    pub(crate) fn is_own_peer(&self) -> bool {
        self.is_connected() && self.source == self.stream
    }

    /// Whether it is connected, or was.
    pub(crate) fn has_begun(&self) -> bool {
        self.is_connected() || matches!(self.phase, Phase::Over)
    }

    pub(crate) fn has_tcp(&self) -> bool {
        !self.is_unix()
    }

    pub(crate) fn linger(&self) -> Option<u32> {
        self.linger
    }

    pub(crate) fn set_linger(&mut self, seconds: Option<u32>) {
        self.linger = seconds;
    }

    pub(crate) fn pop_error(&mut self) -> Option<Errno> {
        self.error.take()
    }

    pub(crate) fn local_name(&self) -> Address {
        let unbound = || match self.family {
            Family::Unix => Address::Unix(Vec::new()),
            family => Address::Inet(SocketAddr::new(unspecified(family), 0)),
        };
        self.local.clone().unwrap_or_else(unbound)
    }

    pub(crate) fn peer_name(&self) -> Result<Address, Errno> {
        self.peer_address.clone().ok_or(Errno::NOTCONN)
    }
}
