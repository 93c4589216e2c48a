//! System calls that return an `io::Result`.

use std::io::{Error, Result};
use std::mem::{size_of, zeroed};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

pub const IN: u32 = libc::EPOLLIN as u32;
pub const OUT: u32 = libc::EPOLLOUT as u32;
pub const EDGE: u32 = libc::EPOLLET as u32;
pub const RDHUP: u32 = libc::EPOLLRDHUP as u32;
/// The flags of an event after which a short read is not the last one: the peer has ended, or the connection failed.
pub const END_FLAGS: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;

pub type Event = libc::epoll_event;

fn check(result: isize) -> Result<usize> {
    usize::try_from(result).map_err(|_| Error::last_os_error())
}

/// `None` for EAGAIN.
fn attempt(result: isize) -> Result<Option<usize>> {
    match check(result) {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}

fn address(ip: Ipv4Addr, port: u16) -> libc::sockaddr_in {
    // SAFETY: all-zero bytes are a valid sockaddr_in.
    let mut address: libc::sockaddr_in = unsafe { zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = port.to_be();
    address.sin_addr.s_addr = u32::from(ip).to_be();
    address
}

fn set(fd: RawFd, level: i32, name: i32, value: i32) -> Result<()> {
    // SAFETY: the value is an int that outlives the call.
    let result = unsafe {
        libc::setsockopt(fd, level, name, (&raw const value).cast(), size_of::<i32>() as u32)
    };
    check(result as isize).map(drop)
}

fn stream(flags: i32) -> Result<OwnedFd> {
    // SAFETY: socket(2) takes no pointer; the descriptor that it returns has no other owner.
    let fd = check(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags, 0)
    } as isize)?;
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// A TCP socket with TCP_NODELAY, connected or connecting to 127.0.0.1 from `source`.
///
/// # Notes
/// ip(7): IP_BIND_ADDRESS_NO_PORT defers the choice of the port to connect(2), which may choose one that is in use with
/// another destination. Without it, bind(2) runs out of ports of the source address.
pub fn connect(port: u16, source: Ipv4Addr, blocking: bool) -> Result<OwnedFd> {
    let socket = stream(if blocking { 0 } else { libc::SOCK_NONBLOCK })?;
    let fd = socket.as_raw_fd();
    set(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    set(fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
    let (from, to) = (address(source, 0), address(Ipv4Addr::LOCALHOST, port));
    let length = size_of::<libc::sockaddr_in>() as u32;
    // SAFETY: both addresses outlive the calls and have the given length.
    check(unsafe { libc::bind(fd, (&raw const from).cast(), length) } as isize)?;
    match check(unsafe { libc::connect(fd, (&raw const to).cast(), length) } as isize) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// A listening TCP socket on 127.0.0.1, and its port.
pub fn listen(backlog: i32) -> Result<(OwnedFd, u16)> {
    let socket = stream(libc::SOCK_NONBLOCK)?;
    let fd = socket.as_raw_fd();
    let mut here = address(Ipv4Addr::LOCALHOST, 0);
    let mut length = size_of::<libc::sockaddr_in>() as u32;
    // SAFETY: the address outlives the calls, and getsockname(2) writes at most `length` bytes.
    check(unsafe { libc::bind(fd, (&raw const here).cast(), length) } as isize)?;
    check(unsafe { libc::listen(fd, backlog) } as isize)?;
    check(unsafe { libc::getsockname(fd, (&raw mut here).cast(), &raw mut length) } as isize)?;
    Ok((socket, u16::from_be(here.sin_port)))
}

/// accept4(2), with TCP_NODELAY; `None` when no connection is pending.
pub fn accept(listener: &OwnedFd) -> Result<Option<OwnedFd>> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: accept4(2) allows null when the address is not wanted; the descriptor that it returns has no other owner.
    let result = unsafe {
        libc::accept4(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags)
    };
    let Some(fd) = attempt(result as isize)? else { return Ok(None) };
    let socket = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
    set(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    Ok(Some(socket))
}

pub fn set_nonblocking(fd: RawFd) -> Result<()> {
    // SAFETY: F_SETFL takes an int.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) } as isize).map(drop)
}

/// recv(2): the number of bytes, 0 at the peer's end, `None` when there is nothing to receive.
#[inline]
pub fn receive(fd: RawFd, into: &mut [u8]) -> Result<Option<usize>> {
    // SAFETY: the kernel writes only to the slice.
    attempt(unsafe { libc::recv(fd, into.as_mut_ptr().cast(), into.len(), 0) })
}

/// read(2).
pub fn read(fd: RawFd, into: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes only to the slice.
    check(unsafe { libc::read(fd, into.as_mut_ptr().cast(), into.len()) })
}

/// send(2): the number of bytes that the kernel took; `None` when its buffer is full.
#[inline]
pub fn send(fd: RawFd, bytes: &[u8]) -> Result<Option<usize>> {
    // SAFETY: the kernel reads only the slice.
    attempt(unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) })
}

/// shutdown(2) of the writing half.
pub fn shutdown(fd: RawFd) -> Result<()> {
    // SAFETY: shutdown(2) takes no pointer.
    check(unsafe { libc::shutdown(fd, libc::SHUT_WR) } as isize).map(drop)
}

/// SO_LINGER of 0 s, socket(7): close(2) sends RST.
pub fn reset_at_close(fd: RawFd) -> Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = size_of::<libc::linger>() as u32;
    // SAFETY: the kernel reads one linger, which outlives the call.
    let result = unsafe {
        let value = (&raw const linger).cast();
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_LINGER, value, length)
    };
    check(result as isize).map(drop)
}

