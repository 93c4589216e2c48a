//! System calls by descriptor, of either process. A call of the program may meet a fault, and the network may come in
//! between.

use super::disk::Disk;
use super::fault::Call;
use super::file::{FileId, Kind};
use super::timer::Timer;
use super::{Process, World};
use crate::kernel::{Address, Errno, Family, Shutdown, flags};

/// The most calls of one step: what makes more does not end.
const MOST_CALLS: u32 = 20_000;

impl World {
    /// Begins a system call of the program, which concerns a descriptor or -1.
    ///
    /// # Errors
    /// The fault that waits for it.
    ///
    /// # Panics
    /// After so many calls in one step that it spins.
    pub(crate) fn enter(&mut self, call: Call, fd: i32) -> Result<(), Errno> {
        self.calls += 1;
        self.calls_of_step += 1;
        assert!(
            self.calls_of_step < MOST_CALLS,
            "spin: one call of the program makes {MOST_CALLS} system calls"
        );
        while self.loopback.is_some() && self.deliver_all() {}
        let hurries = self.luck.hurries();
        if hurries || self.luck.one_in(8) {
            let count = self.in_flight();
            let most = 1 + self.luck.below(if hurries { 200 } else { 1000 });
            let index = self.luck.below(count);
            self.deliver_from(index, most);
        }
        match self.faults.take(call, fd) {
            Some(errno) => {
                self.remember(errno);
                self.note(|| format!("    {call:?} of {fd} fails: {errno:?}"));
                Err(errno)
            }
            None => Ok(()),
        }
    }

    fn program(&self, fd: i32) -> Result<FileId, Errno> {
        self.file(Process::Program, fd)
    }

    pub(crate) fn socket_call(&mut self, process: Process, family: Family) -> i32 {
        let file = self.open_socket(family);
        self.describe(process, file)
    }

    pub(crate) fn bind(&mut self, process: Process, fd: i32, to: &Address) -> Result<(), Errno> {
        self.file(process, fd).and_then(|file| self.bind_socket(file, to))
    }

    pub(crate) fn listen(&mut self, process: Process, fd: i32, backlog: i32) -> Result<(), Errno> {
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        self.file(process, fd).and_then(|file| self.listen_on(file, backlog))
    }

    pub(crate) fn connect(&mut self, process: Process, fd: i32, to: &Address) -> Result<(), Errno> {
        let result = self.file(process, fd).and_then(|file| self.connect_socket(file, to));
        if let Err(errno) = result {
            self.remember(errno);
        }
        result
    }

    pub(crate) fn accept(&mut self, process: Process, fd: i32) -> Result<i32, Errno> {
        let file = self.file(process, fd)?;
        let accepted = self.accept_from(file)?;
        Ok(self.describe(process, accepted))
    }

    pub(crate) fn shutdown(
        &mut self,
        process: Process,
        fd: i32,
        how: Shutdown,
    ) -> Result<(), Errno> {
        self.file(process, fd).and_then(|file| self.shut(file, how))
    }

    pub(crate) fn receive(
        &mut self,
        fd: i32,
        into: &mut [u8],
        peeks: bool,
    ) -> Result<usize, Errno> {
        let result = self.program(fd).and_then(|file| self.receive_into(file, into, peeks));
        result.inspect_err(|errno| self.remember(*errno)).ok();
        self.note(|| format!("    recv({fd}, {}) = {result:?}", into.len()));
        result
    }

    pub(crate) fn send(&mut self, fd: i32, pieces: &[&[u8]]) -> Result<usize, Errno> {
        let result = self.program(fd).and_then(|file| self.send_from(file, pieces));
        result.inspect_err(|errno| self.remember(*errno)).ok();
        self.note(|| {
            let length: usize = pieces.iter().map(|piece| piece.len()).sum();
            format!("    send({fd}, {length}) = {result:?}")
        });
        result
    }

    pub(crate) fn splice(&mut self, from: i32, to: i32, count: usize) -> Result<usize, Errno> {
        let files = self.program(from).and_then(|from| Ok((from, self.program(to)?)));
        let result = files.and_then(|(from, to)| self.splice_between(from, to, count));
        result.inspect_err(|errno| self.remember(*errno)).ok();
        self.note(|| format!("    splice({from}, {to}, {count}) = {result:?}"));
        result
    }

    pub(crate) fn set_pipe_size(&mut self, fd: i32, bytes: usize) -> Result<usize, Errno> {
        let result = self.program(fd).and_then(|file| self.resize_pipe(file, bytes));
        self.note(|| format!("    fcntl({fd}, F_SETPIPE_SZ, {bytes}) = {result:?}"));
        result
    }

    pub(crate) fn socket_of(&self, fd: i32) -> Result<&super::socket::Socket, Errno> {
        self.socket(self.program(fd)?)
            .ok_or_else(|| Errno::from_raw(libc::ENOTSOCK).unwrap_or(Errno::BADF))
    }

