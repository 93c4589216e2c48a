//! Relays: how they begin, and what the program does with them.

use super::book::{Kind, Relay, Source};
use super::player::{Player, Violation, with};
use super::relay_end::READ_ENDED;
use crate::core::Handle;
use crate::kernel::{Errno, Shutdown};
use crate::world::{Call, Process};

/// What a turn of the event loop costs at most: system calls for each relayed socket, and apart from those.
const CALLS_OF_TURN: u64 = 1000;

impl Player {
    pub(super) fn relay(
        &mut self,
        number: usize,
        one: usize,
        other: usize,
    ) -> Result<(), Violation> {
        let Some(multiplexer) = self.choose_multiplexer(number) else { return Ok(()) };
        let sides = (self.choose_side(one), self.choose_side(other));
        let (Some(one), Some(other)) = sides else { return Ok(()) };
        if one != other && self.closes_a_circle(one, other) {
            return Ok(());
        }
        let multiplexer = self.multiplexers[multiplexer].handle;
        let refusal = self.refusal(one, other);
        let has_failed = [one, other].into_iter().any(|index| self.failure(index).is_some());
        let may_leave = self.may_leave(one) || self.may_leave(other);
        let begun = [one, other].map(|index| self.totals(index));
        let queued = [one, other].map(|index| self.queued(index));
        let handles = [one, other].map(|index| self.sources[index].handle);
        self.join_streams([one, other], begun);
        let result = self.registry.relay(multiplexer, handles[0], handles[1]);
        with(|world| world.note(|| format!("  relay {handles:?} = {result:?}")));
        let Err(errno) = result else {
            if let Some(refusal) = refusal.filter(|_| !may_leave) {
                return Err(format!("relay is not {refusal:?}"));
            }
            self.begin_relay(multiplexer, [one, other], (begun, queued));
            return Ok(());
        };
        self.part_streams([one, other], begun);
        let is_refused = refusal.is_some() && [Errno::EXIST, Errno::INVAL].contains(&errno);
        let is_known = is_refused || has_failed && errno == Errno::NOTCONN;
        if !is_known {
            self.expect_fault("relay", errno)?;
        }
        if handles.into_iter().any(|handle| self.is_busy(handle)) {
            return Err("a relay that has failed keeps a socket".to_owned());
        }
        Ok(())
    }

    /// From here on each of two sockets sends what the other one receives.
    fn join_streams(&mut self, places: [usize; 2], begun: [(u64, u64); 2]) {
        for (from, to) in [(0, 1), (1, 0)] {
            self.learn_origin(places[from]);
            let (source, target) = (&self.sources[places[from]], &self.sources[places[to]]);
            let (receiver, stream, origin) = (source.stream, target.stream, source.origin);
            with(|world| {
                let position = begun[to].1 - world.left_out_of(stream);
                match origin {
                    0 => world.origins.expect(stream, position, receiver),
                    _ => world.origins.add(stream, position, (origin, begun[from].0)),
                }
            });
        }
    }

    /// From here on each of two sockets has its own bytes.
    fn part_streams(&mut self, places: [usize; 2], begun: [(u64, u64); 2]) {
        for (place, (_, position)) in places.into_iter().zip(begun) {
            let stream = self.sources[place].stream;
            with(|world| {
                let position = position - world.left_out_of(stream);
                world.origins.add(stream, position, (stream, position));
            });
        }
    }

    /// Mostly a socket that is in no multiplexer.
    fn choose_side(&self, number: usize) -> Option<usize> {
        match number % 32 {
            31 => self.choose(number, |source| !source.closing && source.relayed.is_none()),
            30 => self.choose_socket(number),
            _ => self.choose(number, |source| source.is_free() && source.registration.is_none()),
        }
    }

    fn may_leave(&self, index: usize) -> bool {
        self.sources[index].may_have_left()
    }

    /// Why a relay of two sources is refused.
    fn refusal(&mut self, one: usize, other: usize) -> Option<Errno> {
        if one == other {
            return Some(Errno::INVAL);
        }
        [one, other].into_iter().find_map(|index| {
            let source = &self.sources[index];
            match source.kind {
                Kind::Socket if source.registration.is_some() => Some(Errno::EXIST),
                Kind::Socket if self.fd(index).is_none() => Some(Errno::NOTCONN),
                Kind::Socket => None,
                _ => Some(Errno::INVAL),
            }
        })
    }

    /// Whether the relay of a source is over, which is not reported yet.
    pub(super) fn is_over_unreported(&mut self, index: usize) -> bool {
        let Source { handle, relayed, .. } = self.sources[index];
        relayed.is_some() && !self.is_busy(handle)
    }

    pub(super) fn is_busy(&mut self, handle: Handle) -> bool {
        matches!(self.registry.socket(handle), Err(Errno::BUSY))
    }

    /// Whether bytes would go round for ever: each side of a relay may be connected with one of another relay.
    fn closes_a_circle(&self, one: usize, other: usize) -> bool {
        let mut at = other;
        if self.sources[one].may_meet_itself && self.sources[other].may_meet_itself {
            return true;
        }
        for _ in 0..=self.relays.len() {
            let peer = self.fd(at).and_then(|fd| with(|world| world.peer_of(fd)));
            let is_peer = |index: &usize| {
                // A duplicate of a socket's descriptor has the same file.
                let fd = self.fd(*index).filter(|_| self.sources[*index].is_socket());
                let file = fd.and_then(|fd| with(|world| world.file(Process::Program, fd)).ok());
                file.is_some() && file == peer
            };
            let Some(peer) = (0..self.sources.len()).find(is_peer) else { return false };
            if peer == one {
                return true;
            }
            let Some(partner) = self.partner(peer) else { return false };
            at = partner;
        }
        true
    }

