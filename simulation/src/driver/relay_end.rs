//! How relays end: by themselves, by the program, at the end of it.

use super::book::Relay;
use super::player::{Player, Violation, with};
use crate::core::Handle;
use crate::kernel::Shutdown;
use crate::world::Process;

/// The bits of a state: each half that has ended.
pub(super) const READ_ENDED: i32 = 4;
const WRITE_ENDED: i32 = 8;

impl Player {
    /// A relay is over: its sockets are sockets as before. Returns where they are.
    fn forget_relay(&mut self, at: usize) -> [Option<usize>; 2] {
        let relay = self.relays.swap_remove(at);
        relay.sides.map(|handle| {
            let index = self.find(handle)?;
            let (got, taken) = self.totals(index);
            let ends = self.registry.state_bits(self.sources[index].handle).unwrap_or(0);
            let source = &mut self.sources[index];
            (source.relayed, source.got, source.taken) = (None, got, taken);
            source.has_ended |= ends & READ_ENDED != 0 && !source.read_shut;
            source.read_done |= ends & READ_ENDED != 0;
            source.write_shut |= ends & WRITE_ENDED != 0;
            let stream = source.stream;
            with(|world| {
                let position = taken - world.left_out_of(stream);
                world.origins.add(stream, position, (stream, position));
            });
            Some(index)
        })
    }

    /// A relay is stopped: the bytes that are in its pipes are lost.
    fn stop(&mut self, at: usize) {
        let pipes = with(|world| world.own_pipes(Process::Program)).concat();
        let places = self.relays[at].sides.map(|handle| self.find(handle));
        let holds =
            |index: &usize| pipes.iter().any(|(stream, _)| *stream == self.sources[*index].origin);
        let has_lost = places.iter().flatten().any(holds);
        for index in places.into_iter().flatten() {
            self.sources[index].is_broken |= has_lost;
        }
    }

    pub(super) fn stop_relays_of(&mut self, multiplexer: i32) {
        for at in 0..self.relays.len() {
            if self.relays[at].multiplexer == multiplexer {
                self.stop(at);
            }
        }
    }

    pub(super) fn forget_relays_of(&mut self, multiplexer: i32) {
        while let Some(at) = self.relays.iter().position(|it| it.multiplexer == multiplexer) {
            self.forget_relay(at);
        }
    }

    /// A side of a relay is reported to have left: the relay is over, for a reason. As the library, the program closes
    /// both sockets, or resets them.
    pub(super) fn end_of_relay(&mut self, index: usize) -> Result<(), Violation> {
        let Some((at, side)) = self.relay_of(index) else {
            return Err("a relay is reported to be over, and there is none".to_owned());
        };
        self.note_faults_of_wait();
        let failures = match self.relays[at].has_failed {
            Some(has_failed) => has_failed,
            None => self.check_end_of_relay(at)?,
        };
        let multiplexer = self.relays[at].multiplexer;
        let other = self.relays[at].sides[1 - side];
        let sides = self.relays[at].sides;
        self.forget_relay(at);
        if let Some(other) = self.find(other) {
            self.sources[other].left.push(multiplexer);
        }
        self.relayed_before.push(other);
        for handle in sides {
            let Some(index) = self.find(handle) else { continue };
            if failures {
                self.reset_source(index)?;
            } else {
                self.close_source(index)?;
            }
        }
        Ok(())
    }

    /// The program ends a relay: it closes, resets or discards one socket, and mostly resets the other one.
    pub(super) fn stop_relay(&mut self, number: usize, how: usize) -> Result<(), Violation> {
        if self.relays.is_empty() {
            return Ok(());
        }
        let at = number % self.relays.len();
        self.stop_relay_at(at, how)
    }

    fn stop_relay_at(&mut self, at: usize, how: usize) -> Result<(), Violation> {
        self.stop(at);
        let Relay { multiplexer, mut sides, .. } = self.relays[at];
        if how % 2 == 1 {
            sides.reverse();
        }
        self.forget_relay(at);
        let [Some(one), Some(other)] = sides.map(|handle| self.find(handle)) else { return Ok(()) };
        let was_over = !self.is_busy(self.sources[one].handle);
        for (index, is_reported) in [(one, was_over), (other, true)] {
            if is_reported {
                self.sources[index].left.push(multiplexer);
                self.relayed_before.push(self.sources[index].handle.raw());
            }
        }
        let [handle, partner] = [one, other].map(|index| self.sources[index].handle);
        match how / 2 % 4 {
            0 => self.close_source(one)?,
            1 => self.reset_source(one)?,
            2 => match self.registry.remove(Handle::from_raw(multiplexer), handle) {
                Err(errno) if !was_over => return Err(format!("remove: {errno:?}")),
                _ => {}
            },
            _ => {
                self.remove_source(one, false);
                self.registry.discard(handle).map_err(|errno| format!("discard: {errno:?}"))?;
            }
        }
        self.collect_files(handle)?;
        self.collect_files(partner)?;
        match self.find(sides[1]) {
            Some(other) if how / 8 % 4 != 3 => self.reset_source(other),
            _ => Ok(()),
        }
    }

    /// Every relay ends once the peers of both its sockets have ended; the others are stopped.
    pub(super) fn end_relays(&mut self) -> Result<(), Violation> {
        if self.relays.is_empty() {
            return Ok(());
        }
        let is_read = |index: usize| {
            let fd = self.fd(index);
            fd.is_some_and(|fd| with(|world| world.is_read_by(fd, Process::Peer)))
        };
        let both_read =
            |relay: &&Relay| relay.sides.iter().all(|it| self.find(*it).is_some_and(is_read));
        let ending: Vec<_> = self.relays.iter().filter(both_read).map(|it| it.sides).collect();
        for end in &self.ends {
            let _ = with(|world| world.shutdown(Process::Peer, end.fd, Shutdown::Write));
        }
        self.settle_with_peers()?;
        if let Some(relay) = self.relays.iter().find(|relay| ending.contains(&relay.sides)) {
            return Err(format!("the relay of {:?} does not end", relay.sides));
        }
        while !self.relays.is_empty() {
            self.stop_relay_at(0, 2)?;
        }
        self.settle_with_peers()
    }
}
