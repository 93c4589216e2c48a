//! How connections end: shutdown(2), close(2), resets.

use super::connection::{errno, unspecified};
use super::file::{FileId, Kind};
use super::socket::{Attempt, Phase};
use super::{ALL, World};
use crate::kernel::{Address, Errno, Shutdown, flags};

impl World {
    /// `tcp_set_state` in `net/ipv4/tcp.c`: the end of a connection gives a port back that connect(2) has chosen.
    pub(super) fn be_over(&mut self, file: FileId) {
        let Some(socket) = self.socket_mut(file) else { return };
        socket.phase = Phase::Over;
        if socket.has_chosen_port {
            socket.is_unbound = true;
            self.bound.retain(|(_, bound)| *bound != file);
        }
    }

    /// `tcp_disconnect` in `net/ipv4/tcp.c`: the socket can be connected again.
    pub(super) fn disconnect(&mut self, file: FileId) {
        if self.socket(file).is_some_and(|it| matches!(it.phase, Phase::Connecting { .. })) {
            self.be_over(file);
        }
        self.stop_moving(file);
        let Some(socket) = self.socket_mut(file) else { return };
        (socket.phase, socket.attempt, socket.peer_address) = (Phase::Over, Attempt::None, None);
        if let Some(Address::Inet(local)) = socket.local.as_mut().filter(|_| !socket.has_own_host) {
            local.set_ip(unspecified(socket.family));
        }
        (socket.shut_read, socket.shut_write, socket.fin_came) = (false, false, false);
        (socket.incoming, socket.urgent) = (0, None);
        self.wake(file, flags::ERR);
    }

    /// `inet_shutdown` in `net/ipv4/af_inet.c`, `unix_shutdown` in `net/unix/af_unix.c`.
    pub(super) fn shut(&mut self, file: FileId, how: Shutdown) -> Result<(), Errno> {
        let socket = self.socket_mut(file).ok_or_else(|| errno(libc::ENOTSOCK))?;
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        let mut result = Ok(());
        if socket.attempt == Attempt::Pending {
            socket.attempt =
                if socket.is_connected() { Attempt::Returned } else { Attempt::GivenUp };
        }
        match socket.phase {
            Phase::Fresh | Phase::Over if !socket.is_unix() => result = Err(Errno::NOTCONN),
            Phase::Listening { .. } if !socket.is_unix() => {
                if read {
                    self.stop_listening(file);
                }
                self.wake(file, ALL);
                return Ok(());
            }
            Phase::Connecting { .. } => {
                socket.error = Some(errno(libc::ECONNRESET));
                self.disconnect(file);
                self.wake(file, ALL);
                return Ok(());
            }
            _ => {}
        }
        socket.shut_read |= read;
        let ends = write && !socket.shut_write;
        socket.shut_write |= write;
        let (is_unix, is_connected, peer) = (socket.is_unix(), socket.is_connected(), socket.peer);
        if is_unix && let Some(peer) = peer {
            self.shut_peer(peer, read, write);
        } else if ends && is_connected {
            if let Some(socket) = self.socket_mut(file) {
                socket.fin_leaves = true;
            }
            self.begin_moving(file);
        }
        self.wake(file, ALL);
        result
    }

    /// `inet_csk_listen_stop`: the connections that wait are reset, truth 17.
    fn stop_listening(&mut self, file: FileId) {
        let Some(socket) = self.socket_mut(file) else { return };
        let phase = std::mem::replace(&mut socket.phase, Phase::Fresh);
        let Phase::Listening { queue, .. } = phase else { return };
        self.be_over(file);
        for accepted in queue {
            self.abort(accepted);
        }
    }

    fn shut_peer(&mut self, peer: FileId, read: bool, write: bool) {
        if let Some(peer) = self.socket_mut(peer) {
            peer.shut_write |= read;
            peer.shut_read |= write;
            peer.peer_ended |= write;
        }
        self.wake(peer, ALL);
    }

    /// The last descriptor of a socket is closed.
    pub(super) fn close_socket(&mut self, file: FileId) {
        self.bound.retain(|(_, bound)| *bound != file);
        let Some(socket) = self.socket_mut(file) else { return };
        if matches!(socket.phase, Phase::Listening { .. }) {
            self.stop_listening(file);
            return self.free(file);
        }
        let has_faults = !self.faults.injected().is_empty();
        let Some(socket) = self.socket_mut(file) else { return };
        if !has_faults
            && socket.linger.is_some_and(|seconds| seconds > 0)
            && !socket.is_unix()
            && socket.outgoing > 0
        {
            self.violate(|| "close(2) blocks: SO_LINGER is set and bytes are unsent".to_owned());
            return;
        }
        let Some(socket) = self.socket_mut(file) else { return };
        if socket.is_unix() {
            return self.close_unix(file);
        }
        if !socket.is_connected() || socket.peer == Some(file) {
            return self.free(file);
        }
        if socket.incoming > 0 || socket.linger == Some(0) {
            return self.abort(file);
        }
        // The kernel sends the rest, and then FIN.
        socket.fin_leaves |= !socket.shut_write;
        (socket.shut_read, socket.shut_write) = (true, true);
        let is_done = !socket.fin_leaves && socket.outgoing == 0;
        if is_done && socket.fin_came {
            return self.detach_peer(file);
        }
        self.begin_moving(file);
    }

