//! Files that are sent, and their progress.

use std::ops::Range;

use super::Registry;
use crate::core::handle::{Handle, Token};
use crate::core::multiplexer::{Event, event_bits};
use crate::core::socket::{FileEnd, FilePart, FileProgress, Socket};
use crate::sys::{Errno, File, RawFd};

/// Ids are ints in JavaScript.
const IDS: u32 = 1 << 30;

impl Registry {
    /// Sends the part of an open file from `start` to before `end`, or to where the file ends now, behind what is queued.
    /// Returns the id of the file.
    ///
    /// # Errors
    /// Those of `File::duplicate` and `Socket::send_file`; EBADF for a handle that is not a socket's.
    pub(crate) fn send_file(
        &mut self,
        handle: Handle,
        fd: RawFd,
        Range { start, end }: Range<u64>,
    ) -> Result<u32, Errno> {
        self.socket(handle)?;
        let (file, size) = File::duplicate(fd)?;
        let id = self.next_file;
        self.next_file = (id + 1) % IDS;
        self.with_socket(handle, |socket| socket.send_file(file, id, start..end.min(size)))?;
        Ok(id)
    }

    /// What JavaScript has to know of the files of a socket, also of one that is gone. An end is returned once.
    ///
    /// # Errors
    /// EBADF for a handle that is not a socket's, and of whose files all ends have been returned.
    pub(crate) fn file_progress(&mut self, handle: Handle) -> Result<FileProgress, Errno> {
        if let Some(index) = self.file_ends.iter().position(|(gone, _)| *gone == handle) {
            return Ok(FileProgress::Ended(self.file_ends.remove(index).1));
        }
        Ok(self.any_socket(handle)?.file_progress())
    }

    /// The part of a file of a socket that is to be brought into the page cache, once.
    pub(crate) fn file_to_load(&mut self, handle: Handle) -> Option<FilePart> {
        self.any_socket(handle).ok()?.file_to_load()
    }

    /// What `file_to_load` has returned is in the page cache, or cannot be read.
    ///
    /// # Errors
    /// EBADF when the socket is gone.
    pub(crate) fn file_loaded(
        &mut self,
        handle: Handle,
        id: u32,
        result: Result<(), Errno>,
    ) -> Result<(), Errno> {
        self.with_files(handle, |socket| {
            socket.file_loaded(id, result);
            Ok(())
        })
    }

    /// Sends a file no more. Returns the number of bytes that the kernel has taken.
    ///
    /// # Errors
    /// ENOENT when it has ended; EBADF for a handle that is not a socket's.
    pub(crate) fn cancel_file(&mut self, handle: Handle, id: u32) -> Result<u64, Errno> {
        self.with_files(handle, |socket| socket.cancel_file(id))
    }

    /// As `with_socket`, also of a relayed socket: what its target receives goes behind its files.
    fn with_files<T>(
        &mut self,
        handle: Handle,
        action: impl FnOnce(&mut Socket) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if !self.source_mut(handle)?.is_relayed() {
            return self.with_socket(handle, action);
        }
        let socket = self.any_socket(handle)?;
        let result = action(socket);
        let goes_on = socket.take_goes_on();
        self.resume_relay(handle)?;
        if goes_on {
            self.narrow_epoll_flags(self.token(handle)?);
        }
        result
    }

    /// Has the multiplexer of a socket report the progress of its files.
    pub(super) fn report_files(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let Some(slot) = source.registration.as_ref().map(|it| it.multiplexer) else { return };
        let Some(socket) = source.any_socket() else { return };
        if socket.has_unreported_progress()
            && let Some(multiplexer) = self.multiplexers.at_mut(slot)
        {
            socket.set_progress_reported(true);
            multiplexer.file_progress.push_back(token.handle());
        }
    }

    /// Reports the sockets whose files have made progress, at most `limit` of them.
    pub(super) fn report_file_progress(
        &mut self,
        token: Token,
        limit: usize,
        report: &mut impl FnMut(Event),
    ) -> usize {
        let Some(multiplexer) = self.multiplexers.get_mut(token) else { return 0 };
        let count = multiplexer.file_progress.len().min(limit);
        for handle in multiplexer.file_progress.drain(..count) {
            report(Event { handle, bits: event_bits::FILE, received: 0..0 });
        }
        count
    }

    /// Keeps the ends of the files of a socket that goes.
    pub(super) fn keep_file_ends(&mut self, token: Token) {
        let Some(source) = self.sources.get_mut(token) else { return };
        let Some(socket) = source.any_socket() else { return };
        let ends: Vec<FileEnd> = std::iter::from_fn(|| match socket.file_progress() {
            FileProgress::Ended(end) => Some(end),
            _ => None,
        })
        .collect();
        self.file_ends.extend(ends.into_iter().map(|end| (token.handle(), end)));
    }
}
