//! Addresses in Node's shape.

use std::net::{IpAddr, SocketAddr};

use napi_derive::napi;

use crate::sys::{Address, Errno};

/// Where a socket is bound or connected to.
#[napi(object, js_name = "NativeAddress")]
pub struct JsAddress {
    /// The numeric host, with its zone where it has one.
    pub address: Option<String>,
    /// 4 or 6.
    pub family: Option<u32>,
    /// The port, 0 to 65535.
    pub port: Option<u32>,
    /// The path of a Unix socket; empty when it has none, abstract when it begins with NUL.
    pub path: Option<String>,
}

impl From<Address> for JsAddress {
    fn from(address: Address) -> Self {
        match address {
            Address::Inet(address) => Self {
                address: Some(host(&address)),
                family: Some(if address.is_ipv4() { 4 } else { 6 }),
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

/// A numeric host and port, or EINVAL.
pub(super) fn numeric(host: &str, port: u32) -> Result<Address, Errno> {
    Address::numeric(host, u16::try_from(port).map_err(|_| Errno::INVAL)?)
}

/// A Unix path, abstract when it begins with NUL.
pub(super) fn unix(path: String) -> Address {
    Address::Unix(path.into_bytes())
}
