//! `getsockopt(2)` and `setsockopt(2)`.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use super::Errno;

/// A level and the number of an option there.
type Name = (i32, i32);

/// The level of MPTCP's own options, `SOL_MPTCP` of linux/socket.h.
const SOL_MPTCP: i32 = 284;

/// The options with which getsockopt(2) would use other memory than the buffer that it is given: to which it would
/// write through a pointer in the buffer, or beyond the buffer's end. A buffer of JavaScript may have any bytes.
///
/// The functions that are named are those of Linux 6.12, where netfilter's are the same since 2.6.
const UNSAFE_TO_GET: [Name; 10] = [
    // SO_GET_FILTER. `sk_get_filter` in net/core/filter.c: the length counts instructions, of 8 bytes each.
    (libc::SOL_SOCKET, 26),
    // TCP_ZEROCOPY_RECEIVE. `tcp_zerocopy_receive` in net/ipv4/tcp.c writes to `address` and `copybuf_address`.
    (libc::IPPROTO_TCP, 35),
    // TCP_AO_GET_KEYS. `tcp_ao_copy_mkts_to_user` in net/ipv4/tcp_ao.c: the length is that of one key, `nkeys` says how
    // many are written.
    (libc::IPPROTO_TCP, 41),
    // MPTCP_FULL_INFO. `mptcp_getsockopt_full_info` in net/mptcp/sockopt.c writes to `tcp_info` and `subflow_info`.
    (SOL_MPTCP, 4),
    // IP_MSFILTER and MCAST_MSFILTER. `ip_mc_msfget` and `ip_mc_gsfget` in net/ipv4/igmp.c, `ip6_mc_msfget` in
    // net/ipv6/mcast.c write as many addresses as the struct says.
    (libc::IPPROTO_IP, 41),
    (libc::IPPROTO_IP, 48),
    (libc::IPPROTO_IPV6, 48),
    // EBT_SO_GET_ENTRIES and EBT_SO_GET_INIT_ENTRIES. `copy_everything_to_user` in net/bridge/netfilter/ebtables.c
    // writes to `entries` and `counters`.
    (libc::IPPROTO_IP, 129),
    (libc::IPPROTO_IP, 131),
    // SCTP_SOCKOPT_CONNECTX3. `sctp_getsockopt_connectx3` in net/sctp/socket.c reads from `addrs`.
    (libc::IPPROTO_SCTP, 111),
];

/// As [`UNSAFE_TO_GET`], of setsockopt(2).
const UNSAFE_TO_SET: [Name; 8] = [
    // SO_ATTACH_FILTER and SO_ATTACH_REUSEPORT_CBPF. `__get_filter` in net/core/filter.c reads from `filter` of `struct
    // sock_fprog`. The options that attach eBPF take a descriptor.
    (libc::SOL_SOCKET, 26),
    (libc::SOL_SOCKET, 51),
    // TCP_ZEROCOPY_RECEIVE, which linux/tcp.h describes as an option to set; no kernel takes it yet.
    (libc::IPPROTO_TCP, 35),
    // IPT_SO_SET_REPLACE, ARPT_SO_SET_REPLACE, IP6T_SO_SET_REPLACE. `__do_replace` in net/ipv4/netfilter/ip_tables.c
    // and its siblings writes the old counters to `counters`.
    (libc::IPPROTO_IP, 64),
    (libc::IPPROTO_IP, 96),
    (libc::IPPROTO_IPV6, 64),
    // EBT_SO_SET_ENTRIES and EBT_SO_SET_COUNTERS. `do_replace_finish` in net/bridge/netfilter/ebtables.c writes to
    // `counters` and reads from `entries`; `do_update_counters` reads from `counters`.
    (libc::IPPROTO_IP, 128),
    (libc::IPPROTO_IP, 129),
];

/// Whether getsockopt(2) would use other memory than its buffer.
pub(crate) fn is_unsafe_to_get(level: i32, name: i32) -> bool {
    UNSAFE_TO_GET.contains(&(level, name))
}

/// Whether setsockopt(2) would use other memory than the value.
pub(crate) fn is_unsafe_to_set(level: i32, name: i32) -> bool {
    UNSAFE_TO_SET.contains(&(level, name))
}

/// `getsockopt(2)`: returns the number of bytes written to `into`.
///
/// # Errors
/// ENOPROTOOPT for an unknown option; EINVAL.
pub(crate) fn get_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    into: &mut [u8],
) -> Result<usize, Errno> {
    get_raw(fd.as_raw_fd(), level, name, into)
}

