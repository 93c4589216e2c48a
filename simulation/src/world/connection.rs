//! How connections begin: bind(2), listen(2), connect(2), accept(2).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::file::FileId;
use super::socket::{Attempt, Phase, Socket};
use super::{ALL, World};
use crate::kernel::{Address, Errno, Family, flags};

pub(super) fn errno(number: i32) -> Errno {
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

    fn is_bound(&self, file: FileId) -> Result<bool, Errno> {
        let socket = self.connected_socket(file)?;
        Ok(socket.local.is_some() && !socket.is_unbound)
    }

    fn free_port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }

    pub(super) fn bind_socket(&mut self, file: FileId, address: &Address) -> Result<(), Errno> {
        if self.is_bound(file)? {
            return Err(Errno::INVAL);
        }
        let (address, is_chosen) = match address {
            Address::Inet(address) if address.port() == 0 => {
                (Address::Inet(SocketAddr::new(address.ip(), self.free_port())), true)
            }
            address => (address.clone(), false),
        };
        if self.bound_to(&address).is_some() {
            return Err(errno(libc::EADDRINUSE));
        }
        self.bound.push((address.clone(), file));
        if let Some(socket) = self.socket_mut(file) {
            (socket.local, socket.has_chosen_port) = (Some(address), is_chosen);
            (socket.is_unbound, socket.has_own_host) = (false, true);
            if !socket.is_unix() {
                socket.peer_address = None;
            }
        }
        Ok(())
    }

    /// `listen(2)`; a TCP socket that is not bound gets a port.
    pub(super) fn listen_on(&mut self, file: FileId, backlog: usize) -> Result<(), Errno> {
        let is_bound = self.is_bound(file)?;
        let socket = self.connected_socket(file)?;
        let family = socket.family;
        match (&socket.phase, is_bound, family) {
            (Phase::Listening { .. }, ..) => {}
            (Phase::Connecting { .. } | Phase::Connected, ..) | (_, false, Family::Unix) => {
                return Err(Errno::INVAL);
            }
            _ if socket.attempt != Attempt::None => return Err(Errno::INVAL),
            (_, true, _) => {}
            (_, false, family) => {
                let host = match &socket.local {
                    Some(Address::Inet(local)) => local.ip(),
                    _ => unspecified(family),
                };
                self.bind_socket(file, &Address::Inet(SocketAddr::new(host, 0)))?;
            }
        }
        let Some(socket) = self.socket_mut(file) else { return Err(Errno::INVAL) };
        match &mut socket.phase {
            Phase::Listening { backlog: limit, .. } => *limit = backlog,
            phase => *phase = Phase::Listening { backlog, queue: VecDeque::new() },
        }
        Ok(())
    }

    pub(super) fn connect_socket(&mut self, file: FileId, to: &Address) -> Result<(), Errno> {
        let socket = self.connected_socket(file)?;
        if socket.is_datagram {
            return self.probe(to);
        }
        if socket.is_unix() {
            return self.connect_unix(file, to);
        }
        match (socket.attempt, &socket.phase) {
            (Attempt::None, Phase::Fresh | Phase::Over) => {}
            (Attempt::GivenUp, _) => return Err(Errno::INVAL),
            (Attempt::Pending, _) => return self.return_outcome(file),
            _ => return Err(Errno::ISCONN),
        }
        let Address::Inet(remote) = to else { return Err(errno(libc::EAFNOSUPPORT)) };
        if !self.is_bound(file)? {
            let local = Address::Inet(SocketAddr::new(remote.ip(), self.free_port()));
            self.bound.push((local.clone(), file));
            if let Some(socket) = self.socket_mut(file) {
                (socket.local, socket.has_chosen_port) = (Some(local), true);
                socket.is_unbound = false;
            }
        }
        let since = self.now;
        if let Some(socket) = self.socket_mut(file) {
            socket.phase = Phase::Connecting { to: to.clone(), since };
            (socket.attempt, socket.peer_address) = (Attempt::Pending, Some(to.clone()));
            // `tcp_connect_init` in `net/ipv4/tcp_output.c`.
            (socket.error, socket.fin_came) = (None, false);
        }
        self.begin_moving(file);
        Err(Errno::INPROGRESS)
    }

    /// `__inet_stream_connect` in `net/ipv4/af_inet.c`: a further call of connect(2) returns the outcome of the first,
    /// truth 48.
    fn return_outcome(&mut self, file: FileId) -> Result<(), Errno> {
        let Some(socket) = self.socket_mut(file) else { return Err(Errno::BADF) };
        match socket.phase {
            Phase::Connecting { .. } => Err(Errno::ALREADY),
            Phase::Fresh | Phase::Over => {
                let error = socket.error.take();
                self.disconnect(file);
                Err(error.unwrap_or(errno(libc::ECONNABORTED)))
            }
            _ => {
                socket.attempt = Attempt::Returned;
                Ok(())
            }
        }
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
        if self.connected_socket(listener)?.shut_read {
            return Err(Errno::CONNREFUSED);
        }
        if queue.len() > *backlog {
            return Err(Errno::AGAIN);
        }
        match self.connected_socket(file)?.phase {
            Phase::Fresh => {}
            Phase::Connected => return Err(Errno::ISCONN),
            _ => return Err(Errno::INVAL),
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
            (socket.has_chosen_port, socket.attempt) = (true, Attempt::Returned);
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
                let receiver = socket.stream;
                self.origins.connected(receiver, source);
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
            let stream = socket.stream;
            self.origins.connected(stream, stream);
        }
        if let Some(socket) = self.socket_mut(file) {
            // `tcp_rcv_state_process`, in the state SYN-RECV: a shutdown before the connect.
            if socket.shut_write {
                socket.fin_leaves = true;
                self.begin_moving(file);
            }
        }
        self.wake(file, ALL);
    }

    pub(super) fn accept_from(&mut self, file: FileId) -> Result<FileId, Errno> {
        let socket = self.socket_mut(file).ok_or_else(|| errno(libc::ENOTSOCK))?;
        match &mut socket.phase {
            Phase::Listening { queue, .. } => queue.pop_front().ok_or(Errno::AGAIN),
            _ => Err(Errno::INVAL),
        }
    }
}

/// The error of a path that no socket is bound to.
fn absent(to: &Address) -> Errno {
    match to {
        Address::Unix(path) if path.first() != Some(&0) => Errno::NOENT,
        _ => Errno::CONNREFUSED,
    }
}

pub(super) fn unspecified(family: Family) -> IpAddr {
    match family {
        Family::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    }
}
