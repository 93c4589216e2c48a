//! Waits, and what each event has to be.

use super::book::{Kind, event_bits as bits};
use super::player::{Player, Violation, with};
use super::serve::reported_by;
use crate::core::{Event, Mode, ReceiveBuffer};
use crate::kernel::{Errno, flags};

/// The timeouts of waits, in milliseconds.
const TIMEOUTS: [i32; 8] = [0, 0, 0, 1, 50, 250, 1000, -1];

/// How often an error that is only in the error queue may be reported.
const MOST_BARE_ERRORS: u32 = 3;

/// How many batches of its size a wait may need to report a ready source, apart from a constant.
const FAIR_ROUNDS: usize = 2;

impl Player {
    pub(super) fn wait_once(
        &mut self,
        number: usize,
        timeout: usize,
        how: usize,
    ) -> Result<(), Violation> {
        let Some(multiplexer) = self.choose_multiplexer(number) else { return Ok(()) };
        let limit = [1, 2, 4, 64][how % 4];
        let room = [0, 2048, 6000, 20_000][how / 4 % 4];
        self.wait(multiplexer, TIMEOUTS[timeout % TIMEOUTS.len()], limit, room).map(drop)
    }

    /// Waits, checks the events and what was owed, and returns the events.
    pub(super) fn wait(
        &mut self,
        multiplexer: usize,
        timeout: i32,
        limit: usize,
        room: usize,
    ) -> Result<Vec<Event>, Violation> {
        let (handle, wake) = {
            let it = &self.multiplexers[multiplexer];
            (it.handle, it.wake)
        };
        let timeout = if timeout < 0 && !self.can_wake(multiplexer) { 1000 } else { timeout };
        self.learn_origins();
        self.note_output();
        let owed = self.owed_by(handle.raw());
        let ready = self.ready_relays(handle.raw());
        with(|world| {
            world.asleep = None;
            world.rescue = if timeout < 0 { wake } else { None };
        });
        let mut buffer = vec![0; room];
        let mut events = Vec::new();
        let mut into =
            if room == 0 { ReceiveBuffer::none() } else { ReceiveBuffer::new(&mut buffer, 0) };
        let result =
            self.registry.wait(handle, timeout, limit, &mut into, |event| events.push(event));
        with(|world| world.note(|| format!("  {result:?} {events:?}")));
        match result {
            Ok(count) if count != events.len() => return Err("a wait miscounts".to_owned()),
            Ok(0) if timeout < 0 => {
                return Err("a wait without limit ends without events".to_owned());
            }
            Ok(_) => {}
            Err(errno) => self.expect_fault("wait", errno)?,
        }
        if events.len() > limit {
            return Err(format!("{} events at a limit of {limit}", events.len()));
        }
        self.check_sleep(handle.raw(), &events)?;
        // Those that the wait has closed or accepted had slots at the same time.
        let accepted = events.iter().filter(|event| event.bits & bits::ACCEPTED != 0).count();
        self.peak = self.peak.max(self.sources.len() + accepted);
        let is_ready = |event: &&Event| event.bits != bits::FILE;
        let reported: Vec<i32> = events.iter().filter(is_ready).map(reported_by).collect();
        for event in &events {
            self.check_event(handle.raw(), event, &buffer)?;
        }
        self.check_copy(multiplexer, &events, &buffer)?;
        self.count_passed_over(handle.raw(), &owed, &reported, limit)?;
        self.count_idle_relays(handle.raw(), &ready)?;
        Ok(events)
    }

    pub(super) fn service(&mut self, number: usize, limit: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_multiplexer(number) else { return Ok(()) };
        let (handle, limit) = (self.multiplexers[index].handle, 1 + limit % 8);
        self.note_output();
        let mut events = Vec::new();
        match self.registry.service(handle, limit, |event| events.push(event)) {
            Ok(count) if count != events.len() || count > limit => {
                return Err("service miscounts".to_owned());
            }
            Ok(_) => {}
            Err(errno) => self.expect_fault("service", errno)?,
        }
        for event in &events {
            if event.bits != bits::DETACHED && event.bits != bits::FILE {
                return Err(format!("service reports {event:?}"));
            }
            self.check_event(handle.raw(), event, &[])?;
        }
        Ok(())
    }

    pub(super) fn idle(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_multiplexer(number) else { return Ok(()) };
        let handle = self.multiplexers[index].handle;
        self.registry.is_idle(handle, 1).map(drop).map_err(|errno| format!("idle: {errno:?}"))
    }

