//! `pipe(7)`.

use super::World;
use super::file::{FileId, Kind};
use crate::kernel::{Errno, flags};

/// The capacity of a pipe, in bytes.
const CAPACITY: usize = 4096;

/// One end of a pipe. The bytes are counted at the reading end.
#[derive(Clone, Copy)]
pub(crate) struct PipeEnd {
    pub(super) is_writer: bool,
    /// `None` once the other end is closed.
    pub(super) other: Option<FileId>,
    pub(super) bytes: usize,
}

impl World {
    /// `pipe2(2)`: the reading end and the writing end.
    pub(crate) fn pipe(&mut self) -> (FileId, FileId) {
        let end = |is_writer| Kind::Pipe(PipeEnd { is_writer, other: None, bytes: 0 });
        let (reader, writer) = (self.insert(end(false)), self.insert(end(true)));
        for (file, other) in [(reader, writer), (writer, reader)] {
            if let Some(end) = self.pipe_end(file) {
                end.other = Some(other);
            }
        }
        (reader, writer)
    }

    /// `write(2)` to a pipe.
    pub(crate) fn write_pipe(&mut self, writer: FileId, length: usize) -> Result<usize, Errno> {
        let reader = self.pipe_end(writer).and_then(|end| end.other).ok_or(Errno::PIPE)?;
        let end = self.pipe_end(reader).ok_or(Errno::PIPE)?;
        let count = length.min(CAPACITY - end.bytes);
        end.bytes += count;
        if count == 0 {
            return Err(Errno::AGAIN);
        }
        self.wake(reader, flags::IN);
        Ok(count)
    }

    /// `read(2)` from a pipe: 0 once the writing end is closed.
    pub(crate) fn read_pipe(&mut self, reader: FileId, length: usize) -> Result<usize, Errno> {
        let end = self.pipe_end(reader).ok_or(Errno::BADF)?;
        let (count, writer) = (length.min(end.bytes), end.other);
        end.bytes -= count;
        if count == 0 {
            return if writer.is_some() { Err(Errno::AGAIN) } else { Ok(0) };
        }
        if let Some(writer) = writer {
            self.wake(writer, flags::OUT);
        }
        Ok(count)
    }

    /// Something happens to an eventfd, or to the pipe of a reading end.
    pub(crate) fn stir(&mut self, file: FileId) {
        self.signal(file, 1);
        if let Some(writer) = self.pipe_end(file).and_then(|end| end.other) {
            let _ = self.write_pipe(writer, 10);
        }
    }

    pub(super) fn pipe_end(&mut self, file: FileId) -> Option<&mut PipeEnd> {
        match self.files.get_mut(file)?.as_mut().map(|file| &mut file.kind) {
            Some(Kind::Pipe(end)) => Some(end),
            _ => None,
        }
    }

    /// `pipe_poll` in `fs/pipe.c`.
    pub(super) fn pipe_flags(&self, end: PipeEnd) -> u32 {
        let bytes = |file: FileId| match self.files[file].as_ref().map(|file| &file.kind) {
            Some(Kind::Pipe(end)) => end.bytes,
            _ => 0,
        };
        match (end.is_writer, end.other) {
            (true, None) => flags::OUT | flags::ERR,
            (true, Some(reader)) if bytes(reader) < CAPACITY => flags::OUT,
            (true, Some(_)) => 0,
            (false, other) => {
                let readable = if end.bytes > 0 { flags::IN } else { 0 };
                readable | if other.is_none() { flags::HUP } else { 0 }
            }
        }
    }

    pub(super) fn close_pipe(&mut self, end: PipeEnd) {
        let Some(other) = end.other else { return };
        if let Some(end) = self.pipe_end(other) {
            end.other = None;
        }
        self.wake(other, super::ALL);
    }
}
