//! How sources come to be: listen(2), accept(2), connect(2), and adopted descriptors.

use super::book::Kind;
use super::player::{Player, Violation, with};
use crate::core::Handle;
use crate::kernel::{Address, Errno, Family, Shutdown};
use crate::world::{Process, World};

/// The most sources at a time.
const MOST_SOURCES: usize = 24;

impl Player {
    pub(super) fn listen(&mut self, family: usize, backlog: usize) -> Result<(), Violation> {
        if self.sources.len() >= MOST_SOURCES {
            return Ok(());
        }
        let family = [Family::Ipv4, Family::Unix][family % 2];
        self.peak = self.peak.max(self.sources.len() + 1);
        let Ok(handle) = self.registry.open(family) else { return Ok(()) };
        let address = self.new_address(family);
        let bound = self.registry.bind(handle, &address);
        let backlog = i32::try_from(backlog % 8).unwrap_or(0);
        if bound.and_then(|()| self.registry.listen(handle, backlog)).is_err() {
            return self.registry.close(handle).map(drop).map_err(|it| format!("close: {it:?}"));
        }
        let fd = self.registry.raw_fd(handle).map_err(|it| format!("raw_fd: {it:?}"))?;
        let address = with(|world| world.local_address(fd)).unwrap_or(address);
        self.own_addresses.push((handle, address));
        self.add_source(handle, Kind::Listener)
    }

    /// Port 0, or an abstract name.
    pub(super) fn new_address(&mut self, family: Family) -> Address {
        self.next_name += 1;
        match family {
            Family::Unix => Address::Unix(format!("\0{}", self.next_name).into_bytes()),
            _ => Address::Inet(([127, 0, 0, 1], 0).into()),
        }
    }

    pub(super) fn accept(&mut self, number: usize) -> Result<(), Violation> {
        let listener = self.choose(number, |source| source.kind == Kind::Listener);
        listener.map_or(Ok(()), |listener| self.accept_of(listener).map(drop))
    }

    /// Accepts a connection. Returns whether there was one.
    pub(super) fn accept_of(&mut self, listener: usize) -> Result<bool, Violation> {
        let handle = self.sources[listener].handle;
        let flags = self.flags(listener);
        match self.registry.accept(handle) {
            Ok(accepted) => {
                self.add_source(accepted, Kind::Socket)?;
                Ok(true)
            }
            Err(Errno::AGAIN) if flags & crate::kernel::flags::IN != 0 => {
                Err("accept says EAGAIN, and there is one".to_owned())
            }
            Err(_) => Ok(false),
        }
    }

    pub(super) fn connect(
        &mut self,
        kind: usize,
        number: usize,
        ends: usize,
    ) -> Result<(), Violation> {
        if self.sources.len() >= MOST_SOURCES {
            return Ok(());
        }
        let Some(address) = self.target(kind, number) else { return Ok(()) };
        let Some(handle) = self.open_to_connect(&address, ends) else { return Ok(()) };
        if kind % 8 == 7 {
            let _ = self.registry.bind(handle, &address);
        }
        self.registry.connect(handle, &address).map_err(|errno| format!("connect: {errno:?}"))?;
        self.add_source(handle, Kind::Socket)?;
        if let Some(source) = self.sources.last_mut() {
            source.may_meet_itself = kind % 8 == 7;
        }
        if ends % 16 == 15 {
            let result = self.registry.shutdown(handle, Shutdown::Write);
            if let Some(source) = self.sources.last_mut() {
                source.write_shut = result.is_ok();
                source.is_broken = result.is_err();
            }
        }
        Ok(())
    }

    /// A socket, or one that is adopted before it is connected.
    fn open_to_connect(&mut self, address: &Address, how: usize) -> Option<Handle> {
        let family = family_of(address);
        if !how.is_multiple_of(4) {
            return self.registry.open(family).ok();
        }
        let fd = with(|world| world.socket_call(Process::Program, family));
        let adopted = self.registry.adopt_unconnected(fd);
        if adopted.is_err() {
            self.loose.insert(fd);
        }
        adopted.ok()
    }

    /// Where a connect goes: to the peer, to the program, to no listener, into the void, to itself.
    fn target(&mut self, kind: usize, number: usize) -> Option<Address> {
        let inet = |host: [u8; 4], port| Address::Inet((host, port).into());
        match kind % 8 {
            0..=2 => self.peer_listeners.get(number % 2).map(|(_, address)| address.clone()),
            3 => {
                let count = self.own_addresses.len().max(1);
                self.own_addresses.get(number % count).map(|(_, address)| address.clone())
            }
            4 => Some(inet([127, 0, 0, 1], 1)),
            5 => Some(Address::Unix(b"\0absent".to_vec())),
            6 => Some(inet(World::VOID, 1)),
            _ => {
                self.next_name += 1;
                let port = 20_000 + u16::try_from(self.next_name % 20_000).unwrap_or(0);
                Some(inet([127, 0, 0, 1], port))
            }
        }
    }

    /// Gives a descriptor up, and adopts it again.
    pub(super) fn adopt(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| it.is_free() || it.kind == Kind::Listener)
        else {
            return Ok(());
        };
        let (handle, kind) = (self.sources[index].handle, self.sources[index].kind);
        let Ok(fd) = self.registry.raw_fd(handle) else { return Ok(()) };
        // What is queued and what was given back would be lost with the handle.
        let is_lost = self.unsent(index) > 0
            || self.files.iter().any(|file| file.handle == handle && !file.is_settled)
            || self.unread_length(index) > 0
            || self.failure(index).is_some();
        let source = &self.sources[index];
        if kind == Kind::Socket
            && (is_lost || source.is_broken || source.read_shut || source.write_shut)
        {
            return Ok(());
        }
        self.registry.disown(handle).map_err(|errno| format!("disown: {errno:?}"))?;
        let (got, taken) = (self.sources[index].got, self.sources[index].taken);
        let has_ghost = self.sources[index].has_ghost;
        self.remove_source(index, false);
        self.departures.pop();
        let adopted = match kind {
            Kind::Listener => self.registry.adopt_listener(fd, Some(4)),
            _ => self.registry.adopt_socket(fd),
        };
        let Ok(adopted) = adopted else {
            self.loose.insert(fd);
            return Ok(());
        };
        self.add_source(adopted, kind)?;
        let Some(source) = self.sources.last_mut() else { return Ok(()) };
        (source.got, source.taken, source.has_ghost) = (got, taken, has_ghost);
        // What was shut down before is not known to the new handle.
        source.is_broken = true;
        for (own, _) in &mut self.own_addresses {
            if *own == handle {
                *own = adopted;
            }
        }
        Ok(())
    }
}

pub(super) fn family_of(address: &Address) -> Family {
    match address {
        Address::Unix(_) => Family::Unix,
        Address::Inet(_) => Family::Ipv4,
    }
}