/// `setsockopt(2)`.
///
/// # Errors
/// ENOPROTOOPT for an unknown option; EINVAL, EPERM, EDOM and others, by option.
pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &[u8],
) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::INVAL)?;
    syscall!(setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), length)).map(drop)
}

/// `SO_ERROR`: the socket's pending error. socket(7): reading it clears it.
pub(crate) fn socket_error(fd: BorrowedFd<'_>) -> Result<Option<Errno>, Errno> {
    get_int(fd.as_raw_fd(), libc::SO_ERROR).map(Errno::from_raw)
}

/// The pending error of a socket that `get_option` has returned, if the option is `SO_ERROR`.
pub(crate) fn error_of(level: i32, name: i32, value: &[u8]) -> Option<Errno> {
    let number =
        value.first_chunk().filter(|_| level == libc::SOL_SOCKET && name == libc::SO_ERROR)?;
    Errno::from_raw(i32::from_ne_bytes(*number))
}

/// Checks by `SO_TYPE` that it is a stream socket.
///
/// # Errors
/// EBADF; ENOTSOCK for a descriptor of another kind; EPROTOTYPE for a socket of another type.
pub(crate) fn check_stream(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    match get_int(fd.as_raw_fd(), libc::SO_TYPE)? {
        libc::SOCK_STREAM => Ok(()),
        _ => Err(Errno::PROTOTYPE),
    }
}

/// Whether `SO_PROTOCOL` is TCP.
pub(crate) fn is_tcp(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(get_int(fd.as_raw_fd(), libc::SO_PROTOCOL)? == libc::IPPROTO_TCP)
}

/// Whether `SO_DOMAIN` is that of Unix sockets.
pub(crate) fn is_unix(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(get_int(fd.as_raw_fd(), libc::SO_DOMAIN)? == libc::AF_UNIX)
}

/// `SO_ACCEPTCONN`: whether listen(2) has been called.
pub(crate) fn is_listening(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(get_int(fd.as_raw_fd(), libc::SO_ACCEPTCONN)? != 0)
}

/// Sets `SO_LINGER` with a time of 0: close(2) then sends RST and discards unsent bytes.
pub(crate) fn discard_on_close(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_linger(fd, 1)
}

/// Turns `SO_LINGER` off: close(2) then returns at once, and the kernel sends the rest in the background.
pub(crate) fn send_after_close(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_linger(fd, 0)
}

/// Whether the option makes close(2) block. socket(7): `SO_LINGER` with a time above 0 does, also for a non-blocking
/// socket.
pub(crate) fn makes_close_block(level: i32, name: i32, value: &[u8]) -> bool {
    let zero = |half: Option<&[u8]>| half.is_none_or(|half| half.iter().all(|byte| *byte == 0));
    level == libc::SOL_SOCKET
        && name == libc::SO_LINGER
        && !zero(value.get(..4))
        && !zero(value.get(4..8))
}

/// The level and the number of `SO_LINGER`.
#[cfg(test)]
pub(crate) const LINGER: (i32, i32) = (libc::SOL_SOCKET, libc::SO_LINGER);

/// Whether `SO_LINGER` is set so that close(2) blocks.
pub(crate) fn lingers(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    let (level, name, mut value) = (libc::SOL_SOCKET, libc::SO_LINGER, [0; 8]);
    get_option(fd, level, name, &mut value)?;
    Ok(makes_close_block(level, name, &value))
}

/// `struct linger`, with a time of 0 seconds.
fn set_linger(fd: BorrowedFd<'_>, on: i32) -> Result<(), Errno> {
    let mut value = [0; 8];
    value[..4].copy_from_slice(&on.to_ne_bytes());
    set_option(fd, libc::SOL_SOCKET, libc::SO_LINGER, &value)
}

fn get_int(fd: RawFd, name: i32) -> Result<i32, Errno> {
    let mut value = [0; 4];
    get_raw(fd, libc::SOL_SOCKET, name, &mut value)?;
    Ok(i32::from_ne_bytes(value))
}

fn get_raw(fd: RawFd, level: i32, name: i32, into: &mut [u8]) -> Result<usize, Errno> {
    let mut length = libc::socklen_t::try_from(into.len()).map_err(|_| Errno::INVAL)?;
    syscall!(getsockopt(fd, level, name, into.as_mut_ptr().cast(), &raw mut length))?;
    Ok(into.len().min(usize::try_from(length).unwrap_or(0)))
}
