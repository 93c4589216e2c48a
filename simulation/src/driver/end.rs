//! How a program ends: all that was accepted arrives, all closes are completed, and nothing is left.

use super::book::End;
use super::player::{Player, Violation, with};
use crate::core::Registry;
use crate::world::Process;

/// The most rounds in which peers read all, and all is delivered: the largest buffer goes through the smallest one.
const MOST_ROUNDS: usize = 11_000;

impl Player {
    /// Ends the program.
    pub(super) fn end(&mut self) -> Result<(), Violation> {
        with(|world| world.faults.clear());
        self.registry.flush_corked();
        self.sources.iter_mut().for_each(|source| source.was_corked = false);
        if self.multiplexers.is_empty() {
            self.open_multiplexer()?;
        }
        self.settle_with_peers()?;
        self.check_all_sent()?;
        self.check_files_sent()?;
        self.check_ends()?;
        self.end_relays()?;
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
        self.check_no_files()?;
        self.close_all()
    }

    /// Registers what is closing, and in no multiplexer, as the bindings do.
    fn flush_closing(&mut self) -> Result<(), Violation> {
        if self.multiplexers.is_empty() {
            self.open_multiplexer()?;
        }
        for index in (0..self.sources.len()).rev() {
            if self.sources[index].closing && self.sources[index].registration.is_none() {
                self.add_closing(0, index)?;
            }
        }
        Ok(())
    }

    /// Settles, with peers that read all and backs-off that end.
    pub(super) fn settle_with_peers(&mut self) -> Result<(), Violation> {
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
                self.ends.push(End { fd });
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
            let (handle, queued) = (self.sources[index].handle, self.unsent(index));
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

    /// FIN was sent where the program has ended its half, and no socket is connected with itself.
    fn check_ends(&mut self) -> Result<(), Violation> {
        for index in 0..self.sources.len() {
            let (queued, handle) = (self.unsent(index), self.sources[index].handle);
            let failed = self.failure(index).is_some();
            let source = &self.sources[index];
            let Some(fd) = self.fd(index).filter(|_| source.is_socket() && !source.closing) else {
                continue;
            };
            if source.is_broken || failed {
                continue;
            }
            let (ends, is_own) = with(|world| {
                world.socket_of(fd).map_or((true, false), |it| {
                    (!it.is_connected() || it.has_ended(), it.is_own_peer())
                })
            });
            if source.write_shut && queued == 0 && source.registration.is_some() && !ends {
                return Err(format!("source {} has ended, and no FIN is sent", handle.raw()));
            }
            let is_open = |bits: i32| bits & 3 == 1;
            if is_own && self.registry.state_bits(handle).is_ok_and(is_open) {
                return Err(format!("source {} is connected with itself", handle.raw()));
            }
        }
        Ok(())
    }

    fn close_all(&mut self) -> Result<(), Violation> {
        while let Some(multiplexer) = self.multiplexers.pop() {
            let closed = self.registry.close_multiplexer(multiplexer.handle);
            closed.map_err(|errno| format!("close: {errno:?}"))?;
        }
        self.close_all_loose();
        self.registry = Registry::new();
        let left = with(|world| world.open_descriptors(Process::Program));
        if left.is_empty() { Ok(()) } else { Err(format!("descriptors are left open: {left:?}")) }
    }

    fn close_all_loose(&mut self) {
        for fd in std::mem::take(&mut self.loose) {
            let _ = with(|world| world.close_own(fd));
        }
    }
}
