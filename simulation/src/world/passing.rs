//! Descriptors that are passed: `SCM_RIGHTS`, unix(7).

use super::file::{FileId, Kind};
use super::{Process, World};
use crate::kernel::{Errno, MAX_DESCRIPTORS};

impl World {
    /// `sendmsg(2)` with descriptors, which go with the first byte: `scm_fp_copy` in `net/core/scm.c`, `unix_stream_sendmsg`.
    /// TCP ignores them.
    pub(crate) fn send_descriptors(
        &mut self,
        fd: i32,
        pieces: &[&[u8]],
        descriptors: &[i32],
    ) -> Result<usize, Errno> {
        let result = self.send_with(fd, pieces, descriptors);
        if let Err(errno) = result
            && errno.is_of_connection()
        {
            self.remember(errno);
        }
        self.note(|| {
            let length: usize = pieces.iter().map(|piece| piece.len()).sum();
            format!("    sendmsg({fd}, {length}, {descriptors:?}) = {result:?}")
        });
        result
    }

    fn send_with(
        &mut self,
        fd: i32,
        pieces: &[&[u8]],
        descriptors: &[i32],
    ) -> Result<usize, Errno> {
        let file = self.file(Process::Program, fd)?;
        if descriptors.len() > MAX_DESCRIPTORS {
            return Err(Errno::INVAL);
        }
        let files = descriptors.iter().map(|fd| self.file(Process::Program, *fd));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let count = self.send_from(file, pieces)?;
        if count > 0 {
            self.attach(file, files);
        }
        Ok(count)
    }

    /// The descriptors go with the last bytes that a Unix socket has sent.
    fn attach(&mut self, sender: FileId, files: Vec<FileId>) {
        let peer = self.socket(sender).and_then(super::Socket::unix_peer);
        if files.is_empty() || peer.is_none() {
            return;
        }
        for file in &files {
            if let Some(file) = &mut self.files[*file] {
                file.descriptors += 1;
            }
        }
        self.passed += files.len() as u64;
        let piece = peer.and_then(|peer| self.socket_mut(peer)).and_then(|it| it.pieces.back_mut());
        if let Some(piece) = piece {
            piece.passes = true;
            piece.files.extend(files);
        }
    }

    /// A peer passes an eventfd with the last bytes that it has sent.
    pub(crate) fn pass_descriptors(&mut self, sender: FileId) {
        let has_sent = self.socket(sender).and_then(super::Socket::unix_peer);
        if has_sent.and_then(|peer| self.socket(peer)).is_some_and(|it| !it.pieces.is_empty()) {
            let file = self.insert(Kind::Counter(0));
            self.attach(sender, vec![file]);
        }
    }

    /// `recvmsg(2)`: the bytes, the descriptors, and whether some were lost. There may be no more descriptors: EMFILE.
    pub(crate) fn receive_descriptors(
        &mut self,
        fd: i32,
        into: &mut [u8],
    ) -> Result<(usize, Vec<i32>, bool), Errno> {
        let result = self.receive_with(fd, into);
        let shown = result.as_ref().map(|(count, files)| (*count, files.len())).map_err(|it| *it);
        self.note(|| format!("    recvmsg({fd}, {}) = {shown:?}", into.len()));
        let (count, mut files) = result.inspect_err(|errno| self.remember(*errno))?;
        let is_truncated = !files.is_empty() && self.luck.one_in(4);
        if is_truncated {
            let kept = self.luck.below(files.len());
            let lost = files.split_off(kept);
            self.drop_passed(lost);
        }
        let open = |file: &FileId| self.describe(Process::Program, *file);
        let descriptors = files.iter().map(open).collect();
        // They were counted while they were under way.
        self.drop_passed(files);
        Ok((count, descriptors, is_truncated))
    }

    fn receive_with(&mut self, fd: i32, into: &mut [u8]) -> Result<(usize, Vec<FileId>), Errno> {
        let file = self.file(Process::Program, fd)?;
        let socket = self.socket(file).ok_or(Errno::BADF)?;
        let (source, position) = (socket.source, socket.received);
        let (count, files) = self.receive_passed(file, into.len(), false)?;
        self.read_stream(&mut into[..count], source, position);
        Ok((count, files))
    }

    /// Descriptors under way are closed.
    pub(super) fn drop_passed(&mut self, files: Vec<FileId>) {
        for file in files {
            let Some(entry) = &mut self.files[file] else { continue };
            entry.descriptors -= 1;
            if entry.descriptors == 0 {
                self.release(file);
            }
        }
    }
}
