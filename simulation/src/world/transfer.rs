//! recv(2) and send(2).

use super::file::FileId;
use super::socket::{Phase, Piece};
use super::{Process, World};
use crate::kernel::{Errno, flags};

impl World {
    /// The other end of a connection of the program.
    pub(crate) fn peer_of(&self, fd: i32) -> Option<FileId> {
        self.socket_of(fd).ok().filter(|it| it.is_connected())?.peer
    }

    /// Whether a process has the other end of a connection of the program.
    pub(crate) fn is_read_by(&self, fd: i32, process: Process) -> bool {
        self.peer_of(fd).is_some_and(|peer| self.tables[process as usize].contains(&Some(peer)))
    }

    /// Receives into a buffer: `tcp_recvmsg_locked` in `net/ipv4/tcp.c`, `unix_stream_read_generic`.
    pub(super) fn receive_into(
        &mut self,
        file: FileId,
        into: &mut [u8],
        peeks: bool,
    ) -> Result<usize, Errno> {
        let socket = self.socket(file).ok_or(Errno::BADF)?;
        let (source, position) = (socket.source, socket.received);
        let count = self.receive_some(file, into.len(), peeks)?;
        self.read_stream(&mut into[..count], source, position);
        Ok(count)
    }

    /// As `receive_into`, of a receiver that does not look at the bytes.
    pub(crate) fn receive_some(
        &mut self,
        file: FileId,
        length: usize,
        peeks: bool,
    ) -> Result<usize, Errno> {
        let (count, files) = self.receive_passed(file, length, peeks)?;
        self.drop_passed(files);
        Ok(count)
    }

    /// As `receive_some`, with the descriptors that came with the bytes.
    pub(super) fn receive_passed(
        &mut self,
        file: FileId,
        length: usize,
        peeks: bool,
    ) -> Result<(usize, Vec<FileId>), Errno> {
        let socket = self.socket_mut(file).ok_or(Errno::BADF)?;
        if matches!(socket.phase, Phase::Listening { .. }) {
            return Err(if socket.is_unix() { Errno::INVAL } else { Errno::NOTCONN });
        }
        if socket.incoming == 0 {
            return Self::nothing_to_receive(socket).map(|count| (count, Vec::new()));
        }
        let count = socket.readable().min(length);
        if peeks {
            return Ok((count, Vec::new()));
        }
        socket.consume(count);
        let (frees, files) = socket.consume_pieces(count);
        let (is_unix, peer) = (socket.is_unix(), socket.peer);
        self.moves += 1;
        let Some(peer) = peer else { return Ok((count, files)) };
        if !is_unix {
            // The window is open again.
            if self.socket(peer).is_some_and(|it| it.outgoing > 0) {
                self.begin_moving(peer);
            }
            return Ok((count, files));
        }
        if let Some(sender) = self.socket_mut(peer).filter(|_| frees) {
            sender.is_pressed = false;
        }
        if frees && self.flags_of(peer) & flags::OUT != 0 {
            self.wake(peer, flags::OUT);
        }
        Ok((count, files))
    }

    pub(super) fn nothing_to_receive(socket: &mut super::socket::Socket) -> Result<usize, Errno> {
        match socket.phase {
            Phase::Fresh if socket.is_unix() => return Err(Errno::INVAL),
            _ if socket.fin_came => return Ok(0),
            _ => {}
        }
        socket.take_error()?;
        match socket.phase {
            _ if socket.shut_read => Ok(0),
            Phase::Fresh | Phase::Over => Err(Errno::NOTCONN),
            _ => Err(Errno::AGAIN),
        }
    }

    /// Sends pieces, whose bytes have to be those that come next in the socket's stream.
    pub(super) fn send_from(&mut self, file: FileId, pieces: &[&[u8]]) -> Result<usize, Errno> {
        let total = pieces.iter().map(|piece| piece.len()).sum();
        let socket = self.socket(file).ok_or(Errno::BADF)?;
        let (stream, mut position) = (socket.stream, socket.sent);
        let count = self.send_some(file, total)?;
        let mut left = count;
        for piece in pieces {
            let taken = &piece[..piece.len().min(left)];
            self.write_stream(taken, (stream, position), None);
            position += taken.len() as u64;
            left -= taken.len();
        }
        Ok(count)
    }

