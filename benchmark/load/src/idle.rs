//! Connections that do nothing.

use std::io::{Error, ErrorKind, Result};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::options::Options;
use crate::report::Report;
use crate::{steps, sys};

/// Fewer than the ephemeral ports of one source address: 28,232 unless the system says otherwise.
const PER_ADDRESS: usize = 20_000;

/// Fewer than the backlog of a server that leaves it at its default, 511 mostly: a SYN beyond it is dropped, and
/// sent again after a second.
const BURST: usize = 128;

pub fn source(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + (number / PER_ADDRESS) as u32)
}

/// Opens connections that a server has accepted when this returns.
pub fn open(port: u16, count: usize) -> Result<Vec<OwnedFd>> {
    let mut connections = Vec::with_capacity(count);
    for number in 0..count {
        connections.push(sys::connect(port, source(number), true)?);
        if number % BURST == BURST - 1 || number == count - 1 {
            await_accepted(port)?;
        }
    }
    Ok(connections)
}

/// The backlog is first in, first out: when a later connection has been served, the earlier ones have been accepted.
fn await_accepted(port: u16) -> Result<()> {
    let probe = sys::connect(port, Ipv4Addr::LOCALHOST, true)?;
    let mut reply = [0];
    sys::send(probe.as_raw_fd(), b"?")?;
    match sys::receive(probe.as_raw_fd(), &mut reply)? {
        Some(1) => Ok(()),
        _ => Err(Error::new(ErrorKind::UnexpectedEof, "the server has not echoed the probe")),
    }
}

pub fn run(options: &Options) -> Result<bool> {
    let mut report = Report::new("idle");
    let connections = open(options.port, options.connections)?;
    report.operations = connections.len() as u64;
    println!("ready");
    steps::line();
    for connection in &connections {
        sys::set_nonblocking(connection.as_raw_fd())?;
        if !matches!(sys::receive(connection.as_raw_fd(), &mut [0]), Ok(None)) {
            report.fail(1, "a connection that did nothing was closed, or was sent something");
        }
    }
    report.print();
    Ok(!report.has_errors())
}
