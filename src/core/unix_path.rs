//! The path of a Unix socket.

use crate::sys::{self, Address, AsFd, Errno};

/// Whether a socket is bound to the file at a path: `connect(2)` of a datagram socket.
///
/// # Errors
/// ECONNREFUSED when no socket is, or when the file is no socket; EPROTOTYPE when a stream socket is, listening or not;
/// ENOENT, EACCES and others of the path.
///
/// # Notes
/// `unix_find_bsd` in `net/unix/af_unix.c` finds the socket before it compares the types: a listener does not notice.
pub(crate) fn probe_path(address: &Address) -> Result<(), Errno> {
    let probe = sys::datagram_socket()?;
    sys::connect(probe.as_fd(), address)
}