    pub(crate) fn socket_of_mut(&mut self, fd: i32) -> Result<&mut super::socket::Socket, Errno> {
        let file = self.program(fd)?;
        self.socket_mut(file).ok_or_else(|| Errno::from_raw(libc::ENOTSOCK).unwrap_or(Errno::BADF))
    }

    pub(crate) fn datagram_socket(&mut self) -> i32 {
        let fd = self.socket_call(Process::Program, Family::Unix);
        if let Ok(socket) = self.socket_of_mut(fd) {
            socket.is_datagram = true;
        }
        fd
    }

    pub(crate) fn epoll_create(&mut self) -> i32 {
        let file = self.open_epoll();
        self.describe(Process::Program, file)
    }

    pub(crate) fn control(
        &mut self,
        call: Call,
        (epoll, fd): (i32, i32),
        event: (u32, u64),
    ) -> Result<(), Errno> {
        let files = self.program(epoll).and_then(|epoll| Ok((epoll, self.program(fd)?)));
        let result = files.and_then(|(epoll, file)| {
            self.check_watchable(epoll, file)?;
            match call {
                Call::EpollAdd => self.epoll_add(epoll, (fd, file), event),
                Call::EpollModify => self.epoll_modify(epoll, (fd, file), event),
                _ => self.epoll_delete(epoll, fd, file),
            }
        });
        self.note(|| format!("    {call:?}({epoll}, {fd}, {:#x}) = {result:?}", event.0));
        result
    }

    pub(crate) fn epoll_wait(
        &mut self,
        epoll: i32,
        most: usize,
        timeout: i32,
    ) -> Result<Vec<(u32, u64)>, Errno> {
        let limit = u64::try_from(timeout).ok().map(|timeout| timeout * 1_000_000);
        let file = self.program(epoll)?;
        let events = self.wait_for_events(file, most, limit);
        self.note(|| format!("    epoll_wait({epoll}, {timeout}) = {}", shown(&events)));
        events
    }

    /// `poll(2)`: waits only for a single descriptor.
    pub(crate) fn poll(&mut self, fds: &mut [(i32, u32, u32)], timeout: i32) -> Result<(), Errno> {
        let limit = u64::try_from(timeout).ok().map(|timeout| timeout * 1_000_000);
        for (fd, requested, returned) in fds {
            let asked = *requested | flags::ERR | flags::HUP;
            *returned = match self.program(*fd) {
                Ok(file) if timeout == 0 => self.polled(file) & asked,
                Ok(file) => self.wait_for_flags(file, asked, limit)?,
                Err(_) if *fd < 0 => 0,
                Err(_) => libc::POLLNVAL.unsigned_abs().into(),
            };
            let (fd, is) = (*fd, *returned);
            self.note(|| format!("    poll({fd}) = {is:#x}"));
        }
        Ok(())
    }

    pub(crate) fn timer_create(&mut self) -> i32 {
        let file = self.insert(Kind::Timer(Timer::default()));
        self.timers.push(file);
        self.describe(Process::Program, file)
    }

    pub(crate) fn timer_set(&mut self, fd: i32, after: u64) {
        self.note(|| format!("    timerfd_settime({fd}, {after})"));
        if let Ok(file) = self.program(fd) {
            self.set_timer(file, after);
        }
    }

    /// `eventfd(2)`, a file of a disk, `dup(2)`: descriptors that only the program uses.
    pub(crate) fn event_fd(&mut self) -> i32 {
        let file = self.insert(Kind::Counter(0));
        self.describe(Process::Program, file)
    }

    pub(crate) fn regular_file(&mut self) -> i32 {
        let file = self.insert(Kind::Regular(Disk::default()));
        self.describe(Process::Program, file)
    }

    pub(crate) fn duplicate(&mut self, fd: i32) -> Result<i32, Errno> {
        let file = self.program(fd)?;
        Ok(self.describe(Process::Program, file))
    }

    /// `write(2)` to an eventfd.
    pub(crate) fn signal(&mut self, file: FileId, value: u64) {
        if let Some(Kind::Counter(count)) = self.kind_mut(file) {
            *count += value;
            self.wake(file, flags::IN);
        }
    }

    /// `read(2)` from an eventfd: the counter is 0 then.
    pub(crate) fn take_signals(&mut self, file: FileId) -> u64 {
        let count = match self.kind_mut(file) {
            Some(Kind::Counter(count)) => std::mem::take(count),
            _ => 0,
        };
        if count > 0 {
            self.wake(file, flags::OUT);
        }
        count
    }
}

fn shown(events: &Result<Vec<(u32, u64)>, Errno>) -> String {
    match events {
        Ok(events) => {
            let each = |(flags, token): &(u32, u64)| format!("{flags:#x} of {token:#x}");
            format!("[{}]", events.iter().map(each).collect::<Vec<_>>().join(", "))
        }
        Err(errno) => format!("{errno:?}"),
    }
}
