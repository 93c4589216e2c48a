//! What has to hold of files: what of them counts as queued, and when a wait may sleep on them.

use super::book::event_bits as bits;
use super::file::SentFile;
use super::player::{Player, Violation, with};
use crate::core::{Event, FileProgress};
use crate::kernel::Errno;

impl Player {
    /// The number of bytes that were accepted and that the kernel has not taken: queued ones, and those of files.
    pub(super) fn unsent(&mut self, index: usize) -> usize {
        let handle = self.sources[index].handle;
        let unsent = self.registry.any_socket(handle).map_or(0, |socket| socket.unsent_length());
        usize::try_from(unsent).unwrap_or(usize::MAX)
    }

    /// Where in its stream the bytes go that a socket accepts next.
    pub(super) fn next_position(&self, index: usize) -> u64 {
        let source = &self.sources[index];
        source.taken - with(|world| world.left_out_of(source.stream))
    }

    /// Whether a socket may still have a file of which nothing is to be sent: `None` for any socket.
    pub(super) fn has_empty_file(&self, index: Option<usize>) -> bool {
        let handle = index.map(|index| self.sources[index].handle);
        self.files.iter().any(|file| {
            file.length == 0
                && !file.is_settled
                && handle.is_none_or(|handle| handle == file.handle)
        })
    }

    /// Whether what a socket sends next is of a file, and has to be brought into the page cache.
    pub(super) fn awaits_disk(&self, index: usize) -> bool {
        let handle = self.sources[index].handle;
        let Some(fd) = self.fd(index).filter(|_| !self.files.is_empty()) else { return false };
        let pending = self.files.iter().filter(|it| it.handle == handle && !it.is_settled);
        with(|world| {
            let sent = world.socket_of(fd).map_or(0, |socket| socket.sent);
            pending.map(|file| file.transfer).any(|transfer| {
                let it = &world.transfers[transfer];
                it.is_next(sent) && it.missing.is_some() && !world.has_next_of(transfer)
            })
        })
    }

    /// When a wait went to sleep, nothing had become of files that it has to report.
    pub(super) fn check_sleep_of_files(
        &mut self,
        multiplexer: i32,
        events: &[Event],
    ) -> Result<(), Violation> {
        let noted = with(|world| std::mem::take(&mut world.transfers_asleep));
        for file in self.files.iter().filter(|it| !it.is_settled && noted.contains(&it.transfer)) {
            let Some(index) = self.find(file.handle.raw()) else { continue };
            let is_reported =
                |event: &Event| event.handle == file.handle && event.bits == bits::FILE;
            if !self.sources[index].is_of(multiplexer) || events.iter().any(is_reported) {
                continue;
            }
            let (is_over, is_missing) = with(|world| {
                let it = &world.transfers[file.transfer];
                (it.is_over(), it.missing.is_some())
            });
            if is_over || is_missing && !self.is_loading(file.transfer) {
                return Err(format!(
                    "lost wake-up: a wait sleeps, and a file of {} {}",
                    file.handle.raw(),
                    if is_over { "has ended" } else { "is to be loaded" }
                ));
            }
        }
        Ok(())
    }

    /// Every file of a registered socket has ended, or waits for its peer.
    pub(super) fn check_files_sent(&mut self) -> Result<(), Violation> {
        for at in 0..self.files.len() {
            let handle = self.files[at].handle;
            let Some(index) = self.find(handle.raw()).filter(|_| !self.files[at].is_settled) else {
                continue;
            };
            let is_pending = self.unsent(index) > 0 || !self.is_begun(index);
            let is_left = self.sources[index].registration.is_none();
            if !is_pending && !is_left {
                return Err(format!("a file of {} has ended, and is not reported", handle.raw()));
            }
        }
        Ok(())
    }

    /// All files have ended, and none of them twice.
    pub(super) fn check_no_files(&mut self) -> Result<(), Violation> {
        for at in 0..self.files.len() {
            let (handle, is_settled) = (self.files[at].handle, self.files[at].is_settled);
            match self.registry.file_progress(handle) {
                Ok(FileProgress::Nothing) | Err(Errno::BADF) if is_settled => {}
                progress => return Err(format!("a file is left, and says {progress:?}")),
            }
        }
        Ok(())
    }

    /// The ends of the files of a socket that is gone have been returned, and what has ended is closed.
    pub(super) fn check_files(&mut self) -> Result<(), Violation> {
        for at in 0..self.files.len() {
            let SentFile { handle, transfer, is_settled, is_closed, .. } = self.files[at];
            if !is_settled && self.find(handle.raw()).is_none() {
                self.collect_files(handle)?;
                if !self.files[at].is_settled {
                    return Err(
                        "a socket is gone, and what became of a file is not known".to_owned()
                    );
                }
            }
            if !self.files[at].is_settled || is_closed || self.is_loading(transfer) {
                continue;
            }
            if with(|world| world.disk_of(transfer).is_some()) {
                return Err("a file that has ended is still open".to_owned());
            }
            self.files[at].is_closed = true;
        }
        Ok(())
    }
}