    /// Checks the copy of what was prefetched, for an array that the program has given away meanwhile.
    fn check_copy(
        &self,
        multiplexer: usize,
        events: &[Event],
        buffer: &[u8],
    ) -> Result<(), Violation> {
        let mut copy = vec![0; buffer.len()];
        let handle = self.multiplexers[multiplexer].handle;
        let copied = self.registry.copy_prefetched(handle, &mut copy);
        let mut parts = events
            .iter()
            .filter(|event| event.bits & bits::ACCEPTED == 0 && !event.received.is_empty())
            .map(|event| event.received.clone());
        if parts.any(|part| copied != Ok(true) || copy[part.clone()] != buffer[part]) {
            return Err(format!("the copy of what was prefetched is another one: {copied:?}"));
        }
        Ok(())
    }

    /// Whether a wait without limit can be ended.
    fn can_wake(&self, multiplexer: usize) -> bool {
        let Some(wake) = self.multiplexers[multiplexer].wake else { return false };
        let handle = self.multiplexers[multiplexer].handle.raw();
        self.sources.iter().any(|source| {
            source.is_of(handle)
                && matches!(source.kind, Kind::Foreign { file, is_open: true, .. } if file == wake)
                && source.registration.as_ref().is_some_and(|it| it.interest.read && !it.disabled)
        })
    }

    /// Takes note of what is queued before a wait, and that a wait may send it.
    pub(super) fn note_output(&mut self) {
        for index in 0..self.sources.len() {
            let queued = self.unsent(index);
            let source = &mut self.sources[index];
            source.is_corked = false;
            if let Some(registration) = &mut source.registration {
                registration.had_output |= queued > 0;
            }
        }
    }

    fn learn_origins(&mut self) {
        for index in 0..self.sources.len() {
            if self.sources[index].is_socket() {
                self.learn_origin(index);
            }
        }
    }

    fn check_event(
        &mut self,
        multiplexer: i32,
        event: &Event,
        buffer: &[u8],
    ) -> Result<(), Violation> {
        let wrong = |what: &str| Err(format!("{event:?}: {what}"));
        if event.bits & (bits::ACCEPTED | bits::REFUSED) != 0 {
            return self.check_accepted(multiplexer, event);
        }
        if event.bits == bits::FILE {
            return self.check_progress(event);
        }
        let Some(index) = self.find(event.handle.raw()) else {
            let before = self.relayed_before.iter().position(|it| *it == event.handle.raw());
            return match before.filter(|_| event.bits == bits::DETACHED) {
                Some(at) => {
                    self.relayed_before.swap_remove(at);
                    Ok(())
                }
                None => wrong("of a handle that is gone"),
            };
        };
        if event.bits == bits::DETACHED && self.sources[index].left.contains(&multiplexer) {
            self.sources[index].left.retain(|left| *left != multiplexer);
            return Ok(());
        }
        if !self.sources[index].is_of(multiplexer) {
            return wrong("of a source that is not registered here");
        }
        if event.bits == bits::DETACHED && self.sources[index].relayed.is_some() {
            return self.end_of_relay(index);
        }
        if event.bits & bits::DETACHED != 0 {
            return self.check_detached(index, event);
        }
        if event.bits == 0 {
            return wrong("of nothing");
        }
        self.check_truth(index, event)?;
        let source = &mut self.sources[index];
        let Some(registration) = &mut source.registration else { return Ok(()) };
        if registration.disabled {
            return wrong("after it was reported once");
        }
        if event.bits & bits::READABLE != 0 && !registration.interest.read
            || event.bits & bits::WRITABLE != 0 && !registration.interest.write
        {
            return wrong("of no interest");
        }
        if event.bits & bits::READABLE != 0 && source.has_ended {
            return wrong("after the end");
        }
        source.failure_reported |= event.bits & (bits::HANGUP | bits::ERROR) != 0;
        registration.disabled = registration.mode == Mode::Oneshot;
        registration.passed_over = 0;
        if event.bits & bits::WRITABLE != 0 {
            (source.awaits_drain, source.may_await_drain) = (false, false);
            registration.owes_writable = registration.mode == Mode::Level;
        }
        let is_prefetched = !event.received.is_empty();
        if is_prefetched && !registration.interest.prefetch {
            return wrong("prefetched");
        }
        if is_prefetched {
            self.learn_origin(index);
            self.check_bytes(index, &buffer[event.received.clone()])?;
            self.sources[index].got += event.received.len() as u64;
        }
        Ok(())
    }