    /// As `send_from`, of a sender whose bytes are right.
    pub(crate) fn send_some(&mut self, file: FileId, length: usize) -> Result<usize, Errno> {
        let room = self.room(file)?;
        let mut count = length.min(room);
        if count > 1 && self.luck.one_in(4) {
            count = 1 + self.luck.below(count);
        }
        let socket = self.socket_mut(file).ok_or(Errno::BADF)?;
        socket.is_pressed |= count < length.min(room);
        // tcp(7): a send that does not take all has met the end of the buffer.
        socket.no_space |= count < length;
        if count == 0 && length > 0 {
            return Err(Errno::AGAIN);
        }
        if count == 0 {
            return Ok(0);
        }
        socket.sent += count as u64;
        self.moves += 1;
        let socket = self.socket_mut(file).ok_or(Errno::BADF)?;
        let peer = socket.peer;
        if !socket.is_unix() {
            socket.outgoing += count;
            self.begin_moving(file);
        } else if let Some(peer) = peer {
            if let Some(peer) = self.socket_mut(peer) {
                peer.incoming += count;
                peer.pieces.push_back(Piece::new(count));
            }
            self.wake(peer, flags::IN);
        }
        Ok(count)
    }

    /// The room in a send buffer: `tcp_sendmsg_locked`, `unix_stream_sendmsg`.
    pub(super) fn room(&mut self, file: FileId) -> Result<usize, Errno> {
        let unread = self.unread_by_peer(file);
        let socket = self.socket_mut(file).ok_or(Errno::BADF)?;
        if socket.is_unix() {
            if matches!(socket.phase, Phase::Fresh | Phase::Listening { .. }) {
                return Err(Errno::NOTCONN);
            }
            if socket.shut_write {
                return Err(Errno::PIPE);
            }
            socket.take_error()?;
            return Ok(if socket.is_pressed { 0 } else { socket.out_limit.saturating_sub(unread) });
        }
        match socket.phase {
            Phase::Connecting { .. } => return Err(Errno::AGAIN),
            Phase::Connected if !socket.shut_write && socket.error.is_none() => {}
            _ => {
                socket.take_error()?;
                return Err(Errno::PIPE);
            }
        }
        Ok(if socket.is_pressed { 0 } else { socket.out_limit.saturating_sub(socket.outgoing) })
    }

    /// The bytes that a send would take.
    pub(crate) fn room_of(&self, file: FileId) -> usize {
        let unread = self.unread_by_peer(file);
        let Some(socket) = self.socket(file).filter(|it| it.is_connected()) else { return 0 };
        if socket.shut_write || socket.error.is_some() || socket.is_pressed {
            return 0;
        }
        let used = if socket.is_unix() { unread } else { socket.outgoing };
        socket.out_limit.saturating_sub(used)
    }

    /// How much a sender may have under way so that its receiver, window by window, gets it with few calls.
    pub(crate) fn flood_of(&self, file: FileId) -> usize {
        let peer = self.socket(file).and_then(|it| it.peer).and_then(|peer| self.socket(peer));
        let under_way = self.socket(file).map_or(0, |it| it.outgoing);
        peer.map_or(0, |peer| (peer.in_limit << 9).saturating_sub(under_way))
    }

    /// `send(2)` of one byte with `MSG_OOB`, as the peer does it: tcp(7).
    pub(crate) fn send_urgent(&mut self, file: FileId) {
        let Some(socket) = self.socket_mut(file) else { return };
        if socket.is_unix() || !socket.is_connected() || socket.outgoing == 0 {
            return;
        }
        socket.urgent_leaves = Some(socket.outgoing - 1);
    }
}
