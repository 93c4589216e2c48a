//! Files that are sent, as the bindings have it: their ends are collected, and what is missing is loaded by a pool.

use std::ops::Range;

use super::player::{Player, Violation, with};
use crate::core::{Event, FileEnd, FileOutcome, FilePart, FileProgress, Handle};
use crate::kernel::Errno;
use crate::world::Process;

/// The largest file, in bytes: some windows, and many calls.
const MOST_SIZE: u64 = 3000;

/// The most files at a time.
const MOST_FILES: usize = 12;

/// A file that a socket sends.
pub(super) struct SentFile {
    /// Of the socket.
    pub(super) handle: Handle,
    /// By which `core` names it.
    id: u32,
    /// Its place among the transfers of the world.
    pub(super) transfer: usize,
    /// How much of it is to be sent, in bytes.
    pub(super) length: u64,
    /// Whether its end has been returned, or it was cancelled.
    pub(super) is_settled: bool,
    /// Whether its socket was closed at once.
    may_be_dropped: bool,
    /// Whether its descriptor was found closed.
    pub(super) is_closed: bool,
}

/// A part of a file that the pool brings into the page cache.
pub(super) struct Load {
    handle: Handle,
    pub(super) transfer: usize,
    part: FilePart,
}

impl Player {
    pub(super) fn send_file(
        &mut self,
        number: usize,
        size: usize,
        how: usize,
    ) -> Result<(), Violation> {
        let pending = self.files.iter().filter(|file| !file.is_settled).count();
        let Some(index) = self.choose_socket(number).filter(|_| pending < MOST_FILES) else {
            return Ok(());
        };
        let size = size as u64 % MOST_SIZE;
        let asked = asked_of(size, how);
        let part = asked.start..asked.end.min(size).max(asked.start);
        let (handle, stream) = (self.sources[index].handle, self.sources[index].stream);
        let (is_cold, at) = (how / 8 % 4 == 3, self.next_position(index));
        let (fd, transfer) =
            with(|world| world.begin_transfer((size, is_cold), part.clone(), (stream, at)));
        let result = self.registry.send_file(handle, fd, asked);
        with(|world| {
            world.note(|| format!("  send-file of {part:?} of {size} = {result:?}"));
            world.close(Process::Program, fd)
        })
        .map_err(|errno| format!("close of a file: {errno:?}"))?;
        match result {
            Ok(id) => self.add_file(index, (id, transfer), &part)?,
            Err(errno) => {
                with(|world| world.transfers.pop());
                self.check_refused(index, errno)?;
            }
        }
        self.check_totals(index)
    }

    fn add_file(
        &mut self,
        index: usize,
        (id, transfer): (u32, usize),
        part: &Range<u64>,
    ) -> Result<(), Violation> {
        let source = &mut self.sources[index];
        if source.write_shut && !source.is_broken {
            return Err("a file is accepted after the end".to_owned());
        }
        source.is_corked = false;
        source.taken += part.end - part.start;
        let handle = source.handle;
        self.files.push(SentFile {
            handle,
            id,
            transfer,
            length: part.end - part.start,
            is_settled: false,
            may_be_dropped: false,
            is_closed: false,
        });
        self.collect_files(handle)
    }

    fn check_refused(&mut self, index: usize, errno: Errno) -> Result<(), Violation> {
        let has_failed = self.failure(index).is_some();
        match errno {
            Errno::PIPE if has_failed || self.has_ended(index) => Ok(()),
            Errno::NOTCONN if has_failed => Ok(()),
            errno => self.expect_fault("send_file", errno),
        }
    }

    /// Takes note of what has become of the files of a socket, also of one that is gone.
    pub(super) fn collect_files(&mut self, handle: Handle) -> Result<(), Violation> {
        let is_pending = |file: &SentFile| file.handle == handle && !file.is_settled;
        while let Some(at) = self.files.iter().position(is_pending) {
            let progress = self.registry.file_progress(handle);
            with(|world| world.note(|| format!("  files of {handle:?}: {progress:?}")));
            match progress {
                Ok(FileProgress::Nothing) | Err(Errno::BADF) => break,
                Ok(FileProgress::Wants) => return self.begin_load(handle),
                Ok(FileProgress::Ended(end)) => self.settle_file(at, end)?,
                Err(errno) => return Err(format!("file_progress: {errno:?}")),
            }
        }
        Ok(())
    }