/// pipe2(2): the ends to read from and to write to. F_SETPIPE_SZ, fcntl(2), makes room for `size` bytes.
pub fn pipe(size: usize) -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two ints; the descriptors have no other owner.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) } as isize)?;
    let pipe = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
    // SAFETY: F_SETPIPE_SZ takes an int.
    check(unsafe { libc::fcntl(ends[0], libc::F_SETPIPE_SZ, size as i32) } as isize)?;
    Ok(pipe)
}

/// splice(2): the number of bytes that were moved, 0 at the end of `from`, `None` when it would block.
#[inline]
pub fn splice(from: RawFd, to: RawFd, length: usize) -> Result<Option<usize>> {
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    // SAFETY: splice(2) allows null for the offsets of sockets and pipes.
    attempt(unsafe {
        libc::splice(from, std::ptr::null_mut(), to, std::ptr::null_mut(), length, flags)
    })
}

/// SO_ERROR: the pending error of a connection.
pub fn socket_error(fd: RawFd) -> Result<()> {
    let (mut code, mut length) = (0_i32, size_of::<i32>() as u32);
    // SAFETY: the kernel writes an int.
    check(unsafe {
        libc::getsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_ERROR,
            (&raw mut code).cast(),
            &raw mut length,
        )
    } as isize)?;
    if code == 0 { Ok(()) } else { Err(Error::from_raw_os_error(code)) }
}

pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> Result<Self> {
        // SAFETY: epoll_create1(2) takes no pointer; the descriptor that it returns has no other owner.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) } as isize)?;
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }

    pub fn add(&self, fd: RawFd, events: u32, key: u64) -> Result<()> {
        let mut event = Event { events, u64: key };
        // SAFETY: the event outlives the call.
        check(unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)
        } as isize)
        .map(drop)
    }

    /// The number of events, 0 after the timeout or a signal. `None` blocks without limit.
    #[inline]
    pub fn wait(&self, events: &mut [Event], timeout: Option<Duration>) -> Result<usize> {
        let Some(timeout) = timeout else {
            // SAFETY: the kernel writes at most `events.len()` events.
            let result = unsafe {
                libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), events.len() as i32, -1)
            };
            return interrupted(result as isize);
        };
        // The timeout of epoll_wait(2) is in milliseconds, that of epoll_pwait2(2), since Linux 5.11, in nanoseconds.
        let time = libc::timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        // SAFETY: as above; the timespec outlives the call, and a null mask does not change the signal mask.
        let result = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.0.as_raw_fd(),
                events.as_mut_ptr(),
                events.len() as i32,
                &raw const time,
                0_usize,
                0_usize,
            )
        };
        interrupted(result as isize)
    }
}

fn interrupted(result: isize) -> Result<usize> {
    match check(result) {
        Err(error) if error.raw_os_error() == Some(libc::EINTR) => Ok(0),
        result => result,
    }
}

/// getrusage(2): the user and system CPU time of this process in microseconds.
pub fn usage() -> (i64, i64) {
    // SAFETY: all-zero bytes are a valid rusage, and the kernel writes one rusage.
    let mut usage: libc::rusage = unsafe { zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    (micros(usage.ru_utime), micros(usage.ru_stime))
}

/// setrlimit(2): raises the limit of descriptors to the hard limit. The soft limit is often 1,024.
pub fn raise_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes, and then reads, one rlimit.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// PR_SET_TIMERSLACK, prctl(2): by default the kernel may end a wait 50 us late.
pub fn reduce_timer_slack() {
    // SAFETY: PR_SET_TIMERSLACK takes a number of nanoseconds.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
}
