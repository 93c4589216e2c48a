//! What a wait has to report, and whether it sleeps on it.

use super::book::Kind;
use super::check::BACK_OFF;
use super::player::{Player, Violation, with};
use crate::core::{Event, Interest, Mode};
use crate::kernel::{Errno, flags};
use crate::world::{Call, Socket};

impl Player {
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
        self.check_sleep_of_relays(multiplexer, &polled, events)?;
        self.check_sleep_of_files(multiplexer, events)?;
        for index in 0..self.sources.len() {
            if !self.sources[index].is_of(multiplexer) || self.sources[index].relayed.is_some() {
                continue;
            }
            // A failed connect has no descriptor, and a failure to report.
            let fd = self.fd(index);
            let flags =
                polled.iter().find(|(other, _)| Some(*other) == fd).map_or(0, |(_, flags)| *flags);
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
            if self.stays_for_nothing(index) {
                return Err(format!(
                    "a wait sleeps, and {} has been flushed and stays",
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

    pub(super) fn note_faults_of_wait(&mut self) {
        // They stay for the check at the end of the step.
        let injected = with(|world| world.faults.injected().to_vec());
        let now = with(|world| world.now());
        for fault in injected {
            for index in 0..self.sources.len() {
                let is_lack = matches!(fault.errno, Errno::NOBUFS | Errno::NOMEM);
                let backs_off = is_lack || matches!(fault.call, Call::Accept | Call::EpollModify);
                if self.fd(index) != Some(fault.fd) {
                    continue;
                }
                let source = &mut self.sources[index];
                if backs_off {
                    source.backs_off_until = now + BACK_OFF;
                }
                source.is_broken |= fault.call == Call::EpollAdd && source.is_foreign();
                source.cannot_end |= fault.call == Call::Shutdown;
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
            Kind::Listener => {
                let is_full = registration.serving.is_some_and(|serving| serving.room == 0);
                interest.read && !is_full && is & flags::IN != 0
            }
            Kind::Foreign { is_open, .. } => {
                is_open
                    && !source.is_broken
                    && (interest.read
                        && is & (flags::IN | flags::RDHUP | flags::HUP | flags::ERR) != 0
                        || interest.write && registration.owes_writable && is & flags::OUT != 0)
            }
            Kind::Socket => self.socket_is_owed(index, is),
        }
    }

    fn socket_is_owed(&mut self, index: usize, is: u32) -> bool {
        let (failure, unread, queued) =
            (self.failure(index), self.unread_length(index), self.unsent(index));
        let source = &self.sources[index];
        let Some(registration) = source.registration else { return false };
        let has_input = failure.is_some() || unread > 0 || source.read_shut || is & flags::IN != 0;
        let reads = registration.interest.read && !source.read_done && has_input;
        let writes = registration.interest.write
            && (registration.owes_writable || registration.mode == Mode::Level)
            && (!source.write_shut || source.awaits_drain)
            && queued == 0
            && failure.is_none()
            && is & (flags::OUT | flags::HUP | flags::ERR) == flags::OUT;
        let alarm = failure.is_some()
            && !source.failure_reported
            && registration.interest != Interest::NONE;
        (reads || writes) && self.is_begun(index) || alarm
    }

    /// Whether a registration for a queue is left when the queue is sent.
    fn stays_for_nothing(&mut self, index: usize) -> bool {
        let queued = self.unsent(index);
        let source = &self.sources[index];
        let Some(registration) = source.registration else { return false };
        let is_flush_only = registration.interest == Interest::NONE && registration.had_output;
        let is_left = is_flush_only && queued == 0 && !source.read_shut && !source.closing;
        is_left && self.is_begun(index)
    }

    /// Whether a source has left its multiplexer with something to send, and could have stayed.
    pub(super) fn leaves_queue(&mut self, index: usize) -> bool {
        // `EPOLL_CTL_MOD` is for a registration that could not be deleted.
        let is_of_place = |call: Call| matches!(call, Call::EpollAdd | Call::EpollModify);
        let had_place =
            with(|world| world.faults.injected().iter().all(|fault| !is_of_place(fault.call)));
        had_place && !self.sources[index].was_corked && self.unsent(index) > 0
    }

    /// Whether a connection stands, or stood.
    pub(super) fn is_begun(&self, index: usize) -> bool {
        let Some(fd) = self.fd(index) else { return true };
        with(|world| world.socket_of(fd).is_ok_and(Socket::has_begun))
    }

    /// Whether a registered socket could send what is queued.
    fn is_stuck(&mut self, index: usize, is: u32) -> bool {
        let now = with(|world| world.now());
        let queued = self.unsent(index);
        let waits_for_disk = self.awaits_disk(index);
        let source = &self.sources[index];
        let waits = now < source.backs_off_until || source.was_corked || waits_for_disk;
        source.is_socket() && queued > 0 && !waits && is & flags::OUT != 0 && self.is_begun(index)
    }
}
