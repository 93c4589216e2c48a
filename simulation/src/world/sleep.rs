//! Calls that block: the world goes on meanwhile.

use super::file::FileId;
use super::{Process, World};
use crate::kernel::Errno;

/// How often a program may wait without limit in one step, before another thread of it ends that: a timer may wake it every
/// time.
const MOST_WAITS: u32 = 50;

impl World {
    /// `epoll_wait(2)`, with a limit of time in nanoseconds: `None` for none.
    pub(super) fn wait_for_events(
        &mut self,
        epoll: FileId,
        most: usize,
        limit: Option<u64>,
    ) -> Result<Vec<(u32, u64)>, Errno> {
        let deadline = limit.map(|limit| self.now + limit);
        if limit.is_none() {
            self.waits_without_limit += 1;
        }
        if self.waits_without_limit > MOST_WAITS && self.rescue.is_some() {
            self.rescue()?;
        }
        loop {
            let events = self.collect(epoll, most);
            if !events.is_empty() || deadline.is_some_and(|deadline| self.now >= deadline) {
                return Ok(events);
            }
            self.sleep(deadline)?;
        }
    }

    /// `poll(2)` of one descriptor: blocks until it has one of the flags.
    pub(super) fn wait_for_flags(
        &mut self,
        file: FileId,
        flags: u32,
        limit: Option<u64>,
    ) -> Result<u32, Errno> {
        let deadline = limit.map(|limit| self.now + limit);
        loop {
            let is = self.polled(file) & flags;
            if is != 0 || deadline.is_some_and(|deadline| self.now >= deadline) {
                return Ok(is);
            }
            self.sleep(deadline)?;
        }
    }

    /// One thing happens: the network delivers, or else the time comes to the next timer, or to the deadline.
    fn sleep(&mut self, deadline: Option<u64>) -> Result<(), Errno> {
        if self.deliver_something() {
            return Ok(());
        }
        self.asleep = Some(self.flags_of_all());
        self.transfers_asleep = self.transfers_to_note();
        match (self.next_timer(), deadline) {
            (Some(timer), Some(deadline)) => self.advance_to(timer.min(deadline)),
            (Some(time), None) | (None, Some(time)) => self.advance_to(time),
            (None, None) => self.rescue()?,
        }
        Ok(())
    }

    fn deliver_something(&mut self) -> bool {
        let count = self.in_flight();
        let first = self.luck.below(count);
        (0..count).any(|index| self.deliver_from((first + index) % count, usize::MAX))
    }

    fn advance_to(&mut self, time: u64) {
        self.advance(time.saturating_sub(self.now));
    }

    /// Nothing will happen any more: ends the wait, as another thread of the program would.
    fn rescue(&mut self) -> Result<(), Errno> {
        let deadlock = || Errno::from_raw(libc::EDEADLK).unwrap_or(Errno::INTR);
        let file = self.rescue.take().ok_or_else(deadlock)?;
        self.waits_without_limit = 0;
        self.signal(file, 1);
        Ok(())
    }

    /// What poll(2) says of each descriptor of the program.
    pub(crate) fn flags_of_all(&self) -> Vec<(i32, u32)> {
        let open = self.open_descriptors(Process::Program);
        open.into_iter()
            .map(|fd| (fd, self.file(Process::Program, fd).map_or(0, |file| self.flags_of(file))))
            .collect()
    }
}
