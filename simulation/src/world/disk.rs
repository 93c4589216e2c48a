//! Files of a disk, the page cache, and sendfile(2).

use std::ops::Range;

use super::file::Kind;
use super::{Process, World};
use crate::kernel::Errno;

/// How long what was found in the page cache is taken to stay there, in nanoseconds.
const STAYS: u64 = 1_000_000_000;

/// What a call of sendfile(2) takes at most, in nanoseconds.
const CALL_TIME: usize = 1_500_000;

/// A regular file.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    /// In bytes.
    pub(crate) size: u64,
    /// Whether nothing of it is in the page cache before it is brought into it. Otherwise chance says what is there.
    pub(crate) is_cold: bool,
    /// What is sent of it: an index of `transfers`.
    transfer: Option<usize>,
    /// The parts that were found in the page cache, or brought into it, and when.
    known: Vec<(Range<u64>, u64)>,
    /// Until when sending it may wait for the disk.
    waits_until: u64,
}

impl Disk {
    /// Whether all of a part was found in the page cache less than a second ago.
    fn knows(&self, part: &Range<u64>, now: u64) -> bool {
        let mut at = part.start;
        while at < part.end {
            let known = self
                .known
                .iter()
                .filter(|(known, since)| known.contains(&at) && now.saturating_sub(*since) < STAYS);
            match known.map(|(known, _)| known.end).max() {
                Some(end) => at = end,
                None => return false,
            }
        }
        true
    }

    /// It is not known any more whether a part is in the page cache.
    fn forget(&mut self, part: &Range<u64>) {
        for (known, since) in &mut self.known {
            if known.start < part.end && part.start < known.end {
                *since = 0;
            }
        }
    }

    /// Whether all of a part has been brought into the page cache.
    fn has_loaded(&self, part: &Range<u64>) -> bool {
        self.knows(part, 0)
    }
}

/// A part of a file that goes into the stream of a socket.
pub(crate) struct Transfer {
    stream: u32,
    /// Where it begins in that stream.
    begin: u64,
    /// Whose bytes it has: a stream's own, from a position on.
    origin: (u32, u64),
    /// The part of the file.
    pub(crate) part: Range<u64>,
    /// The offset that is sent next.
    pub(crate) position: u64,
    /// The part that is not in the page cache, and has not been brought into it.
    pub(crate) missing: Option<Range<u64>>,
    /// Whether what is left of it is not sent any more.
    pub(crate) is_cut: bool,
    /// Why it could not be read.
    pub(crate) error: Option<Errno>,
}

impl Transfer {
    /// How much of it has been sent.
    pub(crate) fn sent(&self) -> u64 {
        self.position - self.part.start
    }

    pub(crate) fn left(&self) -> u64 {
        if self.is_cut { 0 } else { self.part.end - self.position }
    }

    /// Whether it comes next in a stream of which so much has been sent.
    pub(crate) fn is_next(&self, sent: u64) -> bool {
        self.left() > 0 && self.begin + self.sent() == sent
    }

    /// Whether it has ended, which was not for want of bytes.
    pub(crate) fn is_over(&self) -> bool {
        self.left() == 0 && !self.part.is_empty()
    }
}

impl World {
    /// # Errors
    /// EBADF for a descriptor that is not one of a file.
    pub(crate) fn disk(&mut self, fd: i32) -> Result<&mut Disk, Errno> {
        let file = self.file(Process::Program, fd)?;
        match self.kind_mut(file) {
            Some(Kind::Regular(disk)) => Ok(disk),
            _ => Err(Errno::BADF),
        }
    }

    /// A new file of which a part goes into a stream from a position on. Returns its descriptor, and which transfer it is.
    pub(crate) fn begin_transfer(
        &mut self,
        (size, is_cold): (u64, bool),
        part: Range<u64>,
        (stream, begin): (u32, u64),
    ) -> (i32, usize) {
        let (index, position) = (self.transfers.len(), part.start);
        let disk = Disk { size, is_cold, transfer: Some(index), ..Disk::default() };
        let origin = self.origins.name_of(stream, begin);
        self.transfers.push(Transfer {
            stream,
            begin,
            origin,
            part,
            position,
            missing: None,
            is_cut: false,
            error: None,
        });
        let file = self.insert(Kind::Regular(disk));
        (self.describe(Process::Program, file), index)
    }

    /// What is left of a transfer is not sent: what comes behind it in the stream follows at once.
    pub(crate) fn cut_transfer(&mut self, index: usize, error: Option<Errno>) {
        let Some(transfer) = self.transfers.get_mut(index).filter(|it| !it.is_cut) else { return };
        let (stream, left) = (transfer.stream, transfer.left());
        let at = transfer.begin + transfer.sent();
        (transfer.is_cut, transfer.error, transfer.missing) = (true, error, None);
        self.note(|| format!("    {left} bytes of stream {stream} are left out at {at}"));
        if left == 0 {
            return;
        }
        self.origins.leave_out(stream, at, left);
        *self.left_out.entry(stream).or_default() += left;
        for later in &mut self.transfers[index + 1..] {
            if later.stream == stream {
                later.begin -= left;
            }
        }
    }

    /// As `cut_transfer`: a file could not be read.
    pub(crate) fn fail_transfer(&mut self, fd: i32, error: Errno) {
        if let Some(index) = self.disk(fd).ok().and_then(|disk| disk.transfer) {
            self.cut_transfer(index, Some(error));
        }
    }

    /// The number of bytes that were to be sent in a stream, and are not: of files that have shrunk, that could not be read
    /// and that were cancelled.
    pub(crate) fn left_out_of(&self, stream: u32) -> u64 {
        self.left_out.get(&stream).copied().unwrap_or(0)
    }

