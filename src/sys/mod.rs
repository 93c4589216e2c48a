//! The only home of `libc`: one thin, safe function per system call.
//!
//! Every descriptor is owned from birth, close-on-exec and non-blocking. Nothing here keeps state.

/// Runs a system call that reports failure as -1 and turns it into a `Result`.
macro_rules! syscall {
    ($call:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: pointers handed over are valid for the call; the kernel checks everything else.
        let result = unsafe { libc::$call($($argument),*) };
        if result == -1 { Err(crate::sys::Errno::last()) } else { Ok(result) }
    }};
}

mod address;
mod epoll;
mod errno;
mod eventfd;
mod fcntl;
mod poll;
mod socket;
mod sockopt;
mod symbol;
mod transfer;

pub(crate) use address::Address;
pub(crate) use epoll::{Epoll, EpollEvent, flags};
pub(crate) use errno::Errno;
pub(crate) use eventfd::EventFd;
pub(crate) use fcntl::{adopt, is_descriptor};
pub(crate) use poll::{PollFd, poll};
pub(crate) use socket::{
    Family, Shutdown, accept, bind, connect, listen, local_address, remote_address, shutdown,
    socket,
};
pub(crate) use sockopt::{
    check_stream, discard_on_close, get_option, is_listening, is_tcp, makes_close_wait,
    send_behind_close, set_option, socket_error,
};
pub(crate) use symbol::symbol;
pub(crate) use transfer::{MAX_PIECES, peek, receive, send_pieces};
