//! What poll(2) says of a file.

use super::World;
use super::file::{FileId, Kind};
use super::pipe::when;
use super::socket::{Phase, Socket};
use crate::kernel::flags;

impl Socket {
    /// `tcp_poll` in `net/ipv4/tcp.c`.
    pub(super) fn tcp_flags(&self) -> u32 {
        if let Phase::Listening { queue, .. } = &self.phase {
            return if queue.is_empty() { 0 } else { flags::IN };
        }
        let mut mask = self.shutdown_flags();
        if matches!(self.phase, Phase::Fresh | Phase::Over) {
            mask |= flags::HUP;
        }
        if !matches!(self.phase, Phase::Connecting { .. }) {
            if self.incoming > 0 {
                mask |= flags::IN;
            }
            if self.shut_write || self.has_space() {
                mask |= flags::OUT;
            }
            if self.urgent.is_some() {
                mask |= flags::PRI;
            }
        }
        mask | self.error_flags()
    }

    /// `unix_poll` in `net/unix/af_unix.c`; `unread` bytes are in the peer's buffer.
    pub(super) fn unix_flags(&self, unread: usize) -> u32 {
        let mut mask = self.shutdown_flags() | self.error_flags();
        match &self.phase {
            Phase::Listening { queue, .. } if queue.is_empty() => return mask,
            Phase::Listening { .. } => return mask | flags::IN,
            Phase::Connected => {}
            _ => mask |= flags::HUP,
        }
        if self.incoming > 0 {
            mask |= flags::IN;
        }
        if unread * 4 <= self.out_limit && !self.is_pressed {
            mask |= flags::OUT;
        }
        mask
    }

    fn shutdown_flags(&self) -> u32 {
        let read = if self.shut_read { flags::IN | flags::RDHUP } else { 0 };
        read | if self.shut_read && self.shut_write { flags::HUP } else { 0 }
    }

    fn error_flags(&self) -> u32 {
        if self.error.is_some() || self.error_queue { flags::ERR } else { 0 }
    }

    /// `tcp_rcv_state_process` in `net/ipv4/tcp_input.c`: truth 47.
    pub(super) fn refuses_bytes(&self) -> bool {
        self.shut_read && self.shut_write && !self.fin_came
    }

    /// `__sk_stream_is_writeable` in `include/net/sock.h`: a third of the buffer is free.
    pub(super) fn has_space(&self) -> bool {
        let room = self.out_limit.saturating_sub(self.outgoing);
        !self.is_pressed && room > 0 && room * 2 >= self.outgoing
    }
}

impl World {
    /// The flags that poll(2) returns for a file. A socket that has no room has it reported from then on: `tcp_poll`.
    pub(super) fn polled(&mut self, file: FileId) -> u32 {
        self.poll_ready(file);
        let mask = self.flags_of(file);
        if mask & flags::OUT == 0
            && let Some(socket) = self.socket_mut(file).filter(|it| it.is_connected())
        {
            socket.no_space = true;
        }
        mask
    }

    /// What is true of a file, in the flags of poll(2).
    pub(crate) fn flags_of(&self, file: FileId) -> u32 {
        match self.files.get(file).and_then(Option::as_ref).map(|file| &file.kind) {
            Some(Kind::Socket(socket)) if socket.is_unix() => {
                socket.unix_flags(self.unread_by_peer(file))
            }
            Some(Kind::Socket(socket)) => socket.tcp_flags(),
            Some(Kind::Timer(timer)) => when(flags::IN, timer.fired),
            Some(Kind::Counter(count)) => flags::OUT | when(flags::IN, *count > 0),
            Some(Kind::Regular(_)) => flags::IN | flags::OUT,
            Some(Kind::Pipe(_)) => self.pipe_flags(file),
            Some(Kind::Epoll(_)) => when(flags::IN, self.has_events(file)),
            None => 0,
        }
    }

    /// The bytes that a Unix socket has sent and that take up its buffer until its peer has received them: `sock_wfree`.
    pub(super) fn unread_by_peer(&self, file: FileId) -> usize {
        let peer = self.socket(file).filter(|it| it.is_unix()).and_then(|it| it.peer);
        let pieces = peer.and_then(|peer| self.socket(peer)).map(|peer| peer.pieces.iter());
        pieces.map_or(0, |pieces| pieces.map(|piece| piece.size).sum())
    }
}