    /// The file of a transfer, while it has a descriptor.
    pub(crate) fn disk_of(&mut self, index: usize) -> Option<&mut Disk> {
        let is_its = |disk: &&mut Disk| disk.transfer == Some(index);
        let mut disks = self.files.iter_mut().flatten().filter_map(|file| match &mut file.kind {
            Kind::Regular(disk) => Some(disk),
            _ => None,
        });
        disks.find(is_its)
    }

    /// The number of descriptors of files that are sent.
    pub(crate) fn descriptors_of_transfers(&self) -> usize {
        let is_of_transfer = |file: &&Option<usize>| {
            let file = file.and_then(|file| self.files[file].as_ref());
            file.is_some_and(
                |it| matches!(&it.kind, Kind::Regular(disk) if disk.transfer.is_some()),
            )
        };
        self.tables[Process::Program as usize].iter().filter(is_of_transfer).count()
    }

    /// Whether the next byte of a transfer is known to be in the page cache, or may be waited for.
    pub(crate) fn has_next_of(&mut self, index: usize) -> bool {
        let now = self.now;
        let Some(position) = self.transfers.get(index).map(|it| it.position) else { return false };
        let disk = self.disk_of(index);
        disk.is_some_and(|it| now < it.waits_until || it.knows(&(position..position + 1), now))
    }

    /// For a second, sending a file may wait for the disk.
    pub(crate) fn allow_wait(&mut self, index: usize) {
        let until = self.now + STAYS;
        if let Some(disk) = self.disk_of(index) {
            disk.waits_until = until;
        }
    }

    /// The transfers that a program has to take note of: they have ended, or something is missing.
    pub(super) fn transfers_to_note(&self) -> Vec<usize> {
        let is_to_note = |it: &Transfer| it.is_over() || it.missing.is_some();
        (0..self.transfers.len()).filter(|index| is_to_note(&self.transfers[*index])).collect()
    }

    /// `mincore(2)`: a page beyond the end of a file is not there.
    pub(crate) fn is_resident(&mut self, fd: i32, part: Range<u64>) -> bool {
        let (now, is_lucky) = (self.now, !self.luck.one_in(3));
        let Ok(disk) = self.disk(fd) else { return false };
        let is_there = if disk.is_cold { disk.has_loaded(&part) } else { is_lucky };
        let is_resident = is_there && part.end <= disk.size;
        if is_resident {
            disk.known.push((part.clone(), now));
        } else {
            disk.forget(&part);
        }
        let transfer = disk.transfer;
        self.note(|| format!("    mincore({fd}, {part:?}) = {is_resident}"));
        if let Some(transfer) = transfer.and_then(|index| self.transfers.get_mut(index))
            && !is_resident
        {
            transfer.missing = Some(part);
        }
        is_resident
    }

    /// Brings a part of a file into the page cache.
    pub(crate) fn load(&mut self, fd: i32, part: Range<u64>) {
        let now = self.now;
        let Ok(disk) = self.disk(fd) else { return };
        disk.known.push((part, now));
        let transfer = disk.transfer;
        if let Some(transfer) = transfer.and_then(|index| self.transfers.get_mut(index)) {
            transfer.missing = None;
        }
    }

    /// `sendfile(2)` of what has to come next in the socket's stream, and is in the page cache.
    pub(crate) fn send_file(
        &mut self,
        fd: i32,
        from: i32,
        offset: u64,
        count: usize,
    ) -> Result<usize, Errno> {
        let result = self.send_of_disk(fd, from, offset, count);
        result.inspect_err(|errno| self.remember(*errno)).ok();
        self.note(|| format!("    sendfile({fd}, {from}, {offset}, {count}) = {result:?}"));
        if self.luck.one_in(8) {
            let time = self.luck.below(CALL_TIME);
            self.advance(time as u64);
        }
        result
    }

    fn send_of_disk(
        &mut self,
        fd: i32,
        from: i32,
        offset: u64,
        count: usize,
    ) -> Result<usize, Errno> {
        let now = self.now;
        let disk = self.disk(from)?;
        let asked = offset..disk.size.min(offset + count as u64).max(offset);
        let may_wait = now < disk.waits_until || disk.knows(&asked, now);
        let index = disk.transfer.ok_or(Errno::INVAL)?;
        self.check_range(index, &(offset..offset + count as u64));
        if !may_wait {
            self.violate(|| format!("sendfile waits for the disk: {asked:?}"));
        }
        if asked.is_empty() {
            self.cut_transfer(index, None);
            return Ok(0);
        }
        let file = self.file(Process::Program, fd)?;
        let socket = self.socket(file).ok_or(Errno::BADF)?;
        let (stream, position, is_unix) = (socket.stream, socket.sent, socket.is_unix());
        let left = usize::try_from(asked.end - asked.start).unwrap_or(usize::MAX);
        let sent = if is_unix { self.splice_unix(file, left) } else { self.send_some(file, left) }?;
        let Some(transfer) = self.transfers.get_mut(index) else { return Ok(sent) };
        let (name, at) = (transfer.origin.0, transfer.origin.1 + transfer.sent());
        transfer.position += sent as u64;
        let mut bytes = vec![0; sent];
        super::fill(&mut bytes, name, at);
        self.write_stream(&bytes, (stream, position), None);
        Ok(sent)
    }

    /// What is sent of a file is what was asked for, in order.
    fn check_range(&mut self, index: usize, asked: &Range<u64>) {
        let Some(Transfer { position, part, is_cut, .. }) = self.transfers.get(index) else {
            return;
        };
        let left = if *is_cut { 0..0 } else { *position..part.end };
        if asked.is_empty() || asked.start != left.start || asked.end > left.end {
            self.violate(|| format!("sendfile sends {asked:?}, and {left:?} of a file is left"));
        }
    }
}
