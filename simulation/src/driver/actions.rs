//! The steps of the program but for bytes and waits: how sources and multiplexers are opened, registered and closed.

use super::book::{Kind, Multiplexer, Registration, Source};
use super::player::{Player, Violation, with};
use super::step::Action;
use crate::core::{Handle, Interest, Mode};
use crate::kernel::{Address, Errno, Family, Shutdown};
use crate::world::Process;

/// The most multiplexers and sources at a time.
const MOST_MULTIPLEXERS: usize = 3;
const MOST_SOURCES: usize = 24;

const HOWS: [Shutdown; 3] = [Shutdown::Write, Shutdown::Read, Shutdown::Both];

impl Player {
    pub(super) fn act(&mut self, action: Action, numbers: [usize; 3]) -> Result<(), Violation> {
        let [first, second, third] = numbers;
        match action {
            Action::OpenMultiplexer => self.open_multiplexer(),
            Action::CloseMultiplexer => self.close_multiplexer(first),
            Action::Listen => self.listen(first, second),
            Action::Accept => self.accept(first),
            Action::Connect => self.connect(first, second, third),
            Action::Receive => self.receive(first, second, false),
            Action::Peek => self.receive(first, second, true),
            Action::Send => self.send(first, second, 1),
            Action::SendPieces => self.send(first, second, third),
            Action::Write => self.write(first, second, third),
            Action::Flush => self.flush(first),
            Action::FlushCorked => self.flush_corked(),
            Action::Unread => self.unread(first, second),
            Action::TakeQueue => self.take_queue(first, second),
            Action::SetLimit => self.set_limit(first, second),
            Action::Add => self.add(first, second, third),
            Action::Modify => self.modify(first, second),
            Action::Remove => self.remove(first),
            Action::Wait => self.wait_once(first, second, third),
            Action::Service => self.service(first, second),
            Action::Idle => self.idle(first),
            Action::Shutdown => self.shutdown(first, second),
            Action::Close => self.close(first),
            Action::Reset => self.reset(first),
            Action::Discard => self.discard(first),
            Action::Adopt => self.adopt(first),
            Action::State => self.state(first),
            Action::GetError => self.get_error(first),
            Action::SetLinger => self.set_linger(first, second),
            Action::SleepOn => self.sleep_on(first, second, third),
            Action::AddForeign => self.add_foreign(first, second, third),
            Action::CloseForeign => self.close_foreign(first),
            Action::StirForeign => self.stir_foreign(first),
            Action::Stale => self.use_stale(first),
            Action::Settle => self.settle(),
            other => {
                self.act_outside(other, numbers);
                Ok(())
            }
        }
    }

    pub(super) fn open_multiplexer(&mut self) -> Result<(), Violation> {
        if self.multiplexers.len() == MOST_MULTIPLEXERS {
            return Ok(());
        }
        let Ok(handle) = self.registry.open_multiplexer() else { return Ok(()) };
        let fd = self.registry.epoll_fd(handle).map_err(|errno| format!("epoll_fd: {errno:?}"))?;
        self.multiplexers.push(Multiplexer { handle, fd, wake: None });
        self.add_wake(self.multiplexers.len() - 1)
    }

    /// Registers an eventfd, as `wake()` has it.
    fn add_wake(&mut self, index: usize) -> Result<(), Violation> {
        let fd = with(|world| world.event_fd());
        let file = with(|world| world.file(Process::Program, fd)).unwrap_or(0);
        let interest = Interest { read: true, ..Interest::NONE };
        if self.add_descriptor(index, fd, (interest, Mode::Edge))? {
            self.multiplexers[index].wake = Some(file);
        } else {
            with(|world| world.close(Process::Program, fd)).map_err(|it| format!("{it:?}"))?;
        }
        Ok(())
    }

