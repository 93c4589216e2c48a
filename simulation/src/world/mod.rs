//! A kernel in memory: files, descriptors, sockets, epoll and a clock. One world a thread.
//!
//! It does what Linux does, as far as `core` can see it; docs/kernel.md has the facts, and the conformance tests hold it
//! against a real kernel. What Linux leaves open comes from `luck`.

mod bytes;
mod calls;
mod connection;
mod disk;
mod ending;
mod epoll;
mod fault;
mod file;
mod luck;
mod network;
mod passing;
mod pipe;
mod readiness;
mod sleep;
mod socket;
mod splice;
mod timer;
mod transfer;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::kernel::{Address, Errno};
use bytes::Contents;
pub(crate) use bytes::Origins;
pub(crate) use bytes::fill;
use disk::Transfer;
pub(crate) use fault::{Call, Faults};
use file::File;
pub(crate) use file::{FileId, Kind};
pub(crate) use luck::Luck;
pub(crate) use socket::{Closing, Phase, Socket};

/// The flags of a wake-up that says no more than that something has changed: epoll takes it for every interest.
const ALL: u32 = 0;

/// The descriptors of one world. The table of `core` covers those of 256 worlds.
const DESCRIPTORS: i32 = 1 << 12;

/// Whose call it is. Each has its own descriptors; only the program's calls are made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Program = 0,
    Peer = 1,
}

pub(crate) struct World {
    files: Vec<Option<File>>,
    free: Vec<FileId>,
    /// The files that the descriptors of each process name.
    tables: [Vec<Option<FileId>>; 2],
    /// The number of the first descriptor: `core` keeps a table of a whole process, and each thread has a world.
    base: i32,
    now: u64,
    pub(crate) luck: Luck,
    pub(crate) faults: Faults,
    /// The sockets that are bound to an address.
    bound: Vec<(Address, FileId)>,
    next_port: u16,
    streams: u32,
    items: u64,
    /// Sockets for which the network has something to do, in the order in which it began.
    moving: Vec<FileId>,
    /// Core's own tests expect loopback: all arrives before the next call, and its bytes are those that were sent.
    loopback: Option<Contents>,
    /// Whose bytes a stream has, and whether what is spliced says so.
    pub(crate) origins: Origins,
    pub(crate) learns_origins: bool,
    /// The files that were sent, in order, and how many bytes of them are left out of each stream.
    pub(crate) transfers: Vec<Transfer>,
    left_out: HashMap<u32, u64>,
    timers: Vec<FileId>,
    /// The limits of the buffers of the sockets to come: to receive, and to send.
    pub(crate) buffer_limits: (usize, usize),
    /// The largest limit of a socket so far.
    largest_buffer: usize,
    /// Where a wait without limit is ended, once nothing else will: an eventfd.
    pub(crate) rescue: Option<FileId>,
    waits_without_limit: u32,
    /// What poll(2) would have said of the program's descriptors as it last went to sleep until a time.
    pub(crate) asleep: Option<Vec<(i32, u32)>>,
    /// The transfers that the program had to take note of, as it last went to sleep.
    pub(crate) transfers_asleep: Vec<usize>,
    /// The calls of the program, and those since the driver has set it to 0.
    pub(crate) calls: u64,
    pub(crate) calls_of_step: u32,
    /// How often bytes have moved, or something was registered: more may follow from both.
    pub(crate) moves: u64,
    /// How many descriptors were passed.
    pub(crate) passed: u64,
    /// The sockets of the program that were closed.
    pub(crate) closings: Vec<Closing>,
    /// The errors that calls of the program have met.
    happened: Vec<Errno>,
    pub(crate) violation: Option<String>,
    pub(crate) trace: Option<Vec<String>>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

/// Runs `action` on the world of this thread.
pub(crate) fn with<T>(action: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(action)
}

/// The next thread's first descriptor.
static NEXT_BASE: AtomicI32 = AtomicI32::new(0);

impl World {
    fn new() -> Self {
        Self::with_base(NEXT_BASE.fetch_add(DESCRIPTORS, Ordering::Relaxed))
    }