    /// `unix_release_sock` in `net/unix/af_unix.c`.
    fn close_unix(&mut self, file: FileId) {
        let Some(socket) = self.socket(file) else { return };
        let (peer, was_unread, name) = (socket.peer, socket.incoming > 0, socket.local_name());
        if was_unread {
            self.remember(errno(libc::ECONNRESET));
        }
        if let Some(peer) = peer.filter(|peer| *peer != file) {
            if let Some(peer) = self.socket_mut(peer) {
                (peer.shut_read, peer.shut_write, peer.peer) = (true, true, None);
                peer.peer_address = Some(name);
                peer.peer_ended |= !was_unread;
                if was_unread {
                    peer.error = Some(errno(libc::ECONNRESET));
                }
            }
            self.wake(peer, ALL);
        }
        let pieces = self.socket_mut(file).map(|it| std::mem::take(&mut it.pieces));
        self.free(file);
        self.drop_passed(pieces.into_iter().flatten().flat_map(|piece| piece.files).collect());
    }

    /// Ends a connection by RST. Of a Unix socket: as one that is closed before it was accepted.
    pub(super) fn abort(&mut self, file: FileId) {
        let Some(socket) = self.socket_mut(file) else { return };
        if socket.is_unix() {
            socket.incoming = socket.incoming.max(1);
            return self.close_unix(file);
        }
        (socket.outgoing, socket.fin_leaves, socket.rst_leaves) = (0, false, true);
        (socket.shut_read, socket.shut_write) = (true, true);
        self.begin_moving(file);
    }

    /// Ends a connection without a word, and frees a file that has no descriptor.
    pub(super) fn detach_peer(&mut self, file: FileId) {
        let Some(socket) = self.socket_mut(file) else { return };
        let peer = socket.peer.take();
        if let Some(peer) = peer.and_then(|peer| self.socket_mut(peer)) {
            peer.peer = None;
        }
        self.stop_moving(file);
        self.free(file);
    }

    /// `tcp_reset` in `net/ipv4/tcp_input.c`: what has come can still be received.
    pub(super) fn be_reset(&mut self, file: FileId, error: Errno) {
        let is_orphan = !self.is_open(file);
        let Some(socket) = self.socket_mut(file) else { return };
        socket.error = Some(error);
        (socket.outgoing, socket.fin_leaves, socket.peer) = (0, false, None);
        (socket.shut_read, socket.shut_write) = (true, true);
        self.be_over(file);
        self.stop_moving(file);
        self.remember(error);
        if is_orphan {
            return self.free(file);
        }
        self.wake(file, ALL);
    }

    /// An entry comes into the error queue, and stays: socket(7).
    pub(crate) fn stamp(&mut self, file: FileId) {
        if let Some(socket) = self.socket_mut(file).filter(|it| !it.is_unix()) {
            socket.error_queue = true;
            self.wake(file, flags::ERR);
        }
    }

    /// Whether a program or a queue of connections still has the file.
    pub(super) fn is_open(&self, file: FileId) -> bool {
        let has_descriptor = self.files[file].as_ref().is_some_and(|file| file.descriptors > 0);
        has_descriptor || self.is_queued(file)
    }

    fn is_queued(&self, file: FileId) -> bool {
        self.files.iter().flatten().any(|entry| match &entry.kind {
            Kind::Socket(socket) => {
                matches!(&socket.phase, Phase::Listening { queue, .. } if queue.contains(&file))
            }
            _ => false,
        })
    }

    /// The network gives a connection up.
    pub(crate) fn time_out(&mut self, file: FileId) {
        self.fail_socket(file, errno(libc::ETIMEDOUT));
    }

    /// A connection or a connect fails.
    pub(crate) fn fail_socket(&mut self, file: FileId, error: Errno) {
        let peer = self.socket_mut(file).and_then(|socket| socket.peer.take());
        if let Some(peer) = peer.and_then(|peer| self.socket_mut(peer)) {
            peer.peer = None;
        }
        self.be_reset(file, error);
    }
}