    fn close_multiplexer(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_multiplexer(number) else { return Ok(()) };
        let Multiplexer { handle, .. } = self.multiplexers.swap_remove(index);
        self.registry.close_multiplexer(handle).map_err(|it| format!("close: {it:?}"))?;
        for index in (0..self.sources.len()).rev() {
            if !self.sources[index].is_of(handle.raw()) {
                continue;
            }
            self.sources[index].registration = None;
            // A close that was completed is not reported any more.
            let is_gone = self.registry.raw_fd(self.sources[index].handle) == Err(Errno::BADF);
            if self.sources[index].closing && is_gone {
                self.remove_source(index, true);
                continue;
            }
            if let Kind::Foreign { fd, is_open, .. } = self.sources[index].kind {
                self.remove_source(index, false);
                self.loose.extend(is_open.then_some(fd));
            }
        }
        Ok(())
    }

    fn listen(&mut self, family: usize, backlog: usize) -> Result<(), Violation> {
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

    fn accept(&mut self, number: usize) -> Result<(), Violation> {
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

    fn add(&mut self, number: usize, source: usize, how: usize) -> Result<(), Violation> {
        let Some(multiplexer) = self.choose_multiplexer(number) else { return Ok(()) };
        let is_free = |it: &Source| !it.closing || it.registration.is_none();
        let Some(index) = self.choose(source, |it| !it.is_foreign() && is_free(it)) else {
            return Ok(());
        };
        let watching =
            if self.sources[index].closing { (Interest::NONE, Mode::Edge) } else { watching(how) };
        self.add_to(multiplexer, index, watching)
    }

    pub(super) fn add_to(
        &mut self,
        multiplexer: usize,
        index: usize,
        (interest, mode): (Interest, Mode),
    ) -> Result<(), Violation> {
        let (multiplexer, source) = (self.multiplexers[multiplexer].handle, &self.sources[index]);
        let was_registered = source.registration.is_some();
        // A source leaves by itself once it is flushed, and when its connect fails; that may be reported later.
        let may_have_left = source.registration.is_some_and(|it| it.interest == Interest::NONE);
        let added = self.registry.add(multiplexer, source.handle, interest, mode);
        match added {
            Ok(()) if was_registered && !may_have_left => {
                return Err("a registered source is added again".to_owned());
            }
            Ok(()) => {
                let registration = Registration::new(multiplexer.raw(), interest, mode);
                let source = &mut self.sources[index];
                source.left.extend(source.registration.map(|it| it.multiplexer));
                // What has left a multiplexer and is back there is not reported any more.
                source.left.retain(|left| *left != multiplexer.raw());
                source.registration = Some(registration);
            }
            Err(Errno::EXIST) if was_registered || source.has_ghost => {}
            Err(errno) => self.expect_fault("add", errno)?,
        }
        Ok(())
    }

    fn modify(&mut self, number: usize, how: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| it.registration.is_some() && !it.closing) else {
            return Ok(());
        };
        let (interest, mode) = watching(how);
        self.modify_to(index, (interest, mode))
    }

    pub(super) fn modify_to(
        &mut self,
        index: usize,
        (interest, mode): (Interest, Mode),
    ) -> Result<(), Violation> {
        let source = &mut self.sources[index];
        let Some(registration) = source.registration else { return Ok(()) };
        let multiplexer = Handle::from_raw(registration.multiplexer);
        match self.registry.modify(multiplexer, source.handle, interest, mode) {
            Ok(()) => {
                let registration = Registration::new(registration.multiplexer, interest, mode);
                source.registration = Some(registration);
                Ok(())
            }
            Err(Errno::BADF) if source.is_foreign() => Ok(()),
            Err(Errno::NOENT) if registration.interest == Interest::NONE => Ok(()),
            Err(errno) => self.expect_fault("modify", errno),
        }
    }

    fn remove(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| it.registration.is_some() && !it.closing) else {
            return Ok(());
        };
        let source = &mut self.sources[index];
        let Some(registration) = source.registration.take() else { return Ok(()) };
        let multiplexer = Handle::from_raw(registration.multiplexer);
        match self.registry.remove(multiplexer, source.handle) {
            Ok(()) => {}
            Err(Errno::NOENT) if registration.interest == Interest::NONE => {
                source.left.push(registration.multiplexer);
            }
            Err(errno) => return Err(format!("remove: {errno:?}")),
        }
        if let Kind::Foreign { fd, is_open, .. } = source.kind {
            self.remove_source(index, false);
            self.loose.extend(is_open.then_some(fd));
        }
        Ok(())
    }

