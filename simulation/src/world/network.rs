//! The network between TCP sockets: what has been sent arrives when something delivers it.

use std::net::IpAddr;

use super::connection::errno;
use super::file::FileId;
use super::socket::{Phase, Socket};
use super::{ALL, World};
use crate::kernel::{Address, Errno, flags};

impl World {
    /// A host from which no answer comes.
    pub(crate) const VOID: [u8; 4] = [10, 0, 0, 1];

    pub(super) fn begin_moving(&mut self, file: FileId) {
        if let Some(socket) = self.socket_mut(file)
            && !std::mem::replace(&mut socket.is_moving, true)
        {
            self.moving.push(file);
        }
    }

    pub(super) fn stop_moving(&mut self, file: FileId) {
        if let Some(socket) = self.socket_mut(file)
            && std::mem::take(&mut socket.is_moving)
        {
            self.moving.retain(|moving| *moving != file);
        }
    }

    /// The number of sockets for which the network has something to do.
    pub(crate) fn in_flight(&self) -> usize {
        self.moving.len()
    }

    /// Delivers something of the socket at an index of those that have it in flight, at most `most` bytes. Returns
    /// whether anything has changed.
    pub(crate) fn deliver_from(&mut self, index: usize, most: usize) -> bool {
        let Some(file) = self.moving.get(index).copied() else { return false };
        self.deliver(file, most)
    }

    /// Delivers all that there is room for. Returns whether anything has changed.
    pub(crate) fn deliver_all(&mut self) -> bool {
        let mut has_changed = false;
        for file in self.moving.clone() {
            while self.socket(file).is_some_and(|it| it.is_moving) && self.deliver(file, usize::MAX)
            {
                has_changed = true;
            }
        }
        has_changed
    }

    fn deliver(&mut self, file: FileId, most: usize) -> bool {
        let Some(socket) = self.socket(file) else { return false };
        if let Phase::Connecting { to, .. } = &socket.phase {
            let to = to.clone();
            return self.deliver_syn(file, &to);
        }
        if socket.rst_leaves {
            return self.deliver_rst(file);
        }
        let is_changed = self.deliver_bytes(file, most);
        self.deliver_fin(file) || is_changed
    }

    fn deliver_syn(&mut self, file: FileId, to: &Address) -> bool {
        if self.socket(file).and_then(|it| it.local.as_ref()) == Some(to) {
            self.stop_moving(file);
            self.meet_itself(file);
            return true;
        }
        if matches!(to, Address::Inet(to) if to.ip() == IpAddr::from(Self::VOID)) {
            return false;
        }
        let bound = self.bound.iter().find(|(bound, _)| bound == to).map(|(_, file)| *file);
        match bound.and_then(|bound| Some((bound, &self.socket(bound)?.phase))) {
            Some((listener, Phase::Listening { backlog, queue })) => {
                if queue.len() > *backlog {
                    return false;
                }
                self.stop_moving(file);
                self.establish(file, listener, to);
            }
            _ => self.be_reset(file, Errno::CONNREFUSED),
        }
        true
    }

    fn deliver_rst(&mut self, file: FileId) -> bool {
        let peer = self.socket_mut(file).and_then(|socket| socket.peer.take());
        if let Some(peer) = peer {
            let error = self.reset_error(peer);
            self.be_reset(peer, error);
        }
        self.stop_moving(file);
        self.free(file);
        true
    }

    /// `tcp_reset`: EPIPE where the peer's FIN had come before its RST.
    fn reset_error(&self, file: FileId) -> Errno {
        let has_end = self.socket(file).is_some_and(|it| it.fin_came && !it.shut_write);
        if has_end { Errno::PIPE } else { errno(libc::ECONNRESET) }
    }

