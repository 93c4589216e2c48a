//! What has to hold of relays: bytes, wake-ups, ends, pipes.

use super::book::Relay;
use super::player::{Player, Violation, with};
use crate::core::Event;
use crate::kernel::{Errno, flags};
use crate::world::{Process, Socket};

/// The most empty pipes that are kept.
const MOST_PIPES: usize = 16;

/// What a relay receives at once, which is the most that it queues.
const BUFFER_SIZE: usize = 64 << 10;

/// How many waits may leave out what a relay could move.
const MOST_IDLE_WAITS: u32 = 6;

/// The two directions of a relay: from which side to which.
const DIRECTIONS: [(usize, usize); 2] = [(0, 1), (1, 0)];

impl Player {
    pub(super) fn check_relays(&mut self) -> Result<(), Violation> {
        let pipes = with(|world| world.own_pipes(Process::Program));
        let empty = pipes.iter().filter(|pipe| pipe.is_empty()).count();
        if empty > MOST_PIPES {
            return Err(format!("{empty} empty pipes are kept"));
        }
        let bytes = pipes.concat();
        for index in 0..self.sources.len() {
            if self.sources[index].relayed.is_some() {
                self.learn_origin(index);
            }
        }
        let is_known =
            |stream: u32| self.sources.iter().any(|it| it.relayed.is_some() && it.origin == stream);
        if let Some((stream, count)) = bytes.iter().find(|(stream, _)| !is_known(*stream)) {
            return Err(format!(
                "a pipe has {count} bytes of stream {stream}, which no relay moves"
            ));
        }
        for at in 0..self.relays.len() {
            let is_over = self.places(at).is_some_and(|it| self.is_over_unreported(it[0]));
            if is_over && self.relays[at].has_failed.is_none() {
                self.relays[at].has_failed = Some(self.check_end_of_relay(at)?);
            }
            self.check_relay(at, &bytes)?;
        }
        Ok(())
    }

    /// The places of the sockets of a relay.
    fn places(&self, at: usize) -> Option<[usize; 2]> {
        let [one, other] = self.relays[at].sides.map(|handle| self.find(handle));
        Some([one?, other?])
    }

    fn has_failed(&mut self, places: [usize; 2]) -> bool {
        places.into_iter().any(|index| self.failure(index).is_some())
    }

    /// Whether a side has failed, and nothing that it has received before is under way to the other one.
    fn owes_failure(&mut self, places: [usize; 2]) -> bool {
        let bytes = with(|world| world.own_pipes(Process::Program)).concat();
        DIRECTIONS.into_iter().any(|(from, to)| {
            let (source, target) = (places[from], places[to]);
            let origin = self.sources[source].origin;
            let is_under_way = self.failure(target).is_none()
                && (self.unsent(target) > 0 || bytes.iter().any(|it| it.0 == origin));
            self.failure(source).is_some() && !is_under_way
        })
    }

    fn check_relay(&mut self, at: usize, bytes: &[(u32, u64)]) -> Result<(), Violation> {
        let Some(places) = self.places(at) else {
            return Err("a relayed socket is gone".to_owned());
        };
        if self.has_failed(places) {
            return Ok(());
        }
        for (from, to) in DIRECTIONS {
            let (source, target) = (places[from], places[to]);
            let begun = self.relays[at].begun;
            let (received, sent) = (self.totals(source).0, self.totals(target).1);
            let (came, went) = (received - begun[from].0, sent - begun[to].1);
            let origin = self.sources[source].origin;
            let under_way = bytes.iter().filter(|(stream, _)| *stream == origin);
            let under_way: u64 = under_way.map(|(_, count)| count).sum();
            let is_shut = self.sources[source].read_shut;
            if went + under_way > came || !is_shut && went + under_way != came {
                return Err(format!(
                    "of {came} bytes that came a relay has sent {went}, and {under_way} are under way"
                ));
            }
            let most = BUFFER_SIZE.max(self.relays[at].queued[to]);
            if self.queued(target) > most {
                return Err(format!("a relay has queued {} bytes", self.queued(target)));
            }
            self.check_counters(source)?;
            self.check_relayed_end(source, target, under_way)?;
            // A Unix socket may get an error after its end.
            let is_over = self.is_direction_over(source, target);
            self.sources[source].has_passed_end |= is_over;
        }
        Ok(())
    }

