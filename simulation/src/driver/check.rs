//! What has to hold after every step, and whenever a wait goes to sleep.

use super::book::Kind;
use super::player::{Player, Violation, with};
use crate::core::{Event, Mode};
use crate::kernel::{Errno, flags};
use crate::world::{Call, Closing, Process, Socket};

/// How long a source in back-off is left alone, in nanoseconds, with the rounding of a wait.
const BACK_OFF: u64 = 101_000_000;

impl Player {
    pub(super) fn check(&mut self) -> Result<(), Violation> {
        let has_faults = with(|world| !world.faults.injected().is_empty());
        self.note_faults();
        self.check_closings(has_faults)?;
        self.check_descriptors()?;
        self.check_references()?;
        with(|world| world.violation.take()).map_or(Ok(()), Err)
    }

    /// Takes note of what the faults of this step excuse.
    fn note_faults(&mut self) {
        let now = with(|world| world.now());
        for fault in with(|world| world.faults.take_injected()) {
            for index in 0..self.sources.len() {
                if self.fd(index) != Some(fault.fd) {
                    continue;
                }
                let source = &mut self.sources[index];
                let is_lack = matches!(fault.errno, Errno::NOBUFS | Errno::NOMEM);
                match fault.call {
                    Call::Receive | Call::Send if is_lack => {
                        source.backs_off_until = now + BACK_OFF;
                    }
                    Call::Accept | Call::EpollModify => source.backs_off_until = now + BACK_OFF,
                    Call::EpollDelete => source.has_ghost = true,
                    Call::Receive
                    | Call::Send
                    | Call::Shutdown
                    | Call::GetOption
                    | Call::RemoteAddress
                    | Call::SetOption => source.is_broken = true,
                    _ => {}
                }
            }
        }
    }

    /// What was accepted was sent before a graceful close, and FIN ends it.
    fn check_closings(&mut self, has_faults: bool) -> Result<(), Violation> {
        for closing in with(|world| std::mem::take(&mut world.closings)) {
            let Some(at) = self.farewells.iter().position(|it| it.stream == closing.stream) else {
                continue;
            };
            let farewell = self.farewells.swap_remove(at);
            if !farewell.is_graceful || !closing.is_sound {
                continue;
            }
            let Closing { sent, unread, resets, stream, .. } = closing;
            if sent != farewell.taken {
                return Err(format!(
                    "stream {stream} is closed with {sent} of {} bytes sent",
                    farewell.taken
                ));
            }
            if !has_faults && (unread > 0 || resets) {
                return Err(format!(
                    "stream {stream} is closed by RST, with {unread} bytes unread"
                ));
            }
        }
        Ok(())
    }

    /// Each open descriptor belongs to something.
    fn check_descriptors(&mut self) -> Result<(), Violation> {
        let open = with(|world| world.open_descriptors(Process::Program).len());
        let known = (0..self.sources.len()).filter(|index| self.fd(*index).is_some()).count();
        // The epoll descriptor of a multiplexer, and its timer.
        let expected = known + 2 * self.multiplexers.len() + self.loose.len();
        if open == expected {
            Ok(())
        } else {
            Err(format!("{open} descriptors, of which {expected} are known"))
        }
    }

    /// Queued output keeps the process alive, and nothing else.
    fn check_references(&mut self) -> Result<(), Violation> {
        if self.sources.iter().any(|source| source.was_corked) {
            return Ok(());
        }
        for index in 0..self.multiplexers.len() {
            let handle = self.multiplexers[index].handle;
            let has_output = (0..self.sources.len())
                .any(|source| self.sources[source].is_of(handle.raw()) && self.queued(source) > 0);
            if self.registry.is_referenced(handle) != has_output {
                return Err(format!(
                    "output is queued: {has_output}, and the multiplexer says otherwise"
                ));
            }
        }
        if self.registry.has_reference_changes() {
            self.registry.take_reference_changes();
        }
        Ok(())
    }

    /// The sources that a wait has to report.
    pub(super) fn owed_by(&mut self, multiplexer: i32) -> Vec<i32> {
        let mut owed = Vec::new();
        for index in 0..self.sources.len() {
            let flags = self.flags(index);
            if self.sources[index].is_of(multiplexer) && self.is_owed(index, flags) {
                owed.push(self.sources[index].handle.raw());
            }
        }
        owed
    }

