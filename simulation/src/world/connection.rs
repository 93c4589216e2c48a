//! How connections begin and end: bind(2), listen(2), connect(2), accept(2), shutdown(2), close(2).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::file::{FileId, Kind};
use super::socket::{Phase, Socket};
use super::{ALL, World};
use crate::kernel::{Address, Errno, Family, Shutdown, flags};

fn errno(number: i32) -> Errno {
    Errno::from_raw(number).unwrap_or(Errno::INVAL)
}

impl World {
    fn connected_socket(&self, file: FileId) -> Result<&Socket, Errno> {
        self.socket(file).ok_or_else(|| errno(libc::ENOTSOCK))
    }

    /// The socket that is bound to an address.
    fn bound_to(&self, address: &Address) -> Option<FileId> {
        self.bound.iter().find(|(bound, _)| bound == address).map(|(_, file)| *file)
    }

    fn free_port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }

    pub(super) fn bind_socket(&mut self, file: FileId, address: &Address) -> Result<(), Errno> {
        if self.connected_socket(file)?.local.is_some() {
            return Err(Errno::INVAL);
        }
        let address = match address {
            Address::Inet(address) if address.port() == 0 => {
                Address::Inet(SocketAddr::new(address.ip(), self.free_port()))
            }
            address => address.clone(),
        };
        if self.bound_to(&address).is_some() {
            return Err(errno(libc::EADDRINUSE));
        }
        self.bound.push((address.clone(), file));
        if let Some(socket) = self.socket_mut(file) {
            socket.local = Some(address);
        }
        Ok(())
    }

    /// `listen(2)`; a TCP socket that is not bound gets a port.
    pub(super) fn listen_on(&mut self, file: FileId, backlog: usize) -> Result<(), Errno> {
        let socket = self.connected_socket(file)?;
        let (is_bound, family) = (socket.local.is_some(), socket.family);
        match (&socket.phase, is_bound, family) {
            (Phase::Fresh, false, Family::Unix) => return Err(Errno::INVAL),
            (Phase::Fresh, false, family) => {
                let any = Address::Inet(SocketAddr::new(unspecified(family), 0));
                self.bind_socket(file, &any)?;
            }
            (Phase::Fresh | Phase::Listening { .. }, ..) => {}
            _ => return Err(Errno::INVAL),
        }
        let Some(socket) = self.socket_mut(file) else { return Err(Errno::INVAL) };
        match &mut socket.phase {
            Phase::Listening { backlog: limit, .. } => *limit = backlog,
            phase => *phase = Phase::Listening { backlog, queue: VecDeque::new() },
        }
        Ok(())
    }

    pub(super) fn connect_socket(&mut self, file: FileId, to: &Address) -> Result<(), Errno> {
        match &self.connected_socket(file)?.phase {
            Phase::Fresh => {}
            Phase::Connecting { .. } => return Err(Errno::ALREADY),
            Phase::Over if !self.connected_socket(file)?.is_unix() => {}
            _ => return Err(Errno::ISCONN),
        }
        if self.connected_socket(file)?.is_datagram {
            return self.probe(to);
        }
        if self.connected_socket(file)?.is_unix() {
            return self.connect_unix(file, to);
        }
        let Address::Inet(remote) = to else { return Err(errno(libc::EAFNOSUPPORT)) };
        if self.connected_socket(file)?.local.is_none() {
            let local = Address::Inet(SocketAddr::new(remote.ip(), self.free_port()));
            self.bound.push((local.clone(), file));
            if let Some(socket) = self.socket_mut(file) {
                socket.local = Some(local);
            }
        }
        let since = self.now;
        if let Some(socket) = self.socket_mut(file) {
            socket.phase = Phase::Connecting { to: to.clone(), since };
        }
        self.begin_moving(file);
        Err(Errno::INPROGRESS)
    }

    /// `connect(2)` of a datagram socket: truth 46.
    fn probe(&self, to: &Address) -> Result<(), Errno> {
        match self.bound_to(to) {
            Some(_) => Err(Errno::PROTOTYPE),
            None => Err(absent(to)),
        }
    }

    /// `unix_stream_connect` in `net/unix/af_unix.c`: the connection is there at once, or there is none.
    fn connect_unix(&mut self, file: FileId, to: &Address) -> Result<(), Errno> {
        let listener = self.bound_to(to).ok_or_else(|| absent(to))?;
        let Some(Phase::Listening { backlog, queue }) = self.socket(listener).map(|it| &it.phase)
        else {
            return Err(Errno::CONNREFUSED);
        };
        if queue.len() > *backlog {
            return Err(Errno::AGAIN);
        }
        self.establish(file, listener, to);
        Ok(())
    }

    /// Makes the connection of a client, and puts its other end into the queue of a listener.
    pub(super) fn establish(&mut self, client: FileId, listener: FileId, to: &Address) {
        let family = self.socket(client).map_or(Family::Unix, |it| it.family);
        let accepted = self.open_socket(family);
        let linger = self.socket(listener).and_then(|it| it.linger);
        let local = self.socket(client).and_then(|it| it.local.clone());
        self.join(client, accepted);
        if let Some(socket) = self.socket_mut(client) {
            socket.peer_address = Some(to.clone());
        }
        if let Some(socket) = self.socket_mut(accepted) {
            socket.local = Some(to.clone());
            socket.peer_address = Some(local.unwrap_or(Address::Unix(Vec::new())));
            socket.linger = linger;
        }
        if let Some(Phase::Listening { queue, .. }) =
            self.socket_mut(listener).map(|it| &mut it.phase)
        {
            queue.push_back(accepted);
        }
        self.wake(listener, flags::IN);
        if family != Family::Unix {
            self.wake(client, ALL);
        }
    }

    /// `socketpair(2)`.
    pub(crate) fn join(&mut self, one: FileId, other: FileId) {
        for (file, peer) in [(one, other), (other, one)] {
            let source = self.socket(peer).map_or(0, |it| it.stream);
            if let Some(socket) = self.socket_mut(file) {
                socket.phase = Phase::Connected;
                socket.peer = Some(peer);
                socket.source = source;
            }
        }
    }

    /// TCP's simultaneous open of a socket with itself: truth 21.
    pub(super) fn meet_itself(&mut self, file: FileId) {
        self.remember(Errno::CONNREFUSED);
        if let Some(socket) = self.socket_mut(file) {
            socket.phase = Phase::Connected;
            socket.peer = Some(file);
            socket.source = socket.stream;
            socket.peer_address = socket.local.clone();
        }
        self.wake(file, ALL);
    }

    pub(super) fn accept_from(&mut self, file: FileId) -> Result<FileId, Errno> {
        match self.socket_mut(file).map(|it| &mut it.phase) {
            Some(Phase::Listening { queue, .. }) => queue.pop_front().ok_or(Errno::AGAIN),
            _ => Err(Errno::INVAL),
        }
    }

    /// `inet_shutdown` in `net/ipv4/af_inet.c`, `unix_shutdown` in `net/unix/af_unix.c`.
    pub(super) fn shut(&mut self, file: FileId, how: Shutdown) -> Result<(), Errno> {
        let socket = self.socket_mut(file).ok_or_else(|| errno(libc::ENOTSOCK))?;
        let (read, write) = (how != Shutdown::Write, how != Shutdown::Read);
        let mut result = Ok(());
        match socket.phase {
            Phase::Fresh | Phase::Over if !socket.is_unix() => result = Err(Errno::NOTCONN),
            Phase::Connecting { .. } => {
                socket.phase = Phase::Fresh;
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

    fn shut_peer(&mut self, peer: FileId, read: bool, write: bool) {
        if let Some(peer) = self.socket_mut(peer) {
            peer.shut_write |= read;
            peer.shut_read |= write;
        }
        self.wake(peer, ALL);
    }

    /// The last descriptor of a socket is closed.
    pub(super) fn close_socket(&mut self, file: FileId) {
        self.bound.retain(|(_, bound)| *bound != file);
        let Some(socket) = self.socket_mut(file) else { return };
        if let Phase::Listening { queue, .. } = &mut socket.phase {
            for accepted in std::mem::take(queue) {
                self.abort(accepted);
            }
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
        let (peer, was_unread) = (socket.peer, socket.incoming > 0);
        if was_unread {
            self.remember(errno(libc::ECONNRESET));
        }
        if let Some(peer) = peer.filter(|peer| *peer != file) {
            if let Some(peer) = self.socket_mut(peer) {
                (peer.shut_read, peer.shut_write, peer.peer) = (true, true, None);
                if was_unread {
                    peer.error = Some(errno(libc::ECONNRESET));
                }
            }
            self.wake(peer, ALL);
        }
        self.free(file);
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
        socket.phase = Phase::Over;
        (socket.outgoing, socket.fin_leaves, socket.peer) = (0, false, None);
        (socket.shut_read, socket.shut_write) = (true, true);
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

/// The error of a path that no socket is bound to.
fn absent(to: &Address) -> Errno {
    match to {
        Address::Unix(path) if path.first() != Some(&0) => Errno::NOENT,
        _ => Errno::CONNREFUSED,
    }
}

fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}
