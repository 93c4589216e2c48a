//! The pipes of a thread's relays. Only bytes under way occupy one: an idle relay has none.

use crate::sys::{self, AsFd, BorrowedFd, OwnedFd};

/// The most empty pipes that are kept.
const MOST_KEPT: usize = 16;

/// The size that a pipe is given, in bytes. With 256 KiB eight connections cost more, with 1 MiB one does: measured by
/// benchmark/relay.ts. Where the user has too many pages of pipes (`pipe-user-pages-soft`), the kernel leaves it as it is:
/// pipe(7).
const SIZE: usize = 512 * 1024;

/// A pipe, and the number of bytes in it.
pub(super) struct FilledPipe {
    reader: OwnedFd,
    writer: OwnedFd,
    size: usize,
    length: usize,
}

impl FilledPipe {
    pub(super) fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    pub(super) fn writer(&self) -> BorrowedFd<'_> {
        self.writer.as_fd()
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn room(&self) -> usize {
        self.size.saturating_sub(self.length)
    }

    /// Takes note that `count` bytes have come into it.
    pub(super) fn add(&mut self, count: usize) {
        self.length += count;
    }

    /// Takes note that `count` bytes have left it.
    pub(super) fn take(&mut self, count: usize) {
        self.length = self.length.saturating_sub(count);
    }
}

/// Empty pipes.
pub(super) struct Pipes {
    #[allow(clippy::vec_box, reason = "a direction has the box")]
    empty: Vec<Box<FilledPipe>>,
    size: usize,
}

impl Pipes {
    pub(super) fn new() -> Self {
        Self::of_size(SIZE)
    }

    pub(super) fn of_size(size: usize) -> Self {
        Self { empty: Vec::new(), size }
    }

    /// An empty pipe; `None` when descriptors or memory have run out.
    pub(super) fn take(&mut self) -> Option<Box<FilledPipe>> {
        self.empty.pop().or_else(|| self.open())
    }

    /// `pipe2(2)`. Where the kernel refuses the size, the pipe has another one.
    fn open(&self) -> Option<Box<FilledPipe>> {
        let (reader, writer) = sys::pipe().ok()?;
        let size = sys::set_pipe_size(writer.as_fd(), self.size).unwrap_or(self.size);
        Some(Box::new(FilledPipe { reader, writer, size, length: 0 }))
    }

    /// Keeps an empty pipe for the next relay, or closes it.
    pub(super) fn give_back(&mut self, pipe: Option<Box<FilledPipe>>) {
        if self.empty.len() < MOST_KEPT {
            self.empty.extend(pipe.filter(|pipe| pipe.len() == 0));
        }
    }
}