    /// Nothing was owed when a wait went to sleep.
    pub(super) fn check_sleep(
        &mut self,
        multiplexer: i32,
        events: &[Event],
    ) -> Result<(), Violation> {
        let Some(polled) = with(|world| world.asleep.take()) else { return Ok(()) };
        self.note_faults_of_wait();
        for index in 0..self.sources.len() {
            if !self.sources[index].is_of(multiplexer) {
                continue;
            }
            let Some(fd) = self.fd(index) else { continue };
            let flags =
                polled.iter().find(|(other, _)| *other == fd).map_or(0, |(_, flags)| *flags);
            let handle = self.sources[index].handle;
            // What is reported was not there yet when the wait went to sleep.
            if events.iter().any(|event| event.handle == handle) {
                continue;
            }
            if self.is_owed(index, flags) {
                return Err(format!(
                    "lost wake-up: a wait sleeps, and source {} is {flags:#x}",
                    handle.raw()
                ));
            }
            if self.is_stuck(index, flags) {
                return Err(format!(
                    "stuck: a wait sleeps, and {} can send its queue",
                    handle.raw()
                ));
            }
        }
        Ok(())
    }

    fn note_faults_of_wait(&mut self) {
        // They stay for the check at the end of the step.
        let injected = with(|world| world.faults.injected().to_vec());
        let now = with(|world| world.now());
        for fault in injected {
            for index in 0..self.sources.len() {
                let is_lack = matches!(fault.errno, Errno::NOBUFS | Errno::NOMEM);
                let backs_off = is_lack || matches!(fault.call, Call::Accept | Call::EpollModify);
                if self.fd(index) == Some(fault.fd) && backs_off {
                    self.sources[index].backs_off_until = now + BACK_OFF;
                }
            }
        }
    }

    /// Whether the multiplexer has to report a source of which poll(2) says `is`.
    fn is_owed(&mut self, index: usize, is: u32) -> bool {
        let now = with(|world| world.now());
        let source = &self.sources[index];
        let Some(registration) = source.registration else { return false };
        if registration.disabled || source.closing || now < source.backs_off_until {
            return false;
        }
        let interest = registration.interest;
        match source.kind {
            Kind::Listener => interest.read && is & flags::IN != 0,
            Kind::Foreign { is_open, .. } => {
                is_open
                    && (interest.read
                        && is & (flags::IN | flags::RDHUP | flags::HUP | flags::ERR) != 0
                        || interest.write && registration.owes_writable && is & flags::OUT != 0)
            }
            Kind::Socket => self.socket_is_owed(index, is),
        }
    }

    fn socket_is_owed(&mut self, index: usize, is: u32) -> bool {
        let (failure, unread, queued) =
            (self.failure(index), self.unread_length(index), self.queued(index));
        let source = &self.sources[index];
        let Some(registration) = source.registration else { return false };
        let has_input = failure.is_some() || unread > 0 || source.read_shut || is & flags::IN != 0;
        let reads = registration.interest.read && !source.read_done && has_input;
        let writes = registration.interest.write
            && (registration.owes_writable || registration.mode == Mode::Level)
            && !source.write_shut
            && queued == 0
            && failure.is_none()
            && is & (flags::OUT | flags::HUP | flags::ERR) == flags::OUT;
        reads && self.is_begun(index) || writes && self.is_begun(index)
    }

    /// Whether a connection stands, or stood.
    fn is_begun(&self, index: usize) -> bool {
        let Some(fd) = self.fd(index) else { return true };
        with(|world| world.socket_of(fd).is_ok_and(Socket::has_begun))
    }

    /// Whether a registered socket could send what is queued.
    fn is_stuck(&mut self, index: usize, is: u32) -> bool {
        let now = with(|world| world.now());
        let queued = self.queued(index);
        let source = &self.sources[index];
        let waits = now < source.backs_off_until || source.was_corked;
        source.is_socket() && queued > 0 && !waits && is & flags::OUT != 0 && self.is_begun(index)
    }
}
