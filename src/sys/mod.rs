//! The only module that uses `libc`: one thin, safe function per system call, and no state.
//!
//! Every descriptor is owned, close-on-exec and non-blocking from its creation.
//!
//! What `core` knows of the world, the clock included, it has from here: the simulation puts another module in its place.

/// Makes a system call and converts its result: -1 becomes the errno.
macro_rules! syscall {
    ($call:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: all pointers that callers pass are valid for the call; the kernel checks the other arguments.
        let result = unsafe { libc::$call($($argument),*) };
        if result == -1 { Err(Errno::last()) } else { Ok(result) }
    }};
}

mod address;
mod ancillary;
mod epoll;
mod errno;
mod eventfd;
mod fcntl;
mod file;
mod page_cache;
mod pipe;
mod poll;
mod socket;
mod sockopt;
mod symbol;
mod timerfd;
mod transfer;

pub(crate) use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
pub(crate) use std::time::Instant;

pub(crate) use address::Address;
pub(crate) use ancillary::{MAX_DESCRIPTORS, Message, receive_descriptors, send_descriptors};
pub(crate) use epoll::{Epoll, EpollEvent, flags, register_readable};
pub(crate) use errno::Errno;
pub(crate) use eventfd::EventFd;
pub(crate) use fcntl::{adopt, check_open, duplicate};
pub(crate) use file::{File, is_of_file};
pub(crate) use pipe::{pipe, set_pipe_size, splice};
pub(crate) use poll::{PollFd, poll};
pub(crate) use socket::{
    Family, Shutdown, accept, bind, connect, datagram_socket, former_remote_address, listen,
    local_address, multipath_socket, remote_address, shutdown, socket,
};
#[cfg(test)]
pub(crate) use sockopt::LINGER;
pub(crate) use sockopt::{
    check_stream, discard_on_close, error_of, get_option, is_listening, is_tcp, is_unix,
    is_unsafe_to_get, is_unsafe_to_set, lingers, makes_close_block, send_after_close, set_option,
    socket_error,
};
pub(crate) use symbol::symbol;
pub(crate) use timerfd::TimerFd;
pub(crate) use transfer::{MAX_BYTES, MAX_PIECES, peek, receive, send_pieces};
