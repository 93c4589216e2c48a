//! How sources are closed, and how a program ends.

use super::book::Kind;
use super::player::{Player, Violation, with};
use crate::core::{Handle, Interest, Mode};
use crate::kernel::{Address, Errno};
use crate::world::{Process, World};

/// The most rounds in which peers read all, and all is delivered.
const MOST_ROUNDS: usize = 3000;

impl Player {
    pub(super) fn connect(
        &mut self,
        kind: usize,
        number: usize,
        ends: usize,
    ) -> Result<(), Violation> {
        if self.sources.len() >= 24 {
            return Ok(());
        }
        let Some(address) = self.target(kind, number) else { return Ok(()) };
        let Ok(handle) = self.registry.open(super::wait::family_of(&address)) else {
            return Ok(());
        };
        if kind % 8 == 7 {
            let _ = self.registry.bind(handle, &address);
        }
        self.registry.connect(handle, &address).map_err(|errno| format!("connect: {errno:?}"))?;
        self.add_source(handle, Kind::Socket)?;
        if ends % 16 == 15 {
            let result = self.registry.shutdown(handle, crate::kernel::Shutdown::Write);
            if let Some(source) = self.sources.last_mut() {
                source.write_shut = result.is_ok();
                source.is_broken = result.is_err();
            }
        }
        Ok(())
    }

    /// Where a connect goes: to the peer, to the program, to nobody, into the void, to itself.
    fn target(&mut self, kind: usize, number: usize) -> Option<Address> {
        let inet = |host: [u8; 4], port| Address::Inet((host, port).into());
        match kind % 8 {
            0..=2 => self.peer_listeners.get(number % 2).map(|(_, address)| address.clone()),
            3 => {
                let count = self.own_addresses.len().max(1);
                self.own_addresses.get(number % count).map(|(_, address)| address.clone())
            }
            4 => Some(inet([127, 0, 0, 1], 1)),
            5 => Some(Address::Unix(b"\0nobody".to_vec())),
            6 => Some(inet(World::VOID, 1)),
            _ => {
                self.next_name += 1;
                let port = 20_000 + u16::try_from(self.next_name % 20_000).unwrap_or(0);
                Some(inet([127, 0, 0, 1], port))
            }
        }
    }