    fn with_base(base: i32) -> Self {
        Self {
            files: Vec::new(),
            free: Vec::new(),
            tables: [Vec::new(), Vec::new()],
            base,
            now: 1_000_000_000,
            luck: Luck::NONE,
            faults: Faults::default(),
            bound: Vec::new(),
            next_port: 40_000,
            streams: 0,
            items: 0,
            moving: Vec::new(),
            loopback: cfg!(test).then(Contents::default),
            origins: Origins::default(),
            learns_origins: false,
            transfers: Vec::new(),
            left_out: HashMap::new(),
            timers: Vec::new(),
            buffer_limits: (4096, 4096),
            largest_buffer: 0,
            rescue: None,
            waits_without_limit: 0,
            asleep: None,
            transfers_asleep: Vec::new(),
            calls: 0,
            calls_of_step: 0,
            moves: 0,
            passed: 0,
            closings: Vec::new(),
            happened: Vec::new(),
            violation: None,
            trace: None,
        }
    }

    /// Begins a new world in this thread.
    pub(crate) fn reset(&mut self) {
        *self = Self::with_base(self.base);
    }

    /// Takes note of the first thing that must not be.
    pub(crate) fn violate(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(what());
        }
    }

    /// Takes note of an error that a program may get.
    fn remember(&mut self, errno: Errno) {
        if !self.happened.contains(&errno) {
            self.happened.push(errno);
        }
    }

    /// Whether a socket has met an error.
    pub(crate) fn has_happened(&self, errno: Errno) -> bool {
        self.happened.contains(&errno)
    }

    /// Adds a line to the trace, if there is one.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    fn insert(&mut self, kind: Kind) -> FileId {
        if let Some(file) = self.free.pop() {
            self.files[file] = Some(File::new(kind));
            return file;
        }
        self.files.push(Some(File::new(kind)));
        self.files.len() - 1
    }

    fn kind_mut(&mut self, file: FileId) -> Option<&mut Kind> {
        self.files.get_mut(file)?.as_mut().map(|file| &mut file.kind)
    }

    /// A new descriptor of a file: the lowest that is free.
    pub(crate) fn describe(&mut self, process: Process, file: FileId) -> i32 {
        if let Some(file) = &mut self.files[file] {
            file.descriptors += 1;
        }
        let table = &mut self.tables[process as usize];
        let index = table.iter().position(Option::is_none).unwrap_or_else(|| {
            table.push(None);
            table.len() - 1
        });
        table[index] = Some(file);
        self.base + i32::try_from(index).unwrap_or(i32::MAX)
    }

    /// # Errors
    /// EBADF for a number that is not open.
    pub(crate) fn file(&self, process: Process, fd: i32) -> Result<FileId, Errno> {
        let index = usize::try_from(fd - self.base).map_err(|_| Errno::BADF)?;
        self.tables[process as usize].get(index).copied().flatten().ok_or(Errno::BADF)
    }

    /// The open descriptors of a process.
    pub(crate) fn open_descriptors(&self, process: Process) -> Vec<i32> {
        let numbers = (self.base..).zip(&self.tables[process as usize]);
        numbers.filter(|(_, file)| file.is_some()).map(|(fd, _)| fd).collect()
    }

    /// `close(2)`. The last descriptor of a file takes its registrations along: epoll(7).
    pub(crate) fn close(&mut self, process: Process, fd: i32) -> Result<(), Errno> {
        let file = self.file(process, fd)?;
        let index = usize::try_from(fd - self.base).unwrap_or(0);
        self.tables[process as usize][index] = None;
        let Some(entry) = &mut self.files[file] else { return Err(Errno::BADF) };
        entry.descriptors -= 1;
        if entry.descriptors == 0 {
            if process == Process::Program {
                self.note_closing(file);
            }
            self.release(file);
        }
        Ok(())
    }

    /// `close(2)` by the program itself, which may block.
    pub(crate) fn close_own(&mut self, fd: i32) -> Result<(), Errno> {
        if let Ok(socket) = self.socket_of_mut(fd) {
            socket.set_linger(None);
        }
        self.close(Process::Program, fd)
    }

    /// The last descriptor of a file is closed.
    fn release(&mut self, file: FileId) {
        let Some(entry) = &mut self.files[file] else { return };
        for (epoll, item) in std::mem::take(&mut entry.watches) {
            self.forget_item(epoll, item);
        }
        match &self.files[file].as_ref().map(|entry| &entry.kind) {
            Some(Kind::Socket(_)) => self.close_socket(file),
            Some(Kind::Pipe(_)) => {
                self.close_pipe(file);
                self.free(file);
            }
            Some(Kind::Epoll(_)) => {
                self.close_epoll(file);
                self.free(file);
            }
            Some(Kind::Timer(_)) => {
                self.timers.retain(|timer| *timer != file);
                self.free(file);
            }
            _ => self.free(file),
        }
    }

    fn free(&mut self, file: FileId) {
        self.files[file] = None;
        self.free.push(file);
    }
}