    /// There is something to know of the files of a socket.
    pub(super) fn check_progress(&mut self, event: &Event) -> Result<(), Violation> {
        if self.files.iter().any(|file| file.handle == event.handle) {
            return self.collect_files(event.handle);
        }
        Err(format!("{event:?}: of no file"))
    }

    /// The oldest file of a socket has ended, for a reason.
    fn settle_file(
        &mut self,
        at: usize,
        FileEnd { outcome, sent }: FileEnd,
    ) -> Result<(), Violation> {
        self.files[at].is_settled = true;
        let SentFile { handle, transfer, may_be_dropped, .. } = self.files[at];
        let (has_sent, is_cut, is_whole, error) = with(|world| {
            world.moves += 1;
            let it = &world.transfers[transfer];
            (it.sent(), it.is_cut, it.position == it.part.end, it.error)
        });
        if sent != has_sent {
            return Err(format!("of a file {sent} bytes are said to be sent, and {has_sent} are"));
        }
        let is_true = match outcome {
            FileOutcome::Sent => (is_whole || is_cut) && error.is_none(),
            FileOutcome::Unreadable(errno) => error == Some(errno),
            FileOutcome::Broken(code) => error.is_none() && self.has_broken(handle, code),
            FileOutcome::Dropped => may_be_dropped,
        };
        if is_true { Ok(()) } else { Err(format!("a file ends by {outcome:?}, for no reason")) }
    }

    /// Whether a socket has failed in such a way.
    fn has_broken(&mut self, handle: Handle, code: usize) -> bool {
        let Some(errno) = i32::try_from(code & 0xffff).ok().and_then(Errno::from_raw) else {
            return false;
        };
        match self.registry.any_socket(handle) {
            Ok(socket) => socket.failure().is_some_and(|(_, failure)| failure == errno),
            Err(_) => errno == Errno::PIPE || with(|world| world.has_happened(errno)),
        }
    }

    /// Something is missing in the page cache.
    fn begin_load(&mut self, handle: Handle) -> Result<(), Violation> {
        let Some(part) = self.registry.file_to_load(handle) else {
            return Err("a file wants something, and there is nothing to load".to_owned());
        };
        let is_its = |it: &&SentFile| it.handle == handle && it.id == part.id && !it.is_settled;
        let Some(transfer) = self.files.iter().find(is_its).map(|file| file.transfer) else {
            return Err("a part of a file that has ended is to be loaded".to_owned());
        };
        let is_missing = with(|world| {
            world.moves += 1;
            let it = &world.transfers[transfer];
            it.missing.as_ref() == Some(&part.part) && it.part.end == part.end
        });
        if !is_missing || self.is_loading(transfer) {
            return Err(format!("{:?} of a file is to be loaded, for no reason", part.part));
        }
        self.loads.push(Load { handle, transfer, part });
        Ok(())
    }

    pub(super) fn is_loading(&self, transfer: usize) -> bool {
        self.loads.iter().any(|load| load.transfer == transfer)
    }

    /// The pool has loaded something, or could not.
    pub(super) fn load_file(&mut self, number: usize, how: usize) -> Result<(), Violation> {
        if self.loads.is_empty() {
            return Ok(());
        }
        let load = self.loads.swap_remove(number % self.loads.len());
        let errno = Errno::from_raw(libc::EIO).filter(|_| how % 16 == 15);
        self.end_load(load, errno)
    }

    /// The pool loads everything. Returns whether there was something.
    pub(super) fn load_all(&mut self) -> Result<bool, Violation> {
        let mut has_loaded = false;
        while let Some(load) = self.loads.pop() {
            self.end_load(load, None)?;
            has_loaded = true;
        }
        Ok(has_loaded)
    }

