//! `struct sockaddr`, `ip(7)`, `ipv6(7)`, `unix(7)`.

use std::ffi::CString;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::Errno;

/// Where a socket is bound or connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Inet(SocketAddr),
    /// A path without its terminating NUL; empty for an unnamed socket, abstract when it begins with NUL.
    Unix(Vec<u8>),
}

const PATH_OFFSET: usize = offset_of!(libc::sockaddr_un, sun_path);

impl Address {
    /// Parses a numeric host; an IPv6 address may have a zone (`fe80::1%eth0`).
    ///
    /// # Errors
    /// EINVAL for a host that is not numeric; ENODEV for a zone that is not an interface.
    pub(crate) fn numeric(host: &str, port: u16) -> Result<Self, Errno> {
        if let Some((host, zone)) = host.split_once('%') {
            let host: Ipv6Addr = host.parse().map_err(|_| Errno::INVAL)?;
            let address = SocketAddrV6::new(host, port, 0, interface_index(zone)?);
            return Ok(Self::Inet(address.into()));
        }
        let host: IpAddr = host.parse().map_err(|_| Errno::INVAL)?;
        Ok(Self::Inet((host, port).into()))
    }
}

/// An address in the kernel's form: a `sockaddr` of some family and its length.
pub(super) struct RawAddress {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl RawAddress {
    /// # Errors
    /// ENAMETOOLONG for a path that does not fit in `sun_path`.
    pub(super) fn new(address: &Address) -> Result<Self, Errno> {
        match address {
            Address::Inet(SocketAddr::V4(address)) => Ok(Self::of(ipv4(*address))),
            Address::Inet(SocketAddr::V6(address)) => Ok(Self::of(ipv6(address))),
            Address::Unix(path) => unix(path),
        }
    }

    /// An empty buffer that the kernel writes at most `size` bytes to.
    pub(super) fn with_room(size: usize) -> Self {
        Self { length: socklen(size), ..Self::empty() }
    }

    /// An empty buffer that the kernel can write an address of any family to.
    pub(super) fn empty() -> Self {
        // SAFETY: all-zero bytes are a valid `sockaddr_storage`, of family AF_UNSPEC.
        let storage = unsafe { MaybeUninit::zeroed().assume_init() };
        Self { storage, length: socklen(size_of::<libc::sockaddr_storage>()) }
    }

    fn of<T>(address: T) -> Self {
        let mut raw = Self::empty();
        raw.length = socklen(size_of::<T>());
        // SAFETY: sockaddr(3type): every `sockaddr_*` fits in a `sockaddr_storage`, which is aligned for all of them.
        unsafe { (&raw mut raw.storage).cast::<T>().write(address) };
        raw
    }

    pub(super) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    pub(super) fn length(&self) -> libc::socklen_t {
        self.length
    }

    pub(super) fn as_mut_parts(&mut self) -> (*mut libc::sockaddr, *mut libc::socklen_t) {
        ((&raw mut self.storage).cast(), &raw mut self.length)
    }

    /// The address that the kernel wrote; `None` for a family that is not in [`Family`](super::Family).
    pub(super) fn address(&self) -> Option<Address> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family AF_INET says that the storage is a `sockaddr_in`.
                let raw = unsafe { *(&raw const self.storage).cast::<libc::sockaddr_in>() };
                let host = raw.sin_addr.s_addr.to_ne_bytes().into();
                let port = u16::from_be(raw.sin_port);
                Some(Address::Inet(SocketAddrV4::new(host, port).into()))
            }
            libc::AF_INET6 => {
                // SAFETY: the family AF_INET6 says that the storage is a `sockaddr_in6`.
                let raw = unsafe { *(&raw const self.storage).cast::<libc::sockaddr_in6>() };
                let host = raw.sin6_addr.s6_addr.into();
                let port = u16::from_be(raw.sin6_port);
                let address = SocketAddrV6::new(host, port, raw.sin6_flowinfo, raw.sin6_scope_id);
                Some(Address::Inet(address.into()))
            }
            libc::AF_UNIX => Some(Address::Unix(self.path())),
            _ => None,
        }
    }

    fn path(&self) -> Vec<u8> {
        // SAFETY: the caller has checked for the family AF_UNIX, so the storage is a `sockaddr_un`; what the kernel did
        // not write is zero.
        let raw = unsafe { *(&raw const self.storage).cast::<libc::sockaddr_un>() };
        let length = usize::try_from(self.length).unwrap_or(0).saturating_sub(PATH_OFFSET);
        // `c_char` is signed on x86-64 and unsigned on arm64.
        let bytes = raw.sun_path.iter().take(length).flat_map(|byte| byte.to_ne_bytes());
        if raw.sun_path.first() == Some(&0) {
            return bytes.collect();
        }
        bytes.take_while(|byte| *byte != 0).collect()
    }
}

