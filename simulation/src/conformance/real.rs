//! The runner on the kernel of this machine.

use std::ops::Range;
use std::time::Duration;

use crate::kernel as sys;

#[path = "runner/mod.rs"]
mod runner;

pub(super) use runner::run;

/// The size of a buffer, of which the kernel doubles it: socket(7). The small transfers of a script fill none.
const BUFFER: i32 = 192 << 10;

fn begin() {}

fn end() {}

/// What is sent over loopback has mostly arrived as the call returns; else it takes a moment.
fn settle(pace: Duration) {
    if !pace.is_zero() {
        std::thread::sleep(pace);
    }
}

/// Until a timer of 1 ns has fired.
fn pass_time() {
    std::thread::sleep(Duration::from_micros(200));
}

/// The model keeps urgent bytes in the stream, and no bytes back until others are acknowledged.
fn prepare(socket: &sys::OwnedFd) {
    let fd = sys::AsFd::as_fd(socket);
    for (name, value) in
        [(libc::SO_SNDBUF, BUFFER), (libc::SO_RCVBUF, BUFFER), (libc::SO_OOBINLINE, 1)]
    {
        let _ = sys::set_option(fd, libc::SOL_SOCKET, name, &value.to_ne_bytes());
    }
    let _ = sys::set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1_i32.to_ne_bytes());
}

/// Sends an acknowledgement that is delayed, which frees a part of the sender's buffer: `TCP_QUICKACK` of tcp(7).
fn acknowledge(socket: &sys::OwnedFd) {
    let value = 1_i32.to_ne_bytes();
    let fd = sys::AsFd::as_fd(socket);
    let _ = sys::set_option(fd, libc::IPPROTO_TCP, libc::TCP_QUICKACK, &value);
}

/// The name of what a socket sends.
fn stream(_socket: &sys::OwnedFd, id: usize) -> u32 {
    u32::try_from(id + 1).unwrap_or(0)
}

fn send_urgent(socket: &sys::OwnedFd, byte: u8) -> Result<usize, sys::Errno> {
    number(socket2::SockRef::from(socket).send_out_of_band(&[byte]))
}

/// A file with these bytes, which has no name any more.
fn regular_file(bytes: &[u8], _part: Range<u64>, _next: (u32, u64)) -> Option<sys::File> {
    let thread = std::thread::current().id();
    let name = format!("conformance-{}-{thread:?}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).ok()?;
    let file = std::fs::File::open(&path);
    std::fs::remove_file(&path).ok()?;
    let file = sys::File::duplicate(sys::AsRawFd::as_raw_fd(&file.ok()?)).ok()?;
    Some(file.0)
}

fn number(result: std::io::Result<usize>) -> Result<usize, sys::Errno> {
    let errno = |error: std::io::Error| error.raw_os_error().and_then(sys::Errno::from_raw);
    result.map_err(|error| errno(error).unwrap_or(sys::Errno::INVAL))
}

/// A name that no other socket has.
fn abstract_name(name: usize, count: usize) -> Vec<u8> {
    let thread = std::thread::current().id();
    format!("\0conformance {} {thread:?} {name}-{count}", std::process::id()).into_bytes()
}

fn possible(_epoll: i32) -> Vec<super::trace::Event> {
    Vec::new()
}

fn possible_flags(_fd: i32) -> u32 {
    0
}