    fn end_load(&mut self, load: Load, error: Option<Errno>) -> Result<(), Violation> {
        let Load { handle, transfer, part } = load;
        let is_sound = self.is_sound(handle);
        match error {
            None => part.file.load(part.part.clone()),
            Some(_) => with(|world| {
                if is_sound && world.transfers[transfer].left() > 0 {
                    world.cut_transfer(transfer, error);
                }
            }),
        }
        let result = self.registry.file_loaded(handle, part.id, error.map_or(Ok(()), Err));
        drop(part);
        let is_gone = self.registry.any_socket(handle).is_err();
        if result.is_err() && !is_gone {
            return Err(format!("file_loaded: {result:?}"));
        }
        self.collect_files(handle)?;
        self.find(handle.raw()).map_or(Ok(()), |index| self.check_totals(index))
    }

    pub(super) fn is_sending(&self, handle: Handle) -> bool {
        self.files.iter().any(|file| file.handle == handle && !file.is_settled)
    }

    /// Whether a socket is there, and has not failed.
    fn is_sound(&mut self, handle: Handle) -> bool {
        self.registry.any_socket(handle).is_ok_and(|socket| socket.failure().is_none())
    }

    fn choose_file(&self, number: usize) -> Option<usize> {
        let is_pending = |at: &usize| !self.files[*at].is_settled;
        let pending: Vec<_> = (0..self.files.len()).filter(is_pending).collect();
        pending.get(number % pending.len().max(1)).copied()
    }

    pub(super) fn cancel_file(&mut self, number: usize) -> Result<(), Violation> {
        let Some(at) = self.choose_file(number) else { return Ok(()) };
        let SentFile { handle, id, transfer, .. } = self.files[at];
        let is_sound = self.is_sound(handle);
        let (sent, left) = with(|world| {
            let (sent, left) = (world.transfers[transfer].sent(), world.transfers[transfer].left());
            if left > 0 {
                world.cut_transfer(transfer, None);
            }
            (sent, left)
        });
        let result = self.registry.cancel_file(handle, id);
        with(|world| world.note(|| format!("  cancel-file = {result:?}")));
        match result {
            Ok(count) if count == sent => self.files[at].is_settled = true,
            Ok(count) => {
                return Err(format!("{count} bytes of a cancelled file, and {sent} are sent"));
            }
            Err(Errno::NOENT | Errno::BADF) if left == 0 || !is_sound => {}
            Err(errno) => return Err(format!("cancel_file: {errno:?}")),
        }
        self.collect_files(handle)?;
        self.find(handle.raw()).map_or(Ok(()), |index| self.check_totals(index))
    }

    /// The file is cut off, or grows.
    pub(super) fn resize_file(&mut self, number: usize, how: usize) {
        let Some(at) = self.choose_file(number) else { return };
        let transfer = self.files[at].transfer;
        with(|world| {
            let position = world.transfers[transfer].position;
            let Some(disk) = world.disk_of(transfer) else { return };
            disk.size = match how % 4 {
                0 => 0,
                1 => position,
                2 => disk.size / 2,
                _ => disk.size + how as u64 % MOST_SIZE,
            };
        });
    }

    /// Has a socket send what it can, and wait for the disk, as in blocking mode.
    pub(super) fn flush_waiting(&mut self, number: usize) -> Result<(), Violation> {
        let Some(index) = self.choose(number, |it| it.is_free() && self.is_sending(it.handle))
        else {
            return Ok(());
        };
        let handle = self.sources[index].handle;
        for file in self.files.iter().filter(|it| it.handle == handle && !it.is_settled) {
            with(|world| world.allow_wait(file.transfer));
        }
        if let Ok(socket) = self.registry.socket(handle) {
            socket.allow_waits();
        }
        self.flush_of(index)
    }

    /// A source of the program is gone, which was not by a graceful close.
    pub(super) fn note_dropped(&mut self, handle: Handle) {
        for file in self.files.iter_mut().filter(|file| file.handle == handle) {
            file.may_be_dropped = true;
        }
    }
}

/// The part of a file that is asked for: all of it, more, less, nothing.
fn asked_of(size: u64, how: usize) -> Range<u64> {
    match how % 8 {
        0..4 => 0..u64::MAX >> 11,
        4 => size / 3..u64::MAX >> 11,
        5 => 0..size / 2,
        6 => size / 4..size / 4 * 3,
        _ => size + 1..size + 100,
    }
}
