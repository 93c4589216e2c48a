//! The system calls that `core` makes, under the names of `src/sys`, on the world of this thread.

mod ancillary;
mod clock;
mod epoll;
mod event;
mod fd;
mod file;
mod pipe;
mod poll;
mod socket;
mod sockopt;

#[cfg(test)]
pub(crate) use crate::kernel::LINGER;
pub(crate) use crate::kernel::{
    Address, Errno, Family, MAX_BYTES, MAX_PIECES, Shutdown, error_of, flags, makes_close_block,
};
pub(crate) use ancillary::{MAX_DESCRIPTORS, Message, receive_descriptors, send_descriptors};
pub(crate) use clock::{Instant, TimerFd};
pub(crate) use epoll::{Epoll, EpollEvent};
pub(crate) use event::EventFd;
pub(crate) use fd::{
    AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd, adopt, check_open, duplicate,
};
pub(crate) use file::{File, is_of_file};
pub(crate) use pipe::{pipe, set_pipe_size, splice};
pub(crate) use poll::{PollFd, poll};
pub(crate) use socket::{
    accept, bind, connect, datagram_socket, former_remote_address, listen, local_address,
    multipath_socket, peek, receive, remote_address, send_pieces, shutdown, socket,
};
pub(crate) use sockopt::{
    check_stream, discard_on_close, get_option, is_listening, is_tcp, is_unix, lingers,
    send_after_close, set_option, socket_error,
};
