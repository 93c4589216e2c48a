//! Open files, and the tables of descriptors that name them.

use super::disk::Disk;
use super::epoll::Epoll;
use super::pipe::PipeEnd;
use super::socket::Socket;
use super::timer::Timer;

/// An open file, by its index.
pub(crate) type FileId = usize;

/// An open file.
pub(crate) struct File {
    pub(super) kind: Kind,
    /// The number of its descriptors. A TCP socket outlives them until its last bytes are sent.
    pub(super) descriptors: u32,
    /// The registrations of its descriptors: the epoll file, and the item in it.
    pub(super) watches: Vec<(FileId, u64)>,
}

pub(crate) enum Kind {
    Socket(Box<Socket>),
    Epoll(Epoll),
    Timer(Timer),
    /// The counter of an eventfd(2).
    Counter(u64),
    Pipe(PipeEnd),
    /// A file of a disk, which epoll does not support.
    Regular(Disk),
}

impl File {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, descriptors: 0, watches: Vec::new() }
    }
}
