//! Regular files: `statx(2)` and `sendfile(2)`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::{Errno, fcntl, page_cache};

/// Has statx(2) return what is known here: a network file system does not ask its server. `AT_STATX_DONT_SYNC` of
/// linux/fcntl.h.
const DONT_SYNC: i32 = 0x4000;

/// What is asked of statx(2): `STATX_TYPE`, `STATX_SIZE` and `STATX_BLOCKS` of linux/stat.h.
const TYPE_SIZE_BLOCKS: u32 = 0x1 | 0x200 | 0x400;

/// File systems whose files are made as they are read, and say nothing of their size: linux/magic.h. procfs, sysfs,
/// debugfs, tracefs, securityfs, cgroup, cgroup2.
const PSEUDO: [u32; 7] =
    [0x9fa0, 0x6265_6572, 0x6462_6720, 0x7472_6163, 0x7363_6673, 0x0027_e0eb, 0x6367_7270];

/// A regular file that is open for reading, by a descriptor of its own.
#[derive(Clone)]
pub(crate) struct File {
    fd: Arc<OwnedFd>,
    /// Whether the kernel says which pages are in the page cache.
    is_truthful: bool,
}

impl File {
    /// How much of a file is looked up in the page cache at once, or brought into it, in bytes.
    pub(crate) const WINDOW: u64 = 1 << 20;

    /// The most bytes that one call sends. The kernel ends a segment with each call.
    pub(crate) const CALL: u64 = 256 * 1024;

    /// The time after which a turn of the event loop ends.
    pub(crate) const TURN: Duration = Duration::from_millis(1);

    /// `fcntl(F_DUPFD_CLOEXEC)`, `statx(2)`: another descriptor of an open file, and its size in bytes.
    ///
    /// # Errors
    /// EBADF when it is not open, or not for reading; EISDIR for a directory, ESPIPE for a pipe or a socket, ENODEV for
    /// a device, and for a file that is made as it is read, such as those of /proc; EMFILE, ENOMEM.
    pub(crate) fn duplicate(fd: RawFd) -> Result<(Self, u64), Errno> {
        let mode = syscall!(fcntl(fd, libc::F_GETFL))?;
        let writes_only = mode & libc::O_ACCMODE == libc::O_WRONLY;
        let (kind, size, blocks) = status(fd)?;
        match kind {
            libc::S_IFREG => {}
            libc::S_IFDIR => return Err(Errno::ISDIR),
            libc::S_IFIFO | libc::S_IFSOCK => return Err(Errno::SPIPE),
            _ => return Err(Errno::NODEV),
        }
        if writes_only || mode & libc::O_PATH != 0 {
            return Err(Errno::BADF);
        }
        if blocks == 0 && is_pseudo(fd)? {
            return Err(Errno::NODEV);
        }
        let fd = fcntl::duplicate(fd)?;
        let is_truthful = page_cache::is_truthful(fd.as_fd());
        Ok((Self { fd: Arc::new(fd), is_truthful }, size))
    }

    /// `sendfile(2)`: returns the number of bytes that the socket took, 0 at the end of the file.
    ///
    /// # Errors
    /// EAGAIN when the socket's buffer is full; EPIPE, ECONNRESET and other errors of the connection; ENOBUFS, ENOMEM;
    /// EIO and others of the file: see [`is_of_file`].
    ///
    /// # Notes
    /// There is no `MSG_NOSIGNAL`: sending to a closed connection raises SIGPIPE, which Node, Bun and Deno ignore from
    /// their start on. The descriptor's own offset is neither used nor changed. What is not in the page cache is read
    /// from the disk, and the call waits for it.
    pub(crate) fn send_to(
        &self,
        to: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> Result<usize, Errno> {
        let mut offset = i64::try_from(offset).map_err(|_| Errno::INVAL)?;
        loop {
            let sent = syscall!(syscall(
                libc::SYS_sendfile,
                to.as_raw_fd(),
                self.fd.as_raw_fd(),
                &raw mut offset,
                count,
            ));
            match sent {
                Err(Errno::INTR) => {}
                sent => return sent.map(|count| usize::try_from(count).unwrap_or(0)),
            }
        }
    }

    /// Whether a part of the file is in the page cache, so that sending it does not wait for a disk: `mincore(2)`. False
    /// where the kernel does not say, and for more than 2 MB.
    pub(crate) fn is_resident(&self, offset: u64, length: usize) -> bool {
        self.is_truthful && page_cache::is_resident(self.fd.as_fd(), offset, length)
    }

    /// Brings a part of the file into the page cache, and waits for it: `madvise(MADV_POPULATE_READ)`, or pread(2). What has been cut off
    /// meanwhile is no error. What follows, before `end`, begins to be read.
    ///
    /// # Errors
    /// EIO and others of read(2).
    pub(crate) fn load(&self, offset: u64, length: usize, end: u64) -> Result<(), Errno> {
        page_cache::load(self.fd.as_fd(), offset, length, end)
    }
}

/// Whether an error of sendfile(2) is one of reading the file, and the connection stands.
pub(crate) fn is_of_file(errno: Errno) -> bool {
    !errno.is_of_connection()
}

/// The type of a file, its size in bytes, and the number of blocks that it occupies.
fn status(fd: RawFd) -> Result<(u32, u64, u64), Errno> {
    // SAFETY: all-zero bytes are a valid `struct statx`: it has only integers.
    let mut status: libc::statx = unsafe { std::mem::zeroed() };
    syscall!(syscall(
        libc::SYS_statx,
        fd,
        c"".as_ptr(),
        libc::AT_EMPTY_PATH | DONT_SYNC,
        TYPE_SIZE_BLOCKS,
        &raw mut status,
    ))?;
    Ok((u32::from(status.stx_mode) & libc::S_IFMT, status.stx_size, status.stx_blocks))
}

/// `fstatfs(2)`: whether a file that occupies no blocks is one of a pseudo file system.
fn is_pseudo(fd: RawFd) -> Result<bool, Errno> {
    // SAFETY: all-zero bytes are a valid `struct statfs`: it has only integers.
    let mut status: libc::statfs = unsafe { std::mem::zeroed() };
    syscall!(fstatfs(fd, &raw mut status))?;
    Ok(PSEUDO.iter().any(|magic| i128::from(*magic) == i128::from(status.f_type)))
}