    /// The relay of a source, and which of its sides the source is.
    pub(super) fn relay_of(&self, index: usize) -> Option<(usize, usize)> {
        let handle = self.sources[index].handle.raw();
        let side = |relay: &Relay| relay.sides.iter().position(|side| *side == handle);
        self.relays.iter().enumerate().find_map(|(at, relay)| Some((at, side(relay)?)))
    }

    fn partner(&self, index: usize) -> Option<usize> {
        let (relay, side) = self.relay_of(index)?;
        self.find(self.relays[relay].sides[1 - side])
    }

    /// What a socket has received and not given back, and what it has accepted to send: as the kernel and `core` count.
    pub(super) fn totals(&mut self, index: usize) -> (u64, u64) {
        let (unread, unsent) = (self.unread_length(index) as u64, self.unsent(index) as u64);
        let left_out = with(|world| world.left_out_of(self.sources[index].stream));
        let fd = self.fd(index);
        let (received, sent) = fd.map_or((0, 0), |fd| {
            with(|world| world.socket_of(fd).map_or((0, 0), |it| (it.received, it.sent)))
        });
        (received.saturating_sub(unread), sent + unsent + left_out)
    }

    fn begin_relay(
        &mut self,
        multiplexer: Handle,
        sides: [usize; 2],
        (begun, queued): ([(u64, u64); 2], [usize; 2]),
    ) {
        for index in sides {
            let source = &mut self.sources[index];
            source.left.extend(source.registration.take().map(|it| it.multiplexer));
            source.left.retain(|left| *left != multiplexer.raw());
            (source.relayed, source.is_corked) = (Some(multiplexer.raw()), false);
            source.has_passed_end = false;
            (source.awaits_drain, source.may_await_drain) = (false, false);
        }
        self.relays.push(Relay {
            multiplexer: multiplexer.raw(),
            sides: sides.map(|index| self.sources[index].handle.raw()),
            begun,
            queued,
            moved: [0; 2],
            passed_over: [0; 2],
            has_failed: None,
        });
    }

    pub(super) fn serve_relays(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_multiplexer(number) else { return Ok(()) };
        let handle = self.multiplexers[index].handle;
        self.note_output();
        let calls = with(|world| world.calls);
        let result = self.registry.serve_relays(handle);
        let relayed = self.sources.iter().filter(|it| it.relayed == Some(handle.raw())).count();
        let most = CALLS_OF_TURN * (1 + relayed as u64);
        let made = with(|world| world.calls) - calls;
        with(|world| world.note(|| format!("  serve_relays = {result:?}")));
        if made > most {
            return Err(format!("a turn of {relayed} relayed sockets makes {made} calls"));
        }
        match result {
            Ok(false) if self.registry.is_idle(handle, 1) == Ok(false) => {
                Err("a turn leaves something to report, and says otherwise".to_owned())
            }
            Ok(_) => Ok(()),
            Err(errno) => self.expect_fault("serve_relays", errno),
        }
    }

    fn choose_relayed(&self, number: usize) -> Option<usize> {
        self.choose(number, |source| source.relayed.is_some())
    }

    pub(super) fn end_relayed(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_relayed(number) else { return Ok(()) };
        let result = self.registry.end_relayed(self.sources[index].handle);
        match result {
            Ok(()) => {
                let has_failed = with(|world| {
                    world.faults.injected().iter().any(|fault| fault.call == Call::Shutdown)
                });
                if let Some(partner) = self.partner(index) {
                    let ends = self.registry.state_bits(self.sources[partner].handle).unwrap_or(0);
                    // A fault may have met the shutdown of either.
                    self.sources[partner].read_shut |= !has_failed || ends & READ_ENDED != 0;
                }
                Ok(())
            }
            // It is over, and that is not reported yet.
            Err(Errno::INVAL) if !self.is_busy(self.sources[index].handle) => Ok(()),
            Err(errno) => self.expect_fault("end_relayed", errno),
        }
    }

    /// A relayed socket is not the program's to use.
    pub(super) fn touch_relayed(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_relayed(number) else { return Ok(()) };
        let Source { handle, relayed, .. } = self.sources[index];
        if !self.is_busy(handle) {
            return Ok(());
        }
        let multiplexer = Handle::from_raw(relayed.unwrap_or_default());
        let interest = crate::core::Interest::NONE;
        let mode = crate::core::Mode::Edge;
        let results = [
            self.registry.with_socket(handle, |socket| socket.receive(&mut [0; 10])).map(drop),
            self.registry.write(handle, &[0], false).map(drop),
            self.registry.unread(handle, &[0]),
            self.registry.shutdown(handle, Shutdown::Both),
            self.registry.flush(handle).map(drop),
            self.registry.send_file(handle, -1, 0..1).map(drop),
            self.registry.modify(multiplexer, handle, interest, mode),
            self.registry.add(multiplexer, handle, interest, mode),
        ];
        if results.contains(&Ok(())) {
            return Err(format!("a relayed socket can be used: {results:?}"));
        }
        Ok(())
    }
}
