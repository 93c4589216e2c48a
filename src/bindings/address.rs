//! Addresses in the form of `net.AddressInfo`.

use std::net::{IpAddr, SocketAddr};

use napi_derive::napi;

use super::numbers::to_int;
use crate::sys::{Address, Errno, Family};

/// The address that a socket is bound or connected to.
#[napi(object, js_name = "NativeAddress")]
pub struct JsAddress {
    /// The numeric host of an IP socket; an IPv6 address may have a zone.
    pub address: Option<String>,
    /// The family of an IP socket, 4 or 6.
    pub family: Option<u32>,
    /// The port of an IP socket.
    pub port: Option<u32>,
    /// The path of a Unix socket: empty for an unnamed socket, abstract when it begins with NUL.
    pub path: Option<String>,
}

impl From<Address> for JsAddress {
    fn from(address: Address) -> Self {
        match address {
            Address::Inet(address) => Self {
                address: Some(host(&address)),
                family: Some(if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 } as u32),
                port: Some(u32::from(address.port())),
                path: None,
            },
            Address::Unix(path) => Self {
                address: None,
                family: None,
                port: None,
                path: Some(String::from_utf8_lossy(&path).into_owned()),
            },
        }
    }
}

fn host(address: &SocketAddr) -> String {
    match (address.ip(), address) {
        (IpAddr::V6(ip), SocketAddr::V6(v6)) if v6.scope_id() != 0 => {
            format!("{ip}%{}", v6.scope_id())
        }
        (ip, _) => ip.to_string(),
    }
}

/// # Errors
/// EINVAL for a host that is not numeric or a port that is not an integer from 0 to 65535; ENODEV for an unknown zone.
pub(super) fn numeric(host: &str, port: f64) -> Result<Address, Errno> {
    Address::numeric(host, u16::try_from(to_int(port)?).map_err(|_| Errno::INVAL)?)
}

/// The address of a Unix path; abstract when it begins with NUL.
///
/// # Errors
/// EINVAL for a path that NUL would cut short.
pub(super) fn unix(path: String) -> Result<Address, Errno> {
    if !path.starts_with('\0') && path.contains('\0') {
        return Err(Errno::INVAL);
    }
    Ok(Address::Unix(path.into_bytes()))
}
