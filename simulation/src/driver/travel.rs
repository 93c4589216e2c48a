//! A socket leaves its registry with all that it has, and comes back.

use super::player::{Player, Violation, with};
use crate::core::Socket;
use crate::kernel::Errno;

impl Player {
    /// Takes a socket out of the registry, and in again: its handle is another one, and nothing is lost.
    pub(super) fn travel(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose_socket(number) else { return Ok(()) };
        let handle = self.sources[index].handle;
        let (before, had_failed) = (self.belongings(index), self.failure(index).is_some());
        let was_corked = self.sources[index].is_corked || self.sources[index].was_corked;
        let socket = match self.registry.take_out(handle) {
            Ok(socket) => socket,
            Err(Errno::BUSY) if self.sends_files(index) => return Ok(()),
            Err(errno) => return self.check_reason(index, errno),
        };
        self.gone.push(handle);
        let returned = self.registry.take_in(socket).map_err(|it| format!("take_in: {it:?}"))?;
        with(|world| world.note(|| format!("  {} is {}", handle.raw(), returned.raw())));
        if self.find(returned.raw()).is_some() {
            return Err(format!("handle {} is given twice", returned.raw()));
        }
        let source = &mut self.sources[index];
        source.handle = returned;
        source.registration = None;
        source.left.clear();
        (source.is_corked, source.was_corked) = (false, false);
        // Nothing has been reported to the new owner.
        (source.read_done, source.has_ended) = (false, false);
        (source.failure_reported, source.bare_errors) = (false, 0);
        source.backs_off_until = 0;
        let after = self.belongings(index);
        let may_have_sent = was_corked || self.failure(index).is_some() != had_failed;
        if may_have_sent || after == before {
            Ok(())
        } else {
            Err(format!("it had {before:?}, and has {after:?}"))
        }
    }

    fn sends_files(&mut self, index: usize) -> bool {
        self.unsent(index) > self.queued(index) || self.has_empty_file(Some(index))
    }

    /// What is unread and queued, the limit of the queue, and the counters.
    fn belongings(&mut self, index: usize) -> (usize, usize, usize, (u64, u64)) {
        let handle = self.sources[index].handle;
        let of = |it: &mut Socket| {
            (it.unread_length(), it.queue_length(), it.queue_limit(), it.totals())
        };
        self.registry.any_socket(handle).map(of).unwrap_or_default()
    }
}
