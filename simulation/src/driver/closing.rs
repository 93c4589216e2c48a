//! How halves and sources end.

use super::book::Kind;
use super::player::{Player, Violation, with};
use super::relay_end::READ_ENDED;
use super::transfer::MOST_BYTES;
use crate::kernel::{Errno, Shutdown};
use crate::world::Process;

const HOWS: [Shutdown; 3] = [Shutdown::Write, Shutdown::Read, Shutdown::Both];

impl Player {
    /// Writes without queueing.
    pub(super) fn try_write(&mut self, number: usize, size: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let bytes = self.bytes_to_send(index, 0, size % MOST_BYTES);
        let (limit, before) = (self.limit(index), self.queued(index));
        let handle = self.sources[index].handle;
        let result = self.registry.with_socket(handle, |socket| socket.try_write(&bytes));
        with(|world| world.note(|| format!("  try-write of {} = {result:?}", bytes.len())));
        let count = result.unwrap_or(0);
        let source = &mut self.sources[index];
        source.taken += count as u64;
        source.is_corked = false;
        let after = self.queued(index);
        if after > before || count > 0 && after > 0 {
            return Err(format!("a write without a queue has {after} queued, of {before}"));
        }
        if self.limit(index) != limit {
            return Err("a write without a queue changes its limit".to_owned());
        }
        self.check_totals(index)
    }

    /// Sends or queues all bytes, and ends the writing half.
    pub(super) fn end_half(&mut self, number: usize, size: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let bytes = self.bytes_to_send(index, 0, size % MOST_BYTES);
        let limit = self.limit(index);
        let handle = self.sources[index].handle;
        let result = self.registry.end(handle, &bytes);
        with(|world| world.note(|| format!("  end of {} = {result:?}", bytes.len())));
        let failed = self.failure(index).is_some();
        if matches!(result, Ok((_, Ok(())))) {
            self.note_end(index);
        }
        let source = &mut self.sources[index];
        source.is_corked = false;
        match result {
            Ok((_, shutdown)) => {
                source.taken += bytes.len() as u64;
                source.write_shut |= shutdown.is_ok();
                source.is_broken |= failed || shutdown.is_err();
            }
            Err(Errno::ALREADY) if source.write_shut || source.is_broken || failed => {}
            Err(Errno::ALREADY) => return Err("a half that is open has ended before".to_owned()),
            Err(_) => source.is_broken = true,
        }
        if self.limit(index) != limit {
            return Err("an end changes the limit of the queue".to_owned());
        }
        self.check_totals(index)
    }

    pub(super) fn shutdown(&mut self, number: usize, how: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let how = HOWS[how % HOWS.len()];
        let handle = self.sources[index].handle;
        let result = self.registry.shutdown(handle, how);
        let failed = self.failure(index).is_some();
        let ends = self.registry.state_bits(handle).unwrap_or(0);
        if how != Shutdown::Read && result.is_ok() {
            self.note_end(index);
        }
        let source = &mut self.sources[index];
        source.is_corked = false;
        // The reading half comes first, and stays shut where the other one fails.
        let is_read_shut = result.is_ok() || ends & READ_ENDED != 0;
        source.read_shut |= how != Shutdown::Write && is_read_shut;
        source.write_shut |= how != Shutdown::Read && result.is_ok();
        source.is_broken |= failed || result.is_err();
        Ok(())
    }

    /// The writing half ends now, or behind a queue.
    fn note_end(&mut self, index: usize) {
        let has_queue = self.unsent(index) > 0;
        let may_have_one = has_queue || self.has_empty_file(Some(index));
        let source = &mut self.sources[index];
        source.awaits_drain |= has_queue && !source.write_shut;
        source.may_await_drain |= may_have_one && !source.write_shut;
    }

    pub(super) fn close(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| !it.closing && it.relayed.is_none()) else {
            return Ok(());
        };
        self.close_source(index)
    }

    pub(super) fn close_source(&mut self, index: usize) -> Result<(), Violation> {
        let has_failed = self.failure(index).is_some();
        let source = &mut self.sources[index];
        source.is_broken |= has_failed;
        let handle = source.handle;
        self.own_addresses.retain(|(own, _)| *own != handle);
        let was_registered = source.registration.is_some();
        let may_have_left = source.may_have_left();
        let result = self.registry.close(handle).map(|result| result as i32);
        with(|world| world.note(|| format!("  close = {result:?}")));
        match result {
            Ok(0) => {
                if let Kind::Foreign { fd, is_open: true, .. } = self.sources[index].kind {
                    self.loose.insert(fd);
                }
                self.remove_source(index, true);
            }
            Ok(how) => {
                self.sources[index].closing = true;
                self.sources[index].was_corked = false;
                // What has left, and was not reported, is registered again by the next wait if it has a queue.
                let returns = how == 2 && may_have_left;
                if !returns && (how == 1) != was_registered {
                    return Err("a close is wrong about the registration".to_owned());
                }
            }
            Err(errno) => {
                self.check_reason(index, errno)?;
                self.remove_source(index, false);
            }
        }
        Ok(())
    }

    pub(super) fn reset(&mut self, number: usize) -> Result<(), Violation> {
        self.choose_socket(number).map_or(Ok(()), |index| self.reset_source(index))
    }

    pub(super) fn reset_source(&mut self, index: usize) -> Result<(), Violation> {
        let (handle, stream) = (self.sources[index].handle, self.sources[index].stream);
        // A connect that has failed, as SO_ERROR could not be read, made no connection for the program.
        let was_open = self.fd(index).is_some() && self.failure(index).is_none();
        self.remove_source(index, false);
        self.registry.reset(handle).map_err(|errno| format!("reset: {errno:?}"))?;
        let has_faults = with(|world| !world.faults.injected().is_empty());
        let closed = with(|world| {
            let closing = world.closings.iter().rfind(|it| it.stream == stream);
            closing.map(|closing| closing.resets || !closing.is_sound)
        });
        match closed {
            Some(false) if was_open && !has_faults => Err("a reset is no reset".to_owned()),
            _ => Ok(()),
        }
    }

    pub(super) fn discard(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let failed = self.failure(index).is_some();
        let (queued, source) = (self.queued(index), &self.sources[index]);
        let (handle, stream, taken) = (source.handle, source.stream, source.taken);
        let is_sent =
            !failed && !source.is_broken && source.is_corked && self.has_room_for(index, queued);
        self.remove_source(index, false);
        self.registry.discard(handle).map_err(|errno| format!("discard: {errno:?}"))?;
        let has_faults = with(|world| !world.faults.injected().is_empty());
        let closed =
            with(|world| world.closings.iter().rfind(|it| it.stream == stream).map(|it| it.sent));
        if is_sent && !has_faults && closed != Some(taken) {
            return Err(format!("corked bytes are lost: {closed:?} of {taken} are sent"));
        }
        Ok(())
    }

    /// Whether the kernel takes so many bytes of a socket for certain.
    fn has_room_for(&self, index: usize, count: usize) -> bool {
        let Some(fd) = self.fd(index) else { return false };
        with(|world| {
            let room = world.file(Process::Program, fd).map(|file| world.room_of(file));
            world.luck.is_none() && room.is_ok_and(|room| room >= count)
        })
    }
}
