//! The program handles all events until there are none: then nothing may be left, and waits sleep.

use super::book::{Kind, event_bits as bits};
use super::player::{Player, Violation, with};
use crate::core::{Event, Mode};
use crate::world::{Luck, World};

/// The most batches of which none changes anything.
const MOST_IDLE_BATCHES: u32 = 8;

/// The most rounds in which everything is delivered, and everything reported is handled.
const MOST_ROUNDS: usize = 3000;

impl Player {
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        with(|world| world.luck = Luck::NONE);
        for _ in 0..MOST_ROUNDS {
            let moves = with(|world| world.moves);
            let mut has_changed = with(World::deliver_all) | self.load_all()?;
            for index in 0..self.multiplexers.len() {
                has_changed |= self.drain(index)?;
            }
            has_changed |= with(|world| world.moves) != moves;
            if !has_changed {
                return Ok(());
            }
        }
        if with(|world| world.faults.is_empty()) {
            Err("nothing settles".to_owned())
        } else {
            Ok(())
        }
    }

    /// Handles the events of a multiplexer until there are none. Returns whether that has changed anything.
    fn drain(&mut self, multiplexer: usize) -> Result<bool, Violation> {
        let mut has_changed = false;
        let mut idle = 0;
        loop {
            with(|world| world.calls_of_step = 0);
            self.played += 1;
            let moves = with(|world| world.moves);
            let events = self.wait(multiplexer, 1, 64, 20_000)?;
            let mut is_useful = with(|world| world.moves) != moves;
            let mut lasts = true;
            for event in &events {
                is_useful |= self.handle(event)?;
                lasts &= self.lasts(event);
            }
            self.check()?;
            has_changed |= is_useful;
            idle = if is_useful { 0 } else { idle + 1 };
            if events.is_empty() || lasts && !is_useful {
                return Ok(has_changed);
            }
            if idle > MOST_IDLE_BATCHES {
                return Err(format!("spin: {events:?} again and again, and nothing to do"));
            }
        }
    }

    /// Whether an event comes again at each wait for a reason: level-triggered readiness to write lasts.
    fn lasts(&self, event: &Event) -> bool {
        let Some(index) = self.find(event.handle.raw()) else { return false };
        // An epoll descriptor is drained by the waits of its own multiplexer.
        if self.sources[index].is_foreign() {
            // A number that is closed is only found by `EPOLL_CTL_MOD`.
            let is_closed =
                matches!(self.sources[index].kind, Kind::Foreign { is_open: false, .. });
            let is_known = !self.has_ghosts && with(|world| world.faults.is_empty());
            return self.flags(index) != 0 || is_closed && !is_known;
        }
        self.sources[index]
            .registration
            .is_some_and(|it| it.mode == Mode::Level && it.interest.write)
            && event.bits & (bits::READABLE | bits::WRITABLE) == bits::WRITABLE
    }

    /// Does what an event asks for. Returns whether there was something to do.
    fn handle(&mut self, event: &Event) -> Result<bool, Violation> {
        if event.bits & (bits::DETACHED | bits::ACCEPTED) != 0 {
            return Ok(true);
        }
        let mut is_useful = !event.received.is_empty();
        let Some(mut index) = self.find(event.handle.raw()) else { return Ok(true) };
        if event.bits & (bits::READABLE | bits::READ_ENDED | bits::ERROR) == 0 {
            return Ok(is_useful);
        }
        match self.sources[index].kind {
            Kind::Listener => {
                while self.sources.len() < 60 && self.accept_of(index)? {
                    is_useful = true;
                    let Some(found) = self.find(event.handle.raw()) else { break };
                    index = found;
                }
            }
            Kind::Foreign { file, is_open: true, .. } => is_useful |= self.drain_foreign(file),
            Kind::Foreign { .. } => {}
            Kind::Socket => {
                let was_done = self.sources[index].read_done;
                // Some sockets are read once an event: what is left has to be reported again.
                let reads_once = self.sources[index].stream.is_multiple_of(2);
                while self.receive_of(index, 5000, false)?.is_some() {
                    is_useful = true;
                    if reads_once {
                        break;
                    }
                }
                is_useful |= !was_done && self.sources[index].read_done;
            }
        }
        Ok(is_useful)
    }
}