    /// Checks that what an event says is so.
    fn check_truth(&mut self, index: usize, event: &Event) -> Result<(), Violation> {
        let (is, failure) = (self.flags(index), self.failure(index));
        let source = &self.sources[index];
        let has = |flags: u32| is & flags != 0 || failure.is_some() || source.is_foreign();
        let is_true = [
            (bits::READ_ENDED, has(flags::RDHUP | flags::HUP) || source.read_shut),
            (bits::HANGUP, has(flags::HUP)),
            (bits::ERROR, has(flags::ERR)),
            (bits::WRITABLE, !source.write_shut || source.may_await_drain || failure.is_some()),
        ];
        for (bit, is_true) in is_true {
            if event.bits & bit != 0 && !is_true {
                return Err(format!("{event:?}: bit {bit} is not true: {is:#x}"));
            }
        }
        // The kernel's error queue is no error of the connection, truth 30: it is reported once, and may come with input.
        let is_bare = is & (flags::ERR | flags::IN | flags::HUP) == flags::ERR;
        let is_error = event.bits & bits::ERROR != 0 && failure.is_none();
        if is_error && source.is_socket() && is_bare && !source.read_shut {
            if source.bare_errors > MOST_BARE_ERRORS {
                return Err(format!("{event:?}: the error queue is reported again"));
            }
            self.sources[index].bare_errors += 1;
        }
        if event.bits & bits::WRITABLE != 0 && failure.is_none() && self.unsent(index) > 0 {
            return Err(format!("{event:?}: writable, and the queue is not empty"));
        }
        Ok(())
    }

    /// A source has left its multiplexer: its close is complete, its connect has failed, or it was only flushed.
    fn check_detached(&mut self, index: usize, event: &Event) -> Result<(), Violation> {
        let failure = self.failure(index);
        let source = &mut self.sources[index];
        let Some(registration) = source.registration.take() else { return Ok(()) };
        source.failure_reported |= event.bits & bits::ERROR != 0;
        if source.closing {
            let failed = event.received.start != 0;
            source.is_broken |= failed;
            if !failed && self.registry.raw_fd(self.sources[index].handle).is_ok() {
                return Err(format!("{event:?}: detached, and still open"));
            }
            self.remove_source(index, true);
            return Ok(());
        }
        self.collect_files(event.handle)?;
        let is_flushed = registration.interest == crate::core::Interest::NONE;
        if !is_flushed && failure.is_none() {
            return Err(format!("{event:?}: detached for no reason"));
        }
        // Its owner has relied on the registration until now.
        if failure.is_none() && self.leaves_queue(index) {
            return Err(format!("{event:?}: detached, and bytes are queued"));
        }
        self.sources[index].is_broken |= failure.is_some();
        Ok(())
    }

    /// Counts the waits that have left out a source that was ready before them.
    fn count_passed_over(
        &mut self,
        multiplexer: i32,
        owed: &[i32],
        reported: &[i32],
        limit: usize,
    ) -> Result<(), Violation> {
        let registered = self.sources.iter().filter(|source| source.is_of(multiplexer)).count();
        let most = FAIR_ROUNDS * registered.div_ceil(limit) + 4;
        let still_owed = self.owed_by(multiplexer);
        let has_faults = !with(|world| world.faults.is_empty());
        for source in &mut self.sources {
            let handle = source.handle.raw();
            let Some(registration) = source.registration.as_mut() else { continue };
            if registration.multiplexer != multiplexer {
                continue;
            }
            let waits = owed.contains(&handle) && still_owed.contains(&handle) && !has_faults;
            registration.passed_over =
                if waits && !reported.contains(&handle) { registration.passed_over + 1 } else { 0 };
            if registration.passed_over as usize > most {
                return Err(format!("source {handle} is ready and was left out by {most} waits"));
            }
        }
        Ok(())
    }

    /// Whether the program has ended what a socket sends, or that is not known.
    pub(super) fn has_ended(&self, index: usize) -> bool {
        self.sources[index].write_shut || self.sources[index].is_broken
    }

    /// # Errors
    /// An errno that neither the kernel nor a fault has given this socket.
    pub(super) fn check_reason(&mut self, index: usize, errno: Errno) -> Result<(), Violation> {
        // A failed connect is ENOTCONN for every call: its own error is in `failure`.
        let is_known = match self.failure(index) {
            Some(_) if errno == Errno::NOTCONN => true,
            // `core` refuses what a relay is to send after the end.
            Some(Errno::PIPE) if errno == Errno::PIPE && self.has_ended(index) => true,
            _ => with(|world| world.has_happened(errno)),
        };
        if is_known { Ok(()) } else { Err(format!("{errno:?} of source {index}, for no reason")) }
    }
}
