//! `pipe(7)`.

use std::collections::VecDeque;

use super::file::{FileId, Kind};
use super::{ALL, Process, World};
use crate::kernel::{Errno, flags};

/// The size of a page, and the most bytes that a slot takes.
pub(super) const PAGE: usize = 4096;

/// The slots of a new pipe: `PIPE_DEF_BUFFERS`.
const SLOTS: usize = 16;

/// The largest pipe of a user without privileges: `/proc/sys/fs/pipe-max-size`.
const MOST_BYTES: usize = 1 << 20;

/// Bytes in a pipe, `struct pipe_buffer`: those of a stream from a position on, or any that were written.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) origin: Option<(u32, u64)>,
    pub(super) length: usize,
}

/// One end of a pipe. What is in it is kept at the reading end, while that is open.
pub(crate) struct PipeEnd {
    pub(super) is_writer: bool,
    /// `None` once the other end is closed.
    pub(super) other: Option<FileId>,
    pub(super) slots: VecDeque<Slot>,
    pub(super) most_slots: usize,
}

impl PipeEnd {
    fn free_slots(&self) -> usize {
        self.most_slots.saturating_sub(self.slots.len())
    }

    /// Removes bytes. Returns whether a slot is free again.
    pub(super) fn consume(&mut self, mut count: usize) -> bool {
        let before = self.slots.len();
        while let Some(slot) = self.slots.front_mut() {
            if slot.length > count {
                slot.length -= count;
                slot.origin = slot.origin.map(|(stream, at)| (stream, at + count as u64));
                break;
            }
            count -= slot.length;
            self.slots.pop_front();
        }
        self.slots.len() < before
    }
}

impl World {
    /// `pipe2(2)`: the reading end and the writing end.
    pub(crate) fn pipe(&mut self) -> (FileId, FileId) {
        let end = |is_writer| {
            let (slots, most_slots) = (VecDeque::new(), SLOTS);
            Kind::Pipe(PipeEnd { is_writer, other: None, slots, most_slots })
        };
        let (reader, writer) = (self.insert(end(false)), self.insert(end(true)));
        for (file, other) in [(reader, writer), (writer, reader)] {
            if let Some(end) = self.pipe_end_mut(file) {
                end.other = Some(other);
            }
        }
        (reader, writer)
    }

    /// `write(2)` to a pipe.
    pub(crate) fn write_pipe(&mut self, writer: FileId, length: usize) -> Result<usize, Errno> {
        let reader = self.pipe_end(writer).and_then(|end| end.other).ok_or(Errno::PIPE)?;
        let end = self.pipe_end_mut(reader).ok_or(Errno::PIPE)?;
        let mut left = length;
        // `pipe_write` in `fs/pipe.c` adds to the last page that was written to.
        if let Some(slot) = end.slots.back_mut().filter(|slot| slot.origin.is_none()) {
            let count = left.min(PAGE - slot.length);
            slot.length += count;
            left -= count;
        }
        while left > 0 && end.free_slots() > 0 {
            let length = left.min(PAGE);
            end.slots.push_back(Slot { origin: None, length });
            left -= length;
        }
        if left == length {
            return Err(Errno::AGAIN);
        }
        self.wake(reader, flags::IN);
        Ok(length - left)
    }

    /// `read(2)` from a pipe: 0 once the writing end is closed.
    pub(crate) fn read_pipe(&mut self, reader: FileId, length: usize) -> Result<usize, Errno> {
        let end = self.pipe_end_mut(reader).ok_or(Errno::BADF)?;
        let count = length.min(end.slots.iter().map(|slot| slot.length).sum());
        let (was_full, writer) = (end.free_slots() == 0, end.other);
        let frees = end.consume(count);
        if count == 0 {
            return if writer.is_some() { Err(Errno::AGAIN) } else { Ok(0) };
        }
        if let Some(writer) = writer.filter(|_| was_full && frees) {
            self.wake(writer, flags::OUT);
        }
        Ok(count)
    }

