//! Descriptors that are passed: `sendmsg(2)` and `recvmsg(2)` with `SCM_RIGHTS`, unix(7).
//!
//! Control messages are written and read as bytes, in the layout of the kernel's `struct cmsghdr` (linux/socket.h): a
//! length of the size of a pointer, the level, the type, and the data. The structs of glibc and musl differ.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::Errno;
use super::transfer::{MAX_PIECES, length_field};

/// `SCM_MAX_FD`: the most descriptors of one message, see unix(7).
pub(crate) const MAX_DESCRIPTORS: usize = 253;

/// A descriptor of the sending process, which a socket with `SO_PASSPIDFD` gets: linux/socket.h.
const SCM_PIDFD: i32 = 4;

/// The level and the type of a control message.
type Kind = (i32, i32);

/// The size of a control message without its data, in bytes.
const HEADER: usize = size_of::<usize>() + 2 * size_of::<i32>();

/// Room for the control messages of one receive, in bytes: 253 descriptors, the credentials of `SO_PASSCRED`, the
/// descriptor of `SO_PASSPIDFD`, and a label of `SO_PASSSEC`. What finds no room is cut, and then `MSG_CTRUNC` does not say
/// what.
const ROOM: usize = 4096;

/// The alignment of a `struct cmsghdr`.
#[repr(align(8))]
struct Control([u8; ROOM]);

/// What a receive with descriptors has returned.
pub(crate) struct Message {
    /// The number of bytes.
    pub(crate) length: usize,
    /// In the order in which they were sent. They are close-on-exec; whether they block is a flag of the open file.
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Whether some were sent that did not come: `MSG_CTRUNC`.
    pub(crate) is_truncated: bool,
}

/// `sendmsg(2)` with `SCM_RIGHTS`: returns the number of bytes that the kernel took. The descriptors go with the first one;
/// there has to be one.
///
/// # Errors
/// EAGAIN when the kernel's buffer is full. EBADF when one of the descriptors is not open; EINVAL for one that the kernel
/// does not pass, as `io_uring`'s; ETOOMANYREFS when more are under way than the process may have open, unix(7); EPERM when
/// the peer has turned `SO_PASSRIGHTS` off. EPIPE, ECONNRESET; ENOBUFS, ENOMEM. After any of them nothing was sent.
///
/// # Notes
/// TCP sends the bytes, and ignores the descriptors (`__sock_cmsg_send` in `net/core/sock.c`). Only [`MAX_PIECES`] pieces
/// are sent.
pub(crate) fn send_descriptors(
    fd: BorrowedFd<'_>,
    pieces: &[IoSlice<'_>],
    descriptors: &[RawFd],
) -> Result<usize, Errno> {
    let mut control = rights(descriptors);
    // SAFETY: all-zero bytes are a valid `msghdr`: null pointers and lengths of 0.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // std guarantees that an `IoSlice` has the layout of `struct iovec`. sendmsg(2) does not write to it.
    message.msg_iov = pieces.as_ptr().cast_mut().cast();
    message.msg_iovlen = length_field(pieces.len().min(MAX_PIECES));
    if !descriptors.is_empty() {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = length_field(control.len());
    }
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    loop {
        let sent = syscall!(sendmsg(fd.as_raw_fd(), &raw const message, flags));
        match sent {
            Err(Errno::INTR) => {}
            sent => return sent.map(isize::unsigned_abs),
        }
    }
}

/// The control message that passes descriptors.
fn rights(descriptors: &[RawFd]) -> Vec<u8> {
    let length = HEADER + size_of_val(descriptors);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(libc::SOL_SOCKET.to_ne_bytes());
    bytes.extend(libc::SCM_RIGHTS.to_ne_bytes());
    bytes.extend(descriptors.iter().flat_map(|fd| fd.to_ne_bytes()));
    bytes
}

/// `recvmsg(2)` with `MSG_CMSG_CLOEXEC`: bytes, and the descriptors that were sent with one of them.
///
/// # Errors
/// As `receive`.
///
/// # Notes
/// A receive stops after the bytes that descriptors came with, and does not stop before them: `unix_stream_read_generic`
/// in `net/unix/af_unix.c`. What cannot be opened (EMFILE) ends the descriptors of a message, and sets `MSG_CTRUNC`: those
/// before it are open, `scm_detach_fds` in `net/core/scm.c`.
pub(crate) fn receive_descriptors(fd: BorrowedFd<'_>, into: &mut [u8]) -> Result<Message, Errno> {
    let mut control = Control([0; ROOM]);
    let mut piece = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: all-zero bytes are a valid `msghdr`: null pointers and lengths of 0.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = length_field(ROOM);
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let length = loop {
        match syscall!(recvmsg(fd.as_raw_fd(), &raw mut message, flags)) {
            Err(Errno::INTR) => {}
            received => break received?.unsigned_abs(),
        }
    };
    let used = size_of_field(message.msg_controllen);
    let descriptors = passed(control.0.get(..used).unwrap_or_default());
    let is_truncated = message.msg_flags & libc::MSG_CTRUNC != 0;
    Ok(Message { length, descriptors, is_truncated })
}

/// The value of a field that is a `size_t` in glibc and a `socklen_t` in musl.
fn size_of_field<T: TryInto<usize>>(length: T) -> usize {
    length.try_into().unwrap_or(0)
}

/// Takes ownership of all descriptors in control messages that the kernel has just written, and returns those that the
/// peer has passed.
fn passed(mut control: &[u8]) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    while let Some((kind, data, rest)) = first_message(control) {
        match kind {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => descriptors.extend(owned(data)),
            // No caller asks for it: it is closed.
            (libc::SOL_SOCKET, SCM_PIDFD) => drop(owned(data).collect::<Vec<_>>()),
            _ => {}
        }
        control = rest;
    }
    descriptors
}

