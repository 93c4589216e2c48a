//! Descriptors of the program that it has watched: eventfds, pipes, epoll descriptors, duplicates.

use super::book::{Kind, Registration};
use super::player::{Player, Violation, with};
use super::register::watching;
use crate::core::{Interest, Mode};
use crate::kernel::Errno;
use crate::world::{FileId, Process, World};

/// The most foreign descriptors at a time.
const MOST_FOREIGN: usize = 8;

impl Player {
    pub(super) fn add_foreign(
        &mut self,
        number: usize,
        what: usize,
        how: usize,
    ) -> Result<(), Violation> {
        let Some(multiplexer) = self.choose_multiplexer(number) else { return Ok(()) };
        if self.sources.iter().filter(|source| source.is_foreign()).count() >= MOST_FOREIGN {
            return Ok(());
        }
        let fd = match what % 5 {
            0 => with(World::event_fd),
            1 => with(|world| {
                let (reader, _) = world.pipe();
                world.describe(Process::Program, reader)
            }),
            2 => {
                self.has_ghosts = true;
                let other = self.multiplexers[(multiplexer + 1) % self.multiplexers.len()].fd;
                with(|world| world.duplicate(other)).unwrap_or(-1)
            }
            3 => with(World::regular_file),
            _ => match self.duplicate_socket(how) {
                Some(fd) => fd,
                None => return Ok(()),
            },
        };
        if !self.add_descriptor(multiplexer, fd, watching(how))? {
            self.loose.insert(fd);
        }
        Ok(())
    }

    /// A duplicate of a socket's descriptor, with which the connection outlives the socket.
    fn duplicate_socket(&mut self, number: usize) -> Option<i32> {
        let index = self.choose_socket(number)?;
        let fd = self.fd(index)?;
        self.sources[index].is_broken = true;
        self.sources[index].is_corked = false;
        self.sources[index].cannot_reset = true;
        self.has_ghosts = true;
        with(|world| world.duplicate(fd)).ok()
    }

    /// Registers a descriptor. Returns whether it is.
    pub(super) fn add_descriptor(
        &mut self,
        multiplexer: usize,
        fd: i32,
        (interest, mode): (Interest, Mode),
    ) -> Result<bool, Violation> {
        let handle = self.multiplexers[multiplexer].handle;
        // A registration that fails has taken a slot meanwhile.
        self.peak = self.peak.max(self.sources.len() + 1);
        let Ok(added) = self.registry.add_descriptor(handle, fd, interest, mode) else {
            return Ok(false);
        };
        let file = with(|world| world.file(Process::Program, fd)).unwrap_or(0);
        self.add_source(added, Kind::Foreign { fd, file, is_open: true })?;
        if let Some(source) = self.sources.last_mut() {
            source.registration = Some(Registration::new(handle.raw(), interest, mode));
        }
        Ok(true)
    }

    /// Closes a descriptor that is still registered: the kernel may give its number to the next one.
    pub(super) fn close_foreign(&mut self, number: usize) -> Result<(), Violation> {
        let is_open = |kind| matches!(kind, Kind::Foreign { is_open: true, .. });
        let Some(index) = self.choose(number, |source| is_open(source.kind)) else {
            return self.close_loose(number);
        };
        if let Kind::Foreign { fd, is_open, file } = &mut self.sources[index].kind {
            *is_open = false;
            for multiplexer in &mut self.multiplexers {
                multiplexer.wake = multiplexer.wake.filter(|wake| wake != file);
            }
            let closed = with(|world| world.close_own(*fd));
            closed.map_err(|errno| format!("close of a foreign descriptor: {errno:?}"))?;
        }
        Ok(())
    }

    fn close_loose(&mut self, number: usize) -> Result<(), Violation> {
        let mut loose: Vec<i32> = self.loose.iter().copied().collect();
        loose.sort_unstable();
        let Some(fd) = loose.get(number % loose.len().max(1)).copied() else { return Ok(()) };
        self.loose.remove(&fd);
        with(|world| world.close_own(fd)).map_err(|errno| format!("close: {errno:?}"))
    }

    /// Signals an eventfd, or writes to a pipe.
    pub(super) fn stir_foreign(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, super::book::Source::is_foreign) else {
            return Ok(());
        };
        if let Kind::Foreign { file, is_open: true, .. } = self.sources[index].kind {
            with(|world| world.stir(file));
        }
        Ok(())
    }

    /// Reads what there is from a foreign descriptor. Returns whether there was something.
    pub(super) fn drain_foreign(&mut self, file: FileId) -> bool {
        with(|world| {
            let signals = world.take_signals(file) > 0;
            let bytes =
                !matches!(world.read_pipe(file, 100), Err(Errno::AGAIN | Errno::BADF) | Ok(0));
            signals || bytes
        })
    }
}