    /// `pipe_set_size` in `fs/pipe.c`. The program is taken for one without privileges.
    pub(super) fn resize_pipe(&mut self, file: FileId, bytes: usize) -> Result<usize, Errno> {
        let size = bytes.max(PAGE).checked_next_power_of_two().ok_or(Errno::INVAL)?;
        let slots = size / PAGE;
        let keeper = self.keeper(file).ok_or(Errno::BADF)?;
        let end = self.pipe_end_mut(keeper).ok_or(Errno::BADF)?;
        if slots > end.most_slots && size > MOST_BYTES {
            return Err(Errno::PERM);
        }
        if slots < end.slots.len() {
            return Err(Errno::from_raw(libc::EBUSY).unwrap_or(Errno::INVAL));
        }
        end.most_slots = slots;
        if let Some(writer) = if end.is_writer { Some(keeper) } else { end.other } {
            self.wake(writer, ALL);
        }
        Ok(size)
    }

    /// The end at which the bytes of a pipe are kept.
    fn keeper(&self, file: FileId) -> Option<FileId> {
        let end = self.pipe_end(file)?;
        Some(end.other.filter(|_| end.is_writer).unwrap_or(file))
    }

    /// The pipes of which a process has both ends, each as the bytes in it by their streams.
    pub(crate) fn own_pipes(&self, process: Process) -> Vec<Vec<(u32, u64)>> {
        let table = &self.tables[process as usize];
        let ends = table.iter().flatten().filter_map(|file| self.pipe_end(*file));
        let readers = ends.filter(|end| {
            !end.is_writer && end.other.is_some_and(|writer| table.contains(&Some(writer)))
        });
        let source =
            |slot: &Slot| (slot.origin.map_or(0, |(stream, _)| stream), slot.length as u64);
        readers.map(|end| end.slots.iter().map(source).collect()).collect()
    }

    /// Something happens to an eventfd, or to the pipe of a reading end.
    pub(crate) fn stir(&mut self, file: FileId) {
        self.signal(file, 1);
        if let Some(writer) = self.pipe_end(file).and_then(|end| end.other) {
            let _ = self.write_pipe(writer, 10);
        }
    }

    pub(super) fn pipe_end(&self, file: FileId) -> Option<&PipeEnd> {
        match self.files.get(file)?.as_ref().map(|file| &file.kind) {
            Some(Kind::Pipe(end)) => Some(end),
            _ => None,
        }
    }

    pub(super) fn pipe_end_mut(&mut self, file: FileId) -> Option<&mut PipeEnd> {
        match self.kind_mut(file) {
            Some(Kind::Pipe(end)) => Some(end),
            _ => None,
        }
    }

    /// The free slots of the pipe of a writing end; `None` once the reading end is closed.
    pub(super) fn room_in_pipe(&self, writer: FileId) -> Option<usize> {
        self.pipe_end(self.pipe_end(writer)?.other?).map(PipeEnd::free_slots)
    }

    pub(crate) fn is_writing_end(&self, file: FileId) -> bool {
        self.pipe_end(file).is_some_and(|end| end.is_writer)
    }

    /// `pipe_poll` in `fs/pipe.c`.
    pub(super) fn pipe_flags(&self, file: FileId) -> u32 {
        let Some(end) = self.pipe_end(file) else { return 0 };
        let keeper = self.keeper(file).and_then(|keeper| self.pipe_end(keeper));
        let writable = when(flags::OUT, keeper.is_some_and(|end| end.free_slots() > 0));
        match (end.is_writer, end.other) {
            (true, other) => writable | when(flags::ERR, other.is_none()),
            (false, other) => {
                when(flags::IN, !end.slots.is_empty()) | when(flags::HUP, other.is_none())
            }
        }
    }

    pub(super) fn close_pipe(&mut self, file: FileId) {
        let Some(end) = self.pipe_end_mut(file) else { return };
        let Some(other) = end.other else { return };
        let (is_reader, slots, most) =
            (!end.is_writer, std::mem::take(&mut end.slots), end.most_slots);
        if let Some(end) = self.pipe_end_mut(other) {
            end.other = None;
            if is_reader {
                (end.slots, end.most_slots) = (slots, most);
            }
        }
        self.wake(other, ALL);
    }
}

pub(super) fn when(flags: u32, is_so: bool) -> u32 {
    if is_so { flags } else { 0 }
}