    /// The counters of a relayed socket are those of the kernel.
    fn check_counters(&mut self, index: usize) -> Result<(), Violation> {
        let source = &self.sources[index];
        let (handle, is_shut, is_broken) = (source.handle, source.read_shut, source.is_broken);
        let got = self.totals(index).0;
        let taken = self.sent_by(index);
        let Ok(socket) = self.registry.any_socket(handle) else { return Ok(()) };
        let (received, sent) = socket.totals();
        if is_broken || sent == taken && (is_shut || received == got) {
            return Ok(());
        }
        Err(format!(
            "the counters of a relayed socket say {received} of {got} received and {sent} of {taken} sent"
        ))
    }

    /// What the kernel has taken from a socket.
    fn sent_by(&self, index: usize) -> u64 {
        let fd = self.fd(index);
        fd.map_or(0, |fd| with(|world| world.socket_of(fd).map_or(0, |socket| socket.sent)))
    }

    /// FIN goes on when it has come, behind all bytes.
    fn check_relayed_end(
        &mut self,
        source: usize,
        target: usize,
        under_way: u64,
    ) -> Result<(), Violation> {
        let (Some(from), Some(to)) = (self.fd(source), self.fd(target)) else { return Ok(()) };
        let ends = with(|world| world.socket_of(to).is_ok_and(|it| it.has_tcp() && it.has_ended()));
        let was_over = self.sources[source].read_shut || self.sources[source].has_ended;
        let was_over = was_over || self.sources[source].has_passed_end;
        if !ends || self.sources[target].write_shut || was_over {
            return Ok(());
        }
        let (has_come, incoming) = with(|world| {
            world.socket_of(from).map_or((false, 0), |it| (it.input_ended(), it.incoming))
        });
        let left = incoming + self.unread_length(source) + self.unsent(target);
        if !has_come {
            return Err("a relay sends FIN, and none has come".to_owned());
        }
        self.sources[source].has_passed_end = true;
        if left as u64 + under_way > 0 {
            return Err(format!("a relay sends FIN before {left} and {under_way} bytes"));
        }
        Ok(())
    }

    /// Whether what a socket receives has ended, and its relay has passed that on.
    fn is_direction_over(&mut self, source: usize, target: usize) -> bool {
        if self.unread_length(source) + self.unsent(target) > 0 {
            return false;
        }
        let (Some(from), Some(to)) = (self.fd(source), self.fd(target)) else { return true };
        let has_come = self.sources[source].has_passed_end
            || self.sources[source].read_shut
            || self.sources[source].has_ended
            || with(|world| {
                world.socket_of(from).is_ok_and(|it| it.incoming == 0 && it.input_ended())
            });
        has_come && with(|world| world.socket_of(to).is_ok_and(Socket::output_ended))
    }

    /// As `is_direction_over`, or it was the program or a fault that has kept the end back.
    fn may_be_over(&mut self, source: usize, target: usize) -> bool {
        self.sources[target].cannot_end || self.is_direction_over(source, target)
    }

    /// Whether a relay is over for a reason. Returns whether it has failed.
    pub(super) fn check_end_of_relay(&mut self, at: usize) -> Result<bool, Violation> {
        let Some(places) = self.places(at) else { return Ok(true) };
        for index in places {
            let Some(errno) = self.failure(index) else { continue };
            self.check_reason(index, errno)?;
            let is_of_pipes = [libc::EMFILE, libc::ENFILE, libc::EBUSY].map(Errno::from_raw);
            if is_of_pipes.contains(&Some(errno)) {
                return Err(format!("a relay ends by {errno:?}, without which it can go on"));
            }
        }
        if self.has_failed(places) {
            return Ok(true);
        }
        for (from, to) in DIRECTIONS {
            if !self.may_be_over(places[from], places[to]) {
                return Err("a relay ends for no reason".to_owned());
            }
        }
        Ok(false)
    }

    /// Whether a direction of a relay could move something, by what poll(2) says of its sockets.
    fn can_move(&mut self, source: usize, target: usize, is: impl Fn(i32) -> u32) -> bool {
        let now = with(|world| world.now());
        let backs_off = |index: usize| now < self.sources[index].backs_off_until;
        let waits = backs_off(source) || backs_off(target) || self.awaits_disk(target);
        if waits || self.may_be_over(source, target) {
            return false;
        }
        let (Some(from), Some(to)) = (self.fd(source), self.fd(target)) else { return true };
        let has_error = with(|world| world.socket_of(from).is_ok_and(Socket::has_error));
        let has_input = is(from) & (flags::IN | flags::RDHUP) != 0
            || has_error && is(from) & flags::ERR != 0
            || self.unread_length(source) > 0
            || self.failure(source).is_some();
        has_input && self.is_begun(source) && self.is_begun(target) && is(to) & flags::OUT != 0
    }