    fn shutdown(&mut self, number: usize, how: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let how = HOWS[how % HOWS.len()];
        let handle = self.sources[index].handle;
        let result = self.registry.shutdown(handle, how);
        let failed = self.failure(index).is_some();
        let source = &mut self.sources[index];
        if result.is_ok() {
            source.read_shut |= how != Shutdown::Write;
            source.write_shut |= how != Shutdown::Read;
        }
        // An error of one half leaves open what became of the other one.
        source.is_broken |= failed || result.is_err();
        Ok(())
    }

    fn state(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let handle = self.sources[index].handle;
        self.registry.state_bits(handle).map(drop).map_err(|it| format!("state: {it:?}"))
    }

    fn get_error(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let (handle, mut value) = (self.sources[index].handle, [0; 4]);
        let _ = self.registry.get_option(handle, libc::SOL_SOCKET, libc::SO_ERROR, &mut value);
        if self.failure(index).is_some() {
            self.sources[index].is_broken = true;
        }
        Ok(())
    }

    fn set_linger(&mut self, number: usize, seconds: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| !it.is_foreign() && !it.closing) else {
            return Ok(());
        };
        let mut value = [1, 0, 0, 0, 0, 0, 0, 0];
        value[4] = (1 + seconds % 9) as u8;
        let handle = self.sources[index].handle;
        let _ = self.registry.set_option(handle, libc::SOL_SOCKET, libc::SO_LINGER, &value);
        Ok(())
    }

    /// Gives a descriptor up, and adopts it again.
    fn adopt(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| !it.is_foreign() && !it.closing) else {
            return Ok(());
        };
        let (handle, kind) = (self.sources[index].handle, self.sources[index].kind);
        let Ok(fd) = self.registry.raw_fd(handle) else { return Ok(()) };
        // What is queued and what was given back would be lost with the handle.
        let is_lost = self.queued(index) > 0
            || self.unread_length(index) > 0
            || self.failure(index).is_some();
        let source = &self.sources[index];
        if kind == Kind::Socket && (is_lost || source.is_broken || source.read_shut) {
            return Ok(());
        }
        self.registry.disown(handle).map_err(|errno| format!("disown: {errno:?}"))?;
        let (got, taken) = (self.sources[index].got, self.sources[index].taken);
        let has_ghost = self.sources[index].has_ghost;
        self.remove_source(index, false);
        self.farewells.pop();
        let adopted = match kind {
            Kind::Listener => self.registry.adopt_listener(fd, 4),
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

    /// A handle that is gone names nothing.
    fn use_stale(&mut self, number: usize) -> Result<(), Violation> {
        let Some(handle) = self.gone.get(number % self.gone.len().max(1)).copied() else {
            return Ok(());
        };
        match self.registry.state_bits(handle) {
            Err(Errno::BADF) => Ok(()),
            result => Err(format!("a stale handle says {result:?}")),
        }
    }

    /// # Errors
    /// When no fault was injected in this step, that explains an error.
    pub(super) fn expect_fault(&mut self, what: &str, errno: Errno) -> Result<(), Violation> {
        if with(|world| world.faults.has_injected(errno)) {
            return Ok(());
        }
        Err(format!("{what} fails with {errno:?}"))
    }
}

/// An interest and a mode, by a number.
pub(super) fn watching(number: usize) -> (Interest, Mode) {
    let bits = [1, 3, 5, 7, 2, 3, 5, 0][number % 8];
    let modes = [Mode::Edge, Mode::Edge, Mode::Level, Mode::Oneshot];
    (Interest::from_bits(bits).unwrap_or(Interest::NONE), modes[number / 8 % 4])
}
