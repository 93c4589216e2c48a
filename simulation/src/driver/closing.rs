//! How sources end.

use super::book::Kind;
use super::player::{Player, Violation, with};
use crate::kernel::Shutdown;
use crate::world::Process;

const HOWS: [Shutdown; 3] = [Shutdown::Write, Shutdown::Read, Shutdown::Both];

impl Player {
    pub(super) fn shutdown(&mut self, number: usize, how: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let how = HOWS[how % HOWS.len()];
        let handle = self.sources[index].handle;
        let result = self.registry.shutdown(handle, how);
        let failed = self.failure(index).is_some();
        let source = &mut self.sources[index];
        source.is_corked = false;
        if result.is_ok() {
            source.read_shut |= how != Shutdown::Write;
            source.write_shut |= how != Shutdown::Read;
        }
        // An error of one half leaves open what became of the other one.
        source.is_broken |= failed || result.is_err();
        Ok(())
    }

    pub(super) fn close(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| !it.closing) else { return Ok(()) };
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
                let source = &mut self.sources[index];
                if how == 2 && may_have_left {
                    source.left.extend(source.registration.take().map(|it| it.multiplexer));
                } else if (how == 1) != was_registered {
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
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let handle = self.sources[index].handle;
        self.remove_source(index, false);
        self.registry.reset(handle).map_err(|errno| format!("reset: {errno:?}"))?;
        let has_faults = with(|world| !world.faults.injected().is_empty());
        match with(|world| world.closings.last().map(|closing| closing.resets || !closing.is_sound))
        {
            Some(false) if !has_faults => Err("a reset is no reset".to_owned()),
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