/// The level and the type of the first control message, its data, and what follows it.
fn first_message(control: &[u8]) -> Option<(Kind, &[u8], &[u8])> {
    let (length, header) = control.split_first_chunk()?;
    let (level, header) = header.split_first_chunk()?;
    let (kind, _) = header.split_first_chunk()?;
    let length = usize::from_ne_bytes(*length);
    let data = control.get(HEADER..length)?;
    let rest = control.get(length.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
    Some(((i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind)), data, rest))
}

/// The descriptors in the data of a control message. The kernel writes an errno, negated, for one that it could not open.
fn owned(data: &[u8]) -> impl Iterator<Item = OwnedFd> {
    let (numbers, _) = data.as_chunks();
    let open = numbers.iter().map(|it| RawFd::from_ne_bytes(*it)).filter(|fd| *fd >= 0);
    // SAFETY: the kernel has just opened these descriptors for this receive, and each is read once: they have no other owner.
    open.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::{HEADER, first_message, passed, rights};

    /// A control message with padding, as recvmsg(2) writes it.
    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(size_of::<usize>()), 0);
        bytes
    }

    #[test]
    fn a_message_is_laid_out_as_libc_does() {
        let bytes = rights(&[7, 8, 9]);
        // SAFETY: the macro only computes.
        let length = unsafe { libc::CMSG_LEN(12) };
        assert_eq!(bytes.len(), usize::try_from(length).unwrap_or(0));
        assert_eq!(bytes.len(), HEADER + 12);
        let ((level, kind), data, rest) = first_message(&bytes).unwrap_or_default();
        assert_eq!((level, kind), (libc::SOL_SOCKET, libc::SCM_RIGHTS));
        assert_eq!(data, [7, 8, 9].map(i32::to_ne_bytes).concat());
        assert!(rest.is_empty());
    }

    #[test]
    fn messages_of_other_kinds_are_skipped() {
        let bytes = [
            message(libc::SOL_SOCKET, libc::SCM_CREDENTIALS, &[1; 12]),
            message(libc::SOL_SOCKET, libc::SCM_TIMESTAMP, &[2; 16]),
            message(libc::IPPROTO_IP, libc::SCM_RIGHTS, &[3; 4]),
            message(libc::SOL_SOCKET, libc::SCM_RIGHTS, &(-1i32).to_ne_bytes()),
        ]
        .concat();
        let mut kinds = Vec::new();
        let mut rest = &bytes[..];
        while let Some((kind, data, next)) = first_message(rest) {
            kinds.push((kind.1, data.len()));
            rest = next;
        }
        assert_eq!(
            kinds,
            [
                (libc::SCM_CREDENTIALS, 12),
                (libc::SCM_TIMESTAMP, 16),
                (libc::SCM_RIGHTS, 4),
                (libc::SCM_RIGHTS, 4)
            ]
        );
        assert!(passed(&bytes).is_empty());
    }

    #[test]
    fn a_message_that_is_cut_is_none() {
        let bytes = message(libc::SOL_SOCKET, libc::SCM_RIGHTS, &[1; 8]);
        for length in 0..HEADER + 8 {
            assert!(first_message(bytes.get(..length).unwrap_or_default()).is_none());
        }
        assert!(first_message(&[0; 64]).is_none());
        assert!(first_message(&[0xff; 64]).is_none());
    }
}