    pub(super) fn close(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| !it.closing) else { return Ok(()) };
        self.close_source(index)
    }

    fn close_source(&mut self, index: usize) -> Result<(), Violation> {
        let has_failed = self.failure(index).is_some();
        let source = &mut self.sources[index];
        source.is_broken |= has_failed;
        let handle = source.handle;
        self.own_addresses.retain(|(own, _)| *own != handle);
        let was_registered = source.registration.is_some();
        let result = self.registry.close(handle).map(|result| result as i32);
        with(|world| world.note(|| format!("  close = {result:?}")));
        match result {
            Ok(0) => {
                if let Kind::Foreign { fd, is_open: true, .. } = self.sources[index].kind {
                    self.loose.insert(fd);
                }
                self.remove_source(index, true);
            }
            Ok(how) => {
                self.sources[index].closing = true;
                self.sources[index].was_corked = false;
                if (how == 1) != was_registered {
                    return Err("a close is wrong about the registration".to_owned());
                }
            }
            Err(errno) => {
                self.check_reason(index, errno)?;
                self.remove_source(index, false);
            }
        }
        Ok(())
    }

    pub(super) fn reset(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let handle = self.sources[index].handle;
        self.remove_source(index, false);
        self.registry.reset(handle).map_err(|errno| format!("reset: {errno:?}"))?;
        let has_faults = with(|world| !world.faults.injected().is_empty());
        match with(|world| world.closings.last().map(|closing| closing.resets || !closing.is_sound))
        {
            Some(false) if !has_faults => Err("a reset is no reset".to_owned()),
            _ => Ok(()),
        }
    }

    pub(super) fn discard(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let handle = self.sources[index].handle;
        self.remove_source(index, false);
        self.registry.discard(handle).map_err(|errno| format!("discard: {errno:?}"))
    }

    /// Ends the program: all that was accepted arrives, all closes are completed, and nothing is left.
    pub(super) fn end(&mut self) -> Result<(), Violation> {
        with(|world| world.faults.clear());
        self.registry.flush_corked();
        self.sources.iter_mut().for_each(|source| source.was_corked = false);
        if self.multiplexers.is_empty() {
            self.open_multiplexer()?;
        }
        self.settle_with_peers()?;
        self.check_all_sent()?;
        self.close_all_loose();
        for index in (0..self.sources.len()).rev() {
            if !self.sources[index].closing {
                self.close_source(index)?;
            }
            self.check()?;
        }
        self.close_all_loose();
        self.flush_closing()?;
        // A connect that is never answered is given up by the kernel.
        for _ in 0..3 {
            self.settle_with_peers()?;
            with(|world| world.advance(130_000_000_000));
        }
        self.settle_with_peers()?;
        if let Some(source) = self.sources.first() {
            return Err(format!("a close does not end: {source:?}"));
        }
        self.close_all()
    }

    /// Registers what is closing, and in no multiplexer, as the bindings do.
    fn flush_closing(&mut self) -> Result<(), Violation> {
        if self.multiplexers.is_empty() {
            self.open_multiplexer()?;
        }
        for index in 0..self.sources.len() {
            if self.sources[index].closing && self.sources[index].registration.is_none() {
                self.add_to(0, index, (Interest::NONE, Mode::Edge))?;
            }
        }
        Ok(())
    }

    /// Settles, with peers that read all and backs-off that end.
    fn settle_with_peers(&mut self) -> Result<(), Violation> {
        for _ in 0..MOST_ROUNDS {
            with(|world| world.calls_of_step = 0);
            self.settle()?;
            let has_read = self.drain_peers();
            let now = with(|world| world.now());
            let backs_off = self.sources.iter().any(|source| source.backs_off_until > now);
            with(|world| world.advance(110_000_000));
            if !has_read && !backs_off && with(|world| !world.deliver_all()) {
                break;
            }
        }
        self.settle()
    }

    /// The peers accept and read all. Returns whether there was something.
    fn drain_peers(&mut self) -> bool {
        let mut has_read = false;
        for index in 0..self.peer_listeners.len() {
            let fd = self.peer_listeners[index].0;
            while let Ok(fd) = with(|world| world.accept(Process::Peer, fd)) {
                self.ends.push(super::book::End { fd });
                has_read = true;
            }
        }
        for end in &self.ends {
            with(|world| {
                let Ok(file) = world.file(Process::Peer, end.fd) else { return };
                while world.receive_some(file, 1 << 20, false).is_ok_and(|count| count > 0) {
                    has_read = true;
                }
            });
        }
        has_read
    }

    /// No registered socket with a reading peer has anything queued.
    fn check_all_sent(&mut self) -> Result<(), Violation> {
        for index in 0..self.sources.len() {
            let (handle, queued) = (self.sources[index].handle, self.queued(index));
            let source = &self.sources[index];
            if !source.is_socket() || source.registration.is_none() || queued == 0 {
                continue;
            }
            let Some(fd) = self.fd(index) else { continue };
            let is_read = with(|world| world.is_read_by(fd, Process::Peer));
            if is_read {
                return Err(format!("{queued} bytes of source {} stay queued", handle.raw()));
            }
        }
        Ok(())
    }

    fn close_all(&mut self) -> Result<(), Violation> {
        while let Some(multiplexer) = self.multiplexers.pop() {
            self.close_it(multiplexer.handle).map_err(|errno| format!("close: {errno:?}"))?;
        }
        self.close_all_loose();
        let left = with(|world| world.open_descriptors(Process::Program));
        if left.is_empty() { Ok(()) } else { Err(format!("descriptors are left open: {left:?}")) }
    }

    fn close_all_loose(&mut self) {
        for fd in std::mem::take(&mut self.loose) {
            let _ = with(|world| world.close(Process::Program, fd));
        }
    }

    fn close_it(&mut self, handle: Handle) -> Result<(), Errno> {
        self.registry.close_multiplexer(handle)
    }
}
