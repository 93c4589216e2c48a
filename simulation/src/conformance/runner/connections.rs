//! How connections begin and end.

use std::net::{Ipv4Addr, SocketAddr};

use super::super::sys::{self, Address, AsFd, AsRawFd, Errno, Family, OwnedFd, Shutdown};
use super::{Entry, Runner, SOCKETS, outcome, skipped};

impl Runner {
    /// Gives a socket a name that has none.
    fn name(&mut self, name: usize, fd: OwnedFd, family: Family) -> usize {
        let id = self.entries.len();
        self.entries.push(Entry {
            family,
            stream: super::super::stream(&fd, id),
            sent: 0,
            received: 0,
            address: None,
            backlog: None,
            queue: Vec::new(),
            peer: None,
            is_filled: false,
            is_overrun: false,
            shut_read: false,
        });
        self.sockets[name % SOCKETS] = Some((fd, id));
        id
    }

    pub(super) fn open(&mut self, name: usize, family: Family) -> String {
        if self.socket(name).is_some() {
            return skipped();
        }
        let opened = sys::socket(family);
        let outcome = outcome(&opened);
        if let Ok(fd) = opened {
            super::super::prepare(&fd);
            self.name(name, fd, family);
        }
        outcome
    }

    /// An address of the script's own: a port that is closed stays unused for as long as another does not ask for it.
    fn free_address(&mut self, family: Family) -> Address {
        self.bound += 1;
        let (seed, count) = (self.seed, self.bound);
        if family == Family::Unix {
            return Address::Unix(super::super::abstract_name(seed as usize, count));
        }
        let [.., high, middle, low] = seed.to_be_bytes();
        let host = Ipv4Addr::new(127, 1 + high % 200, middle, 1 + low % 250);
        Address::Inet(SocketAddr::new(host.into(), 0))
    }

    pub(super) fn bind(&mut self, name: usize) -> String {
        let Some((_, entry)) = self.socket(name) else { return skipped() };
        // Linux gives an abstract name to an unbound Unix socket alone; a TCP socket may have got a port by connect.
        let family = entry.family;
        let to = self.free_address(family);
        let Some((fd, entry)) = self.socket(name) else { return skipped() };
        let bound = sys::bind(fd.as_fd(), &to);
        if bound.is_ok() {
            entry.address = sys::local_address(fd.as_fd()).ok();
        }
        outcome(&bound)
    }

    pub(super) fn listen(&mut self, name: usize, backlog: usize) -> String {
        let Some((fd, entry)) = self.socket(name) else { return skipped() };
        // Without a bind, TCP listens at all addresses of the machine.
        if entry.is_overrun || entry.address.is_none() && entry.family != Family::Unix {
            return skipped();
        }
        let listened = sys::listen(fd.as_fd(), i32::try_from(backlog).unwrap_or(0));
        if listened.is_ok() {
            entry.backlog = Some(backlog);
        }
        outcome(&listened)
    }

    /// Connects to where another socket is bound.
    pub(super) fn connect(&mut self, name: usize, to: usize) -> String {
        let Some((_, target)) = &self.sockets[to % SOCKETS] else { return skipped() };
        let target = *target;
        let Some((fd, id)) = &self.sockets[name % SOCKETS] else { return skipped() };
        let id = *id;
        let (other, own) = (&self.entries[target], &self.entries[id]);
        let Some(address) = other.address.clone() else { return skipped() };
        if other.family != own.family {
            return skipped();
        }
        let connected = sys::connect(fd.as_fd(), &address);
        if matches!(connected, Ok(()) | Err(Errno::INPROGRESS)) {
            self.expect(id, target);
        }
        outcome(&connected)
    }

    /// A connection waits at a listener, or is refused.
    fn expect(&mut self, client: usize, target: usize) {
        if client == target {
            self.entries[client].peer = Some(client);
        }
        let listener = &mut self.entries[target];
        let Some(backlog) = listener.backlog else { return };
        if listener.queue.len() > backlog {
            listener.is_overrun = true;
        } else if !listener.queue.contains(&client) {
            listener.queue.push(client);
        }
    }

    pub(super) fn accept(&mut self, name: usize, to: usize) -> String {
        if self.socket(to).is_some() {
            return skipped();
        }
        let Some((fd, listener)) = self.socket(name) else { return skipped() };
        if listener.is_overrun {
            return skipped();
        }
        let family = listener.family;
        let accepted = sys::accept(fd.as_fd());
        let outcome = outcome(&accepted);
        if let Ok(accepted) = accepted {
            let client = (!listener.queue.is_empty()).then(|| listener.queue.remove(0));
            let id = self.name(to, accepted, family);
            self.join(id, client);
        }
        outcome
    }

    fn join(&mut self, accepted: usize, client: Option<usize>) {
        let Some(client) = client else { return };
        self.entries[client].peer = Some(accepted);
        self.entries[accepted].peer = Some(client);
    }

    /// A connection between two new sockets.
    pub(super) fn pair(&mut self, one: usize, other: usize, family: Family) -> String {
        if one % SOCKETS == other % SOCKETS
            || self.socket(one).is_some()
            || self.socket(other).is_some()
        {
            return skipped();
        }
        let address = self.free_address(family);
        let made = self.connection(family, &address);
        let outcome = outcome(&made);
        if let Ok((client, accepted)) = made {
            let client = self.name(one, client, family);
            let accepted = self.name(other, accepted, family);
            self.join(accepted, Some(client));
        }
        outcome
    }

    fn connection(&self, family: Family, address: &Address) -> Result<(OwnedFd, OwnedFd), Errno> {
        let listener = sys::socket(family)?;
        super::super::prepare(&listener);
        sys::bind(listener.as_fd(), address)?;
        sys::listen(listener.as_fd(), 1)?;
        let client = sys::socket(family)?;
        super::super::prepare(&client);
        match sys::connect(client.as_fd(), &sys::local_address(listener.as_fd())?) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        super::super::settle(self.pace);
        let accepted = sys::accept(listener.as_fd())?;
        // The outcome of the connect: without it, the next call of connect(2) returns it.
        sys::socket_error(client.as_fd())?;
        Ok((client, accepted))
    }

    pub(super) fn duplicate(&mut self, name: usize, to: usize) -> String {
        if self.socket(to).is_some() {
            return skipped();
        }
        let Some((fd, id)) = &self.sockets[name % SOCKETS] else { return skipped() };
        let id = *id;
        let copy = sys::duplicate(fd.as_raw_fd());
        let outcome = outcome(&copy);
        self.sockets[to % SOCKETS] = copy.ok().map(|copy| (copy, id));
        outcome
    }

    pub(super) fn shutdown(&mut self, name: usize, how: usize) -> String {
        let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both][how % 3];
        let Some((fd, entry)) = self.socket(name) else { return skipped() };
        if entry.is_overrun {
            return skipped();
        }
        let ended = sys::shutdown(fd.as_fd(), how);
        entry.shut_read |= ended.is_ok() && how != Shutdown::Write;
        outcome(&ended)
    }

    /// `close(2)`, which can be made to reset the connection.
    pub(super) fn close(&mut self, name: usize, resets: bool) -> String {
        let Some((fd, entry)) = self.socket(name) else { return skipped() };
        if entry.is_overrun {
            return skipped();
        }
        let set = if resets { sys::discard_on_close(fd.as_fd()) } else { Ok(()) };
        self.sockets[name % SOCKETS] = None;
        outcome(&set)
    }
}
