//! The files that a socket is to send, in order, and what of them is in the page cache.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::sys::{BorrowedFd, Errno, File, Instant};

/// How long a part of a file is taken to stay in the page cache.
const STAYS: Duration = Duration::from_secs(1);

/// A file that is to be sent, or is being sent.
pub(super) struct PendingFile {
    pub(super) file: File,
    /// By which JavaScript names it.
    pub(super) id: u32,
    /// The number of queued bytes that go first, behind the file before this one.
    pub(super) before: usize,
    pub(super) start: u64,
    pub(super) position: u64,
    pub(super) end: u64,
    /// What is known to be in the page cache ends here.
    pub(super) ready: u64,
    /// When it was looked up.
    pub(super) looked_up: Instant,
    /// What is being brought into the page cache, or is to be.
    pub(super) loading: Option<Range<u64>>,
    /// Whether `loading` is to be begun.
    pub(super) wants: bool,
}

/// Why a file is sent no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileOutcome {
    /// The kernel has taken all of it, or of what is left of a file that has shrunk.
    Sent,
    /// It could not be read.
    Unreadable(Errno),
    /// The connection has failed: as `failure_code`.
    Broken(usize),
    /// The socket was closed at once.
    Dropped,
}

/// The end of a file that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileEnd {
    pub(crate) outcome: FileOutcome,
    /// The number of bytes that the kernel has taken.
    pub(crate) sent: u64,
}

/// What JavaScript has to know, or to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileProgress {
    Nothing,
    /// The oldest file has ended.
    Ended(FileEnd),
    /// A part of it is to be brought into the page cache.
    Wants,
}

/// A part of a file that is to be brought into the page cache, on another thread.
pub(crate) struct FilePart {
    pub(crate) file: File,
    /// That of the file.
    pub(crate) id: u32,
    pub(crate) part: Range<u64>,
    /// The end of what is sent of the file.
    pub(crate) end: u64,
}

/// The files of a socket.
#[derive(Default)]
pub(super) struct Files {
    /// The first one is sent first.
    pub(super) pending: VecDeque<PendingFile>,
    pub(super) ended: VecDeque<FileEnd>,
    /// Whether the multiplexer is about to report progress.
    pub(super) is_reported: bool,
}

impl PendingFile {
    pub(super) fn new(file: File, id: u32, before: usize, range: Range<u64>) -> Self {
        Self {
            file,
            id,
            before,
            start: range.start,
            position: range.start,
            end: range.end.max(range.start),
            ready: range.start,
            looked_up: Instant::now(),
            loading: None,
            wants: false,
        }
    }

    fn ended(&self, outcome: FileOutcome) -> FileEnd {
        FileEnd { outcome, sent: self.position - self.start }
    }

    /// The number of bytes that can be sent without a wait for a disk.
    pub(super) fn sendable(&mut self) -> usize {
        if self.ready > self.position
            && Instant::now().saturating_duration_since(self.looked_up) >= STAYS
        {
            self.ready = self.position;
        }
        self.look_ahead();
        usize::try_from((self.ready - self.position).min(File::CALL)).unwrap_or(0)
    }

    /// Looks up what comes next in the page cache. What is not there is wanted before the bytes in front of it are sent.
    fn look_ahead(&mut self) {
        while self.loading.is_none()
            && self.ready < self.end
            && self.ready - self.position < File::WINDOW
        {
            let next = self.ready..self.end.min(self.ready + File::WINDOW);
            let length = usize::try_from(next.end - next.start).unwrap_or(0);
            if self.file.is_resident(next.start, length) {
                self.becomes_ready(&next);
            } else {
                self.loading = Some(next);
                self.wants = true;
            }
        }
    }

    /// `sendfile(2)`.
    pub(super) fn send(&self, to: BorrowedFd<'_>, count: usize) -> Result<usize, Errno> {
        self.file.send_to(to, self.position, count)
    }

    fn becomes_ready(&mut self, part: &Range<u64>) {
        if self.ready == self.position {
            self.looked_up = Instant::now();
        }
        self.ready = part.end;
    }

    /// What was wanted has been brought into the page cache. What comes before it may have been forgotten meanwhile.
    pub(super) fn loaded(&mut self) {
        self.wants = false;
        if let Some(part) = self.loading.take()
            && part.start == self.ready
        {
            self.becomes_ready(&part);
        }
    }
}

impl Files {
    /// Ends the files that have been sent.
    pub(super) fn end_sent(&mut self) {
        let is_sent = |file: &PendingFile| file.before == 0 && file.position == file.end;
        while self.pending.front().is_some_and(is_sent) {
            self.end_first(FileOutcome::Sent);
        }
    }

    pub(super) fn end_first(&mut self, outcome: FileOutcome) {
        if let Some(file) = self.pending.pop_front() {
            self.ended.push_back(file.ended(outcome));
            // The queued bytes before it are not sent any more, or have been.
            self.give_up_position(file.before, 0);
        }
    }

    /// The queued bytes before a file that is removed are those before the next one.
    pub(super) fn give_up_position(&mut self, before: usize, index: usize) {
        if let Some(next) = self.pending.get_mut(index) {
            next.before += before;
        }
    }

    pub(super) fn find(&mut self, id: u32) -> Option<&mut PendingFile> {
        self.pending.iter_mut().find(|file| file.id == id)
    }

    pub(super) fn has_progress(&self) -> bool {
        !self.ended.is_empty() || self.pending.front().is_some_and(|file| file.wants)
    }
}
