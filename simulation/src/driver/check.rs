//! What has to hold after every step: the books.

use super::book::Source;
use super::player::{Player, Violation, with};
use crate::kernel::{Errno, is_of_file};
use crate::world::{Call, Closing, Process};

/// How long a source in back-off is left alone, in nanoseconds, with the rounding of a wait.
pub(super) const BACK_OFF: u64 = 101_000_000;

impl Player {
    pub(super) fn check(&mut self) -> Result<(), Violation> {
        let has_faults = with(|world| !world.faults.injected().is_empty());
        self.note_faults_of_wait();
        self.note_faults();
        self.check_closings(has_faults)?;
        self.check_descriptors()?;
        self.check_references()?;
        self.check_lists()?;
        self.check_relays()?;
        self.check_files()?;
        for index in 0..self.sources.len() {
            self.check_socket(index)?;
        }
        with(|world| world.violation.take()).map_or(Ok(()), Err)
    }

    /// Takes note of what the faults of this step excuse.
    fn note_faults(&mut self) {
        let now = with(|world| world.now());
        for fault in with(|world| world.faults.take_injected()) {
            self.has_ghosts |= fault.call == Call::EpollDelete;
            for index in 0..self.sources.len() {
                if self.fd(index) != Some(fault.fd) {
                    continue;
                }
                let source = &mut self.sources[index];
                source.cannot_reset |= fault.call == Call::SetOption;
                source.cannot_end |= fault.call == Call::Shutdown;
                let is_lack = matches!(fault.errno, Errno::NOBUFS | Errno::NOMEM);
                match fault.call {
                    Call::Receive
                    | Call::Send
                    | Call::SendDescriptors
                    | Call::ReceiveDescriptors
                    | Call::SendFile
                    | Call::Splice
                        if is_lack =>
                    {
                        source.backs_off_until = now + BACK_OFF;
                    }
                    // The error is of the descriptors, or of the file.
                    Call::SendDescriptors if !fault.errno.is_of_connection() => {}
                    Call::SendFile if is_of_file(fault.errno) => {}
                    Call::Accept | Call::EpollModify => source.backs_off_until = now + BACK_OFF,
                    Call::EpollDelete => source.has_ghost = true,
                    // It says that the number is another descriptor by now.
                    Call::EpollAdd => source.is_broken |= source.is_foreign(),
                    Call::Receive
                    | Call::Send
                    | Call::SendFile
                    | Call::SendDescriptors
                    | Call::ReceiveDescriptors
                    | Call::Splice
                    | Call::Shutdown
                    | Call::GetOption
                    | Call::LocalAddress
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
            let Some(at) = self.departures.iter().position(|it| it.stream == closing.stream) else {
                continue;
            };
            let departure = self.departures.swap_remove(at);
            let Closing { sent, unread, resets, stream, .. } = closing;
            let has_fin = closing.is_sound && closing.has_tcp && !resets && !has_faults;
            if departure.has_lost && has_fin {
                let taken = departure.taken;
                if sent < taken {
                    return Err(format!(
                        "stream {stream} ends by FIN after {sent} of {taken} bytes"
                    ));
                }
            }
            if !departure.is_graceful || !closing.is_sound {
                continue;
            }
            if sent != departure.taken {
                return Err(format!(
                    "stream {stream} is closed with {sent} of {} bytes sent",
                    departure.taken
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
        let pipes = with(|world| world.own_pipes(Process::Program).len());
        let files = with(|world| world.descriptors_of_transfers());
        let expected = known + 2 * self.multiplexers.len() + self.loose.len() + 2 * pipes + files;
        if open == expected {
            Ok(())
        } else {
            Err(format!("{open} descriptors, of which {expected} are known"))
        }
    }

    /// Queued output keeps the process alive, and nothing else.
    fn check_references(&mut self) -> Result<(), Violation> {
        let is_unclear = |source: &Source| source.was_corked || source.may_have_left();
        if self.has_empty_file(None) || self.sources.iter().any(is_unclear) {
            return Ok(());
        }
        for index in 0..self.multiplexers.len() {
            let handle = self.multiplexers[index].handle;
            let has_output =
                (0..self.sources.len()).any(|source| self.counts_output(source, handle.raw()));
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

    /// Whether a source keeps a multiplexer referenced: a relay does that for as long as it is one.
    fn counts_output(&mut self, index: usize, multiplexer: i32) -> bool {
        let source = &self.sources[index];
        source.relayed.is_none() && source.is_of(multiplexer) && self.unsent(index) > 0
    }

    /// FIN comes after the queue, and the first failure of a socket is the one that is kept.
    fn check_socket(&mut self, index: usize) -> Result<(), Violation> {
        let source = &self.sources[index];
        // A close that was completed, and is not reported yet.
        if !source.is_socket() || self.registry.any_socket(source.handle).is_err() {
            return Ok(());
        }
        let (failure, queued) = (self.failure(index), self.unsent(index));
        self.sources[index].send_failed = self.send_failed(index);
        let source = &mut self.sources[index];
        if source.first_failure.is_some() && failure != source.first_failure {
            return Err(format!("{:?} has become {failure:?}", source.first_failure));
        }
        source.first_failure = failure;
        let Some(fd) = self.fd(index) else { return Ok(()) };
        let has_ended =
            with(|world| world.socket_of(fd).is_ok_and(|it| it.has_tcp() && it.has_ended()));
        if has_ended && queued > 0 && failure.is_none() {
            return Err(format!("FIN is sent, and {queued} bytes are queued"));
        }
        Ok(())
    }

    /// What epoll watches is what is registered, and the timer.
    fn check_lists(&mut self) -> Result<(), Violation> {
        // What stays registered is not known where `EPOLL_CTL_DEL` has failed, nor of duplicates of a closed descriptor.
        if self.has_ghosts {
            return Ok(());
        }
        for index in 0..self.multiplexers.len() {
            let (handle, fd) = (self.multiplexers[index].handle.raw(), self.multiplexers[index].fd);
            let watched = with(|world| {
                world.file(Process::Program, fd).map(|file| world.registrations(file).len())
            });
            let registered = (0..self.sources.len())
                .filter(|it| self.sources[*it].is_of(handle) && self.fd(*it).is_some());
            let expected = registered.count() + 1;
            // A source that has left by itself is not reported yet.
            let relay_is_over = (0..self.sources.len()).any(|it| self.is_over_unreported(it));
            let may_have_left = relay_is_over || self.sources.iter().any(Source::may_have_left);
            if watched != Ok(expected) && !may_have_left {
                return Err(format!(
                    "epoll watches {watched:?} descriptors, and {expected} are registered"
                ));
            }
        }
        Ok(())
    }
}
