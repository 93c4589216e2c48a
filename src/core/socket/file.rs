//! Files that are sent: `sendfile(2)`, behind what is queued.

use std::ops::Range;

use super::pending_file::{FileOutcome, FilePart, FileProgress, PendingFile};
use super::{Socket, State};
use crate::sys::{self, AsFd, Errno, File, Instant};

/// What is sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// So many queued bytes.
    Queued(usize),
    /// So many bytes of the first file.
    OfFile(usize),
    Nothing,
}

impl Socket {
    /// Sends a part of a file, behind what is queued.
    ///
    /// # Errors
    /// ENOTCONN after a failed connect; EPIPE when nothing can be sent any more.
    pub(crate) fn send_file(
        &mut self,
        file: File,
        id: u32,
        range: Range<u64>,
    ) -> Result<(), Errno> {
        self.check_alive()?;
        if self.write_ended {
            return Err(Errno::PIPE);
        }
        let waits = self.must_queue();
        let queued = self.queue.len();
        let files = self.files.get_or_insert_default();
        let before = queued - files.pending.iter().map(|file| file.before).sum::<usize>();
        files.pending.push_back(PendingFile::new(file, id, before, range));
        if !waits {
            self.flush_turn();
        }
        Ok(())
    }

    /// Whether something is accepted that the kernel has not taken: queued bytes, corked ones too, or a file.
    pub(in crate::core) fn has_unsent(&self) -> bool {
        !self.queue.is_empty() || self.has_files()
    }

    /// Whether a file is to be sent.
    pub(super) fn has_files(&self) -> bool {
        self.files.as_ref().is_some_and(|files| !files.pending.is_empty())
    }

    /// The number of bytes that the kernel has not taken: queued ones, and those of files.
    pub(crate) fn unsent_length(&self) -> u64 {
        let files = self.files.as_ref();
        let of_files = files.map_or(0, |files| {
            files.pending.iter().map(|file| file.end - file.position).sum::<u64>()
        });
        self.queue.len() as u64 + of_files
    }

    /// Whether nothing can be sent before a part of a file has been brought into the page cache.
    pub(super) fn awaits_disk(&self) -> bool {
        let first = self.files.as_ref().and_then(|files| files.pending.front());
        first.is_some_and(|file| {
            file.before == 0 && file.loading.is_some() && file.ready == file.position
        })
    }

    /// What is sent next. Ends files of which nothing is left.
    pub(super) fn next_output(&mut self) -> Next {
        let queued = self.queue.len();
        let of_queue = if queued == 0 { Next::Nothing } else { Next::Queued(queued) };
        let Some(files) = &mut self.files else { return of_queue };
        files.end_sent();
        match files.pending.front_mut() {
            None => of_queue,
            Some(file) if file.before > 0 => Next::Queued(file.before),
            Some(file) => match file.sendable() {
                0 => Next::Nothing,
                count => Next::OfFile(count),
            },
        }
    }

    /// Queued bytes have been sent.
    pub(super) fn advance_queue(&mut self, count: usize) {
        self.queue.advance(count);
        if let Some(file) = self.files.as_mut().and_then(|files| files.pending.front_mut()) {
            file.before = file.before.saturating_sub(count);
        }
    }

    /// `sendfile(2)` of the next bytes of the first file, or its end, where there are no more.
    ///
    /// # Errors
    /// EAGAIN, ENOBUFS, ENOMEM; the error of the connection. An error of the file only ends the file.
    pub(super) fn send_of_file(&mut self, count: usize) -> Result<usize, Errno> {
        let (Some(fd), Some(files)) = (&self.fd, &mut self.files) else { return Ok(0) };
        let Some(file) = files.pending.front_mut() else { return Ok(0) };
        match file.send(fd.as_fd(), count) {
            // It has shrunk.
            Ok(0) => files.end_first(FileOutcome::Sent),
            Ok(count) => {
                file.position += count as u64;
                return Ok(count);
            }
            Err(errno @ (Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM)) => return Err(errno),
            Err(errno) if sys::is_of_file(errno) => files.end_first(FileOutcome::Unreadable(errno)),
            Err(errno) => return Err(errno),
        }
        Ok(0)
    }

    /// Drops all files.
    pub(super) fn drop_files(&mut self, outcome: FileOutcome) {
        let Some(files) = &mut self.files else { return };
        while !files.pending.is_empty() {
            files.end_first(outcome);
        }
    }

    /// Sends a file no more; what is queued behind it comes next. Returns the number of bytes that the kernel has taken.
    ///
    /// # Errors
    /// ENOENT when it has ended.
    pub(crate) fn cancel_file(&mut self, id: u32) -> Result<u64, Errno> {
        let files = self.files.as_mut().ok_or(Errno::NOENT)?;
        let index = files.pending.iter().position(|file| file.id == id).ok_or(Errno::NOENT)?;
        let file = files.pending.remove(index).ok_or(Errno::NOENT)?;
        files.give_up_position(file.before, index);
        self.forget_files();
        if self.state != State::Connecting {
            self.flush_turn();
        }
        Ok(file.position - file.start)
    }

    /// Frees the memory of files that have ended.
    fn forget_files(&mut self) {
        self.files.take_if(|files| files.pending.is_empty() && files.ended.is_empty());
    }

    /// The part of the first file that is to be brought into the page cache, once.
    pub(crate) fn file_to_load(&mut self) -> Option<FilePart> {
        let first = self.files.as_mut()?.pending.front_mut().filter(|file| file.wants)?;
        first.wants = false;
        let part = first.loading.clone()?;
        Some(FilePart { file: first.file.clone(), id: first.id, part, end: first.end })
    }

    /// What `file_to_load` has returned is in the page cache, or cannot be read.
    pub(crate) fn file_loaded(&mut self, id: u32, result: Result<(), Errno>) {
        let Some(files) = &mut self.files else { return };
        let Some(file) = files.find(id) else { return };
        match result {
            Ok(()) => file.loaded(),
            // It is the first one.
            Err(errno) => files.end_first(FileOutcome::Unreadable(errno)),
        }
        if self.state != State::Connecting {
            self.flush_turn();
        }
    }

    /// Takes what is left of all files for ready: sending it may wait for the disk.
    pub(crate) fn allow_waits(&mut self) {
        for file in self.files.iter_mut().flat_map(|files| &mut files.pending) {
            (file.ready, file.looked_up) = (file.end, Instant::now());
        }
    }

    /// Whether there is progress that the multiplexer is not about to report.
    pub(in crate::core) fn has_unreported_progress(&self) -> bool {
        self.files.as_ref().is_some_and(|files| files.has_progress() && !files.is_reported)
    }

    pub(in crate::core) fn set_progress_reported(&mut self, is_reported: bool) {
        if let Some(files) = &mut self.files {
            files.is_reported = is_reported;
        }
    }

    /// What JavaScript has to know next. An end is returned once.
    pub(crate) fn file_progress(&mut self) -> FileProgress {
        let Some(files) = &mut self.files else { return FileProgress::Nothing };
        files.is_reported = false;
        if let Some(end) = files.ended.pop_front() {
            self.forget_files();
            return FileProgress::Ended(end);
        }
        if files.has_progress() { FileProgress::Wants } else { FileProgress::Nothing }
    }
}