fn ipv4(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: family(libc::AF_INET),
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    }
}

fn ipv6(address: &SocketAddrV6) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: family(libc::AF_INET6),
        sin6_port: address.port().to_be(),
        sin6_flowinfo: address.flowinfo(),
        sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
        sin6_scope_id: address.scope_id(),
    }
}

/// Makes a `sockaddr_un`. unix(7): the length of a path includes its NUL; an abstract name has no terminator.
fn unix(path: &[u8]) -> Result<RawAddress, Errno> {
    let mut raw = libc::sockaddr_un { sun_family: family(libc::AF_UNIX), sun_path: [0; 108] };
    let terminator = usize::from(path.first().is_some_and(|byte| *byte != 0));
    if path.len() + terminator > raw.sun_path.len() {
        return Err(Errno::NAMETOOLONG);
    }
    for (to, from) in raw.sun_path.iter_mut().zip(path) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let mut raw = RawAddress::of(raw);
    raw.length = socklen(PATH_OFFSET + path.len() + terminator);
    Ok(raw)
}

fn family(number: i32) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).unwrap_or(0)
}

fn socklen(length: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(length).unwrap_or(0)
}

/// `if_nametoindex(3)`; a number is an index already.
///
/// # Errors
/// ENODEV when there is no interface of that name.
fn interface_index(zone: &str) -> Result<u32, Errno> {
    if let Ok(index) = zone.parse() {
        return Ok(index);
    }
    let name = CString::new(zone).map_err(|_| Errno::INVAL)?;
    // SAFETY: a `CString` is NUL-terminated.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(Errno::NODEV),
        index => Ok(index),
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Errno, RawAddress};

    fn round_trip(address: &Address) -> Option<Address> {
        RawAddress::new(address).ok()?.address()
    }

    #[test]
    fn addresses_of_every_family_survive_conversion() {
        let mut addresses: Vec<_> = ["127.0.0.1", "::1", "fe80::1%7"]
            .iter()
            .filter_map(|host| Address::numeric(host, 5000).ok())
            .collect();
        addresses.push(Address::Unix(b"/tmp/a".to_vec()));
        addresses.push(Address::Unix(b"\0abstract".to_vec()));
        addresses.push(Address::Unix(Vec::new()));
        assert_eq!(addresses.len(), 6);
        for address in addresses {
            assert_eq!(round_trip(&address).as_ref(), Some(&address));
        }
    }

    #[test]
    fn a_zone_can_be_the_name_of_an_interface() {
        assert!(Address::numeric("fe80::1%lo", 1).is_ok());
        assert_eq!(Address::numeric("fe80::1%nowhere", 1), Err(Errno::NODEV));
    }

    #[test]
    fn a_host_name_is_not_numeric() {
        assert_eq!(Address::numeric("localhost", 1), Err(Errno::INVAL));
    }

    #[test]
    fn a_path_needs_room_for_its_nul_and_an_abstract_name_does_not() {
        assert!(RawAddress::new(&Address::Unix(vec![b'a'; 107])).is_ok());
        assert!(RawAddress::new(&Address::Unix(vec![0; 108])).is_ok());
        let long = RawAddress::new(&Address::Unix(vec![b'a'; 108]));
        assert_eq!(long.err(), Some(Errno::NAMETOOLONG));
    }
}