    /// As `can_move`, of what a relay has received.
    fn can_send(&mut self, target: usize, is: impl Fn(i32) -> u32) -> bool {
        let now = with(|world| world.now());
        let backs_off = now < self.sources[target].backs_off_until;
        let waits = backs_off || self.awaits_disk(target) || self.unsent(target) == 0;
        !waits
            && self.is_begun(target)
            && self.fd(target).is_some_and(|fd| is(fd) & flags::OUT != 0)
    }

    /// Nothing could be moved when a wait went to sleep, and no relay was over.
    pub(super) fn check_sleep_of_relays(
        &mut self,
        multiplexer: i32,
        polled: &[(i32, u32)],
        events: &[Event],
    ) -> Result<(), Violation> {
        let is = |fd: i32| polled.iter().find(|it| it.0 == fd).map_or(0, |it| it.1);
        for at in 0..self.relays.len() {
            let Some(places) = self.places(at) else { continue };
            let Relay { sides, multiplexer: of, .. } = self.relays[at];
            if of != multiplexer || events.iter().any(|it| sides.contains(&it.handle.raw())) {
                continue;
            }
            for (from, to) in DIRECTIONS {
                let (source, target) = (places[from], places[to]);
                if self.can_move(source, target, is) || self.can_send(target, is) {
                    let flags = [source, target].map(|it| self.fd(it).map_or(0, is));
                    return Err(format!(
                        "lost wake-up: a wait sleeps, and the relay of {sides:?} can move bytes: {flags:x?}"
                    ));
                }
            }
            let now = with(|world| world.now());
            if places.iter().any(|index| now < self.sources[*index].backs_off_until) {
                continue;
            }
            let is_over = DIRECTIONS
                .iter()
                .all(|(from, to)| self.is_direction_over(places[*from], places[*to]));
            if is_over || self.owes_failure(places) {
                return Err(format!("a wait sleeps, and the relay of {sides:?} is over"));
            }
        }
        Ok(())
    }

    /// The directions of relays that could move something: the relay's first socket, and which direction.
    pub(super) fn ready_relays(&mut self, multiplexer: i32) -> Vec<(i32, usize)> {
        let mut ready = Vec::new();
        for at in 0..self.relays.len() {
            let Some(places) = self.places(at) else { continue };
            if self.relays[at].multiplexer != multiplexer {
                continue;
            }
            let is = |fd: i32| {
                with(|world| {
                    world.file(Process::Program, fd).map_or(0, |file| world.flags_of(file))
                })
            };
            for (direction, (from, to)) in DIRECTIONS.into_iter().enumerate() {
                if self.can_move(places[from], places[to], is) {
                    ready.push((self.relays[at].sides[0], direction));
                }
            }
        }
        ready
    }

    /// Counts the waits that have not moved what a relay could have moved before and after them.
    pub(super) fn count_idle_relays(
        &mut self,
        multiplexer: i32,
        before: &[(i32, usize)],
    ) -> Result<(), Violation> {
        let after = self.ready_relays(multiplexer);
        let has_faults = !with(|world| world.faults.is_empty());
        for at in 0..self.relays.len() {
            let Some(places) = self.places(at) else { continue };
            for (direction, (from, to)) in DIRECTIONS.into_iter().enumerate() {
                let sent = self.sent_by(places[to]);
                let moved = self.totals(places[from]).0 + sent;
                let relay = &mut self.relays[at];
                let name = (relay.sides[0], direction);
                let is_ready = before.contains(&name) && after.contains(&name);
                let has_moved = std::mem::replace(&mut relay.moved[direction], moved) != moved;
                let waits = is_ready && !has_moved && !has_faults;
                let count = &mut relay.passed_over[direction];
                *count = if waits { *count + 1 } else { 0 };
                if *count > MOST_IDLE_WAITS {
                    return Err(format!("the relay of {:?} starves", relay.sides));
                }
            }
        }
        Ok(())
    }
}