    fn deliver_bytes(&mut self, file: FileId, most: usize) -> bool {
        let Some(socket) = self.socket(file) else { return false };
        let (outgoing, peer) = (socket.outgoing, socket.peer);
        if outgoing == 0 {
            return false;
        }
        // A closed socket answers bytes with RST.
        let Some(peer) = peer.filter(|peer| self.is_open(*peer)) else {
            if let Some(peer) = peer {
                self.detach_peer(peer);
            }
            let error = self.reset_error(file);
            self.be_reset(file, error);
            return true;
        };
        let room = self.socket(peer).map_or(0, |it| it.in_limit.saturating_sub(it.incoming));
        let count = outgoing.min(room).min(most);
        if count == 0 {
            return false;
        }
        if self.socket(peer).is_some_and(Socket::refuses_bytes) {
            let (error, urgent) = (self.reset_error(file), self.take_outgoing(file, count));
            self.be_reset(file, error);
            self.be_reset(peer, errno(libc::ECONNRESET));
            if let Some(peer) = self.socket_mut(peer) {
                peer.urgent = urgent.map(|mark| peer.incoming + mark).or(peer.urgent);
            }
            return true;
        }
        let mark = self.take_outgoing(file, count);
        let calls = self.calls;
        if let Some(peer) = self.socket_mut(peer) {
            peer.arrived = calls;
            if let Some(mark) = mark {
                peer.urgent = Some(peer.incoming + mark);
            }
            peer.incoming += count;
        }
        self.wake(peer, flags::IN);
        if let Some(socket) = self.socket_mut(file) {
            socket.is_pressed = false;
        }
        self.report_space(file);
        true
    }

    /// Removes bytes from what is to be sent. Returns where the urgent mark is among them.
    fn take_outgoing(&mut self, file: FileId, count: usize) -> Option<usize> {
        let socket = self.socket_mut(file)?;
        socket.outgoing -= count;
        let mark = socket.urgent_leaves?;
        if mark < count {
            socket.urgent_leaves = None;
            return Some(mark);
        }
        socket.urgent_leaves = Some(mark - count);
        None
    }

    /// `tcp_check_space` in `net/ipv4/tcp_input.c`: room is reported only if a send or poll(2) has missed it.
    pub(super) fn report_space(&mut self, file: FileId) {
        let Some(socket) = self.socket_mut(file) else { return };
        if socket.no_space && socket.has_space() {
            socket.no_space = false;
            self.wake(file, flags::OUT);
        }
    }

    fn deliver_fin(&mut self, file: FileId) -> bool {
        let Some(socket) = self.socket_mut(file) else { return false };
        if socket.outgoing > 0 {
            return false;
        }
        let is_end = std::mem::take(&mut socket.fin_leaves);
        let peer = socket.peer;
        self.stop_moving(file);
        if !is_end {
            return false;
        }
        if let Some(peer) = peer {
            if let Some(peer) = self.socket_mut(peer) {
                (peer.shut_read, peer.fin_came) = (true, true);
            }
            self.end_both(file, peer);
            self.wake(peer, ALL);
            // `tcp_rcv_state_process`, in the state FIN-WAIT-1: truth 56.
            if self.is_open(file) {
                self.wake(file, ALL);
            }
        } else if !self.is_open(file) {
            self.free(file);
        }
        true
    }

    /// Both halves have ended: the states of both sockets are CLOSE, or TIME-WAIT, which looks the same.
    fn end_both(&mut self, file: FileId, peer: FileId) {
        let has_ended =
            |it: &Socket| it.shut_write && !it.fin_leaves && it.outgoing == 0 && !it.rst_leaves;
        if ![file, peer].iter().all(|it| self.socket(*it).is_some_and(has_ended)) {
            return;
        }
        for it in [file, peer] {
            if let Some(socket) = self.socket_mut(it) {
                socket.peer = None;
            }
            self.be_over(it);
            self.stop_moving(it);
            if self.is_open(it) {
                self.wake(it, ALL);
            } else {
                self.free(it);
            }
        }
    }
}
