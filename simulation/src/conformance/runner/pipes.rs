//! pipe(7), and splice(2) between it and sockets.

use std::collections::VecDeque;

use super::super::sys::{self, AsFd, Errno, OwnedFd};
use super::transfers::{LARGE, MOST_WAITS, counted};
use super::{Runner, SOCKETS, outcome, skipped};
use crate::world::Origins;

/// The sizes of a pipe, in bytes. The small transfers of a script do not fill the first.
const SIZES: [usize; 4] = [1 << 20, 1 << 20, 1 << 16, 1];

/// A pipe, and whose bytes are in it.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) reader: Option<OwnedFd>,
    pub(super) writer: Option<OwnedFd>,
    content: VecDeque<(u32, u64, usize)>,
    /// A part of the small transfers may not fit.
    is_small: bool,
}

impl Pipe {
    fn length(&self) -> usize {
        self.content.iter().map(|(.., length)| length).sum()
    }
}

impl Runner {
    pub(super) fn open_pipe(&mut self, size: usize) -> String {
        if self.pipe.reader.is_some() || self.pipe.writer.is_some() {
            return skipped();
        }
        let opened = sys::pipe();
        let outcome = outcome(&opened);
        let Ok((reader, writer)) = opened else { return outcome };
        let _ = sys::set_pipe_size(writer.as_fd(), SIZES[size % 2]);
        self.pipe = Pipe { reader: Some(reader), writer: Some(writer), ..Pipe::default() };
        outcome
    }

    /// A pipe that has bytes is not made smaller: how many slots they take is left open.
    pub(super) fn resize_pipe(&mut self, size: usize) -> String {
        let size = SIZES[size % SIZES.len()];
        if !self.pipe.content.is_empty() && size < SIZES[0] {
            return skipped();
        }
        let end = self.pipe.reader.as_ref().or(self.pipe.writer.as_ref());
        let Some(end) = end else { return skipped() };
        let resized = sys::set_pipe_size(end.as_fd(), size);
        self.pipe.is_small = size < SIZES[0];
        counted(resized)
    }

    pub(super) fn close_reader(&mut self) -> String {
        self.pipe.content.clear();
        self.pipe.reader.take().map_or_else(skipped, |_| "done".to_owned())
    }

    pub(super) fn close_writer(&mut self) -> String {
        self.pipe.writer.take().map_or_else(skipped, |_| "done".to_owned())
    }

    pub(super) fn splice_in(&mut self, name: usize, count: usize) -> String {
        let Some((_, id)) = &self.sockets[name % SOCKETS] else { return skipped() };
        let is_full = self.entries[*id].peer.is_some_and(|peer| self.entries[peer].is_filled);
        if is_full || self.pipe.is_small {
            return skipped();
        }
        self.move_in(name, count).map_or_else(skipped, counted)
    }

    /// `None` where there is no socket or no writing end.
    fn move_in(&mut self, name: usize, count: usize) -> Option<Result<usize, Errno>> {
        let (fd, id) = self.sockets[name % SOCKETS].as_ref()?;
        let writer = self.pipe.writer.as_ref()?;
        let moved = sys::splice(fd.as_fd(), writer.as_fd(), count);
        let entry = &self.entries[*id];
        let source = entry.peer.map_or(Origins::UNKNOWN, |peer| self.entries[peer].stream);
        let (position, id) = (entry.received, *id);
        if let Ok(length @ 1..) = moved {
            self.pipe.content.push_back((source, position, length));
            self.entries[id].received += length as u64;
        }
        Some(moved)
    }

    pub(super) fn splice_out(&mut self, name: usize, count: usize) -> String {
        let Some((_, entry)) = self.socket(name) else { return skipped() };
        if entry.is_filled {
            return skipped();
        }
        self.move_out(name, count).map_or_else(skipped, counted)
    }

    /// With a count above what the pipe has, the last bytes might wait for more: truth 58.
    fn move_out(&mut self, name: usize, count: usize) -> Option<Result<usize, Errno>> {
        let (fd, _) = self.sockets[name % SOCKETS].as_ref()?;
        let reader = self.pipe.reader.as_ref()?;
        let length = self.pipe.length();
        let count = if length > 0 { count.min(length) } else { count };
        let moved = sys::splice(reader.as_fd(), fd.as_fd(), count);
        let mut left = moved.unwrap_or(0);
        while let Some((source, position, length)) = self.pipe.content.pop_front() {
            let taken = left.min(length);
            self.count_sent(name, taken, Some((source, position)));
            left -= taken;
            if taken < length {
                let rest = (source, position + taken as u64, length - taken);
                self.pipe.content.push_front(rest);
                break;
            }
        }
        Some(moved)
    }

    /// Moves all that a socket has to another one, whose peer receives it.
    pub(super) fn pump(&mut self, from: usize, to: usize) -> String {
        let Some(peer) = self.reading_peer(to) else { return skipped() };
        let Some((_, id)) = &self.sockets[from % SOCKETS] else { return skipped() };
        let id = *id;
        let sender = self.entries[id].peer;
        if self.pipe.reader.is_none()
            || self.pipe.writer.is_none()
            || self.sockets[peer].as_ref().is_some_and(|it| it.1 == id)
            || self.entries[id].shut_read
            || sender.is_none()
        {
            return skipped();
        }
        let mut waits = 0;
        let last = loop {
            let moved_in = self.move_in(from, LARGE).unwrap_or(Err(Errno::BADF));
            let out = self.empty_pipe(to, peer);
            match (moved_in, out) {
                (Ok(1..), Ok(())) => {}
                (Err(Errno::AGAIN), Ok(())) if self.misses(id) && waits < MOST_WAITS => {
                    waits += 1;
                    self.settle();
                }
                (moved_in, Ok(())) => break counted(moved_in),
                (_, Err(errno)) => {
                    // How much is left, and where, differs.
                    self.pipe = Pipe::default();
                    break format!("out {}, {}", counted(Err(errno)), self.drain(from));
                }
            }
        };
        if let Some(sender) = sender.filter(|_| !self.misses(id)) {
            self.entries[sender].is_filled = false;
        }
        let received = self.drain(peer);
        format!("all {}, then {last}, received {received}", !self.misses(id))
    }

    /// The name of a descriptor at the other end, if what is sent can be received there.
    fn reading_peer(&mut self, name: usize) -> Option<usize> {
        let (_, entry) = self.socket(name)?;
        let peer = entry.peer.filter(|_| !entry.is_filled)?;
        let at = self.sockets.iter().position(|it| it.as_ref().is_some_and(|it| it.1 == peer))?;
        (at != name % SOCKETS && !self.entries[peer].shut_read).then_some(at)
    }

    /// # Errors
    /// What the socket says, unless it is that it has no room.
    fn empty_pipe(&mut self, to: usize, peer: usize) -> Result<(), Errno> {
        let mut waits = 0;
        while self.pipe.length() > 0 {
            match self.move_out(to, LARGE).unwrap_or(Err(Errno::BADF)) {
                Ok(1..) => {}
                Err(Errno::AGAIN) if waits < MOST_WAITS => {
                    waits += 1;
                    self.settle();
                    let mut bytes = vec![0; LARGE];
                    while matches!(self.receive_into(peer, &mut bytes, false), Ok(1..)) {}
                }
                Ok(_) => return Err(Errno::INVAL),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}
