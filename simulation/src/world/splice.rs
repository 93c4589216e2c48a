//! `splice(2)` between a stream socket and a pipe: `fs/splice.c`.

use super::file::FileId;
use super::pipe::{PAGE, Slot};
use super::socket::Piece;
use super::{Origins, World};
use crate::kernel::{Errno, flags};

/// The most slots that one message takes: `splice_to_socket`.
const SLOTS_OF_MESSAGE: usize = 16;

impl World {
    pub(super) fn splice_between(
        &mut self,
        from: FileId,
        to: FileId,
        count: usize,
    ) -> Result<usize, Errno> {
        if count == 0 {
            return Ok(0);
        }
        let kinds = [from, to].map(|file| (self.socket(file).is_some(), self.pipe_end(file)));
        match kinds {
            [(true, _), (_, Some(end))] if end.is_writer => self.splice_in(from, to, count),
            [(_, Some(end)), (true, _)] if !end.is_writer => self.splice_out(from, to, count),
            [(true, _) | (_, Some(_)), (true, _) | (_, Some(_))] => Err(Errno::BADF),
            _ => Err(Errno::INVAL),
        }
    }

    /// From a socket: `tcp_splice_read` in `net/ipv4/tcp.c`, `unix_stream_splice_read`. Each piece of the socket's buffer
    /// takes a slot; how large they are is left to chance.
    fn splice_in(&mut self, from: FileId, writer: FileId, count: usize) -> Result<usize, Errno> {
        let mut slots = self.room_in_pipe(writer).ok_or(Errno::PIPE)?;
        if slots == 0 {
            return Err(Errno::AGAIN);
        }
        let socket = self.socket(from).ok_or(Errno::BADF)?;
        let (source, mut position) = (socket.source, socket.received);
        // `tcp_read_sock` stops at the urgent mark, and does not go over it: truth 59.
        if socket.urgent == Some(0) && socket.incoming > 0 {
            return self.nothing_to_splice(from);
        }
        let mut left = self.receive_some(from, count.min(slots * PAGE), true)?;
        if left > 0 && self.luck.one_in(64) {
            // `skb_splice_bits` in `net/core/skbuff.c` finds no memory: truth 61.
            return if self.socket(from).is_some_and(super::Socket::has_tcp) {
                Err(Errno::AGAIN)
            } else {
                Ok(0)
            };
        }
        let is_scattered = self.luck.one_in(2);
        let mut moved = Vec::new();
        while left > 0 && slots > 0 {
            let most = left.min(PAGE);
            let length = if is_scattered { 1 + self.luck.below(most) } else { most };
            moved.push(Slot { origin: Some((source, position)), length });
            position += length as u64;
            left -= length;
            slots -= 1;
        }
        let count = moved.iter().map(|slot| slot.length).sum();
        if count == 0 {
            return Ok(0);
        }
        self.receive_some(from, count, false)?;
        let reader = self.pipe_end(writer).and_then(|end| end.other).ok_or(Errno::PIPE)?;
        if let Some(end) = self.pipe_end_mut(reader) {
            end.slots.extend(moved);
        }
        self.wake(reader, super::ALL);
        Ok(count)
    }

    fn nothing_to_splice(&mut self, from: FileId) -> Result<usize, Errno> {
        let socket = self.socket_mut(from).ok_or(Errno::BADF)?;
        Self::nothing_to_receive(socket)
    }

    /// To a socket: `splice_to_socket`, one message after the other.
    fn splice_out(&mut self, reader: FileId, to: FileId, count: usize) -> Result<usize, Errno> {
        let mut moved = 0;
        while moved < count {
            match self.splice_message(reader, to, count - moved) {
                Ok(0) => break,
                Ok(length) => {
                    moved += length;
                    self.move_by_chance();
                }
                // The pipe is empty, or the socket full. An error that the socket returns after bytes is lost: truth 60.
                Err(_) if moved > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(moved)
    }

    /// The network may come in between.
    fn move_by_chance(&mut self) {
        if self.luck.one_in(8) {
            let index = self.luck.below(self.in_flight());
            self.deliver_from(index, usize::MAX);
        }
    }

    fn splice_message(&mut self, reader: FileId, to: FileId, most: usize) -> Result<usize, Errno> {
        let end = self.pipe_end(reader).ok_or(Errno::BADF)?;
        let writer = end.other;
        let slots: Vec<Slot> = end.slots.iter().take(SLOTS_OF_MESSAGE).copied().collect();
        let length = most.min(slots.iter().map(|slot| slot.length).sum());
        if length == 0 {
            return if writer.is_some() { Err(Errno::AGAIN) } else { Ok(0) };
        }
        let (stream, position) =
            self.socket(to).map(|it| (it.stream, it.sent)).ok_or(Errno::BADF)?;
        let count = match self.socket(to) {
            Some(socket) if socket.is_unix() => self.splice_unix(to, length)?,
            _ => self.send_some(to, length)?,
        };
        self.check_slots(&slots, (stream, position), count);
        self.check_more(reader, to, most > length);
        let frees = self.pipe_end_mut(reader).is_some_and(|end| end.consume(count));
        if let Some(writer) = writer.filter(|_| frees) {
            self.wake(writer, super::ALL);
        }
        Ok(count)
    }

    /// A message of all its slots that is short of the count has `MSG_MORE`, also when nothing follows: truth 58.
    fn check_more(&mut self, reader: FileId, to: FileId, asks_more: bool) {
        let slots = self.pipe_end(reader).map_or(0, |end| end.slots.len());
        let has_tcp = self.socket(to).is_some_and(super::Socket::has_tcp);
        if asks_more && slots == SLOTS_OF_MESSAGE && has_tcp && !self.learns_origins {
            self.violate(|| {
                "a splice of more bytes than the pipe has: the last ones wait".to_owned()
            });
        }
    }

    /// `unix_stream_sendmsg`, `MSG_SPLICE_PAGES`: while there is any room, all pages of the message are taken.
    pub(super) fn splice_unix(&mut self, file: FileId, length: usize) -> Result<usize, Errno> {
        if self.room(file)? == 0 {
            return self.send_some(file, length);
        }
        let mut count = length;
        if count > 1 && self.luck.one_in(4) {
            count = 1 + self.luck.below(count);
        }
        let socket = self.socket_mut(file).ok_or(Errno::BADF)?;
        socket.is_pressed |= count < length;
        socket.sent += count as u64;
        let peer = socket.peer;
        self.moves += 1;
        let Some(peer) = peer else { return Ok(count) };
        if let Some(peer) = self.socket_mut(peer) {
            peer.incoming += count;
            peer.pieces.push_back(Piece::new(count));
        }
        self.wake(peer, flags::IN);
        Ok(count)
    }

    /// The bytes of a pipe have to be those that come next in the socket's stream.
    fn check_slots(
        &mut self,
        slots: &[Slot],
        (stream, mut position): (u32, u64),
        mut count: usize,
    ) {
        for slot in slots {
            let mut bytes = vec![0; slot.length.min(count)];
            if let Some((source, at)) = slot.origin {
                self.read_stream(&mut bytes, source, at);
            }
            self.write_stream(
                &bytes,
                (stream, position),
                slot.origin.or(Some((Origins::UNKNOWN, 0))),
            );
            position += bytes.len() as u64;
            count -= bytes.len();
        }
    }
}
