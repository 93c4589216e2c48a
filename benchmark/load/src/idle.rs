//! Idle connections.

use std::io::{Error, ErrorKind, Result};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::options::Options;
use crate::report::Report;
use crate::{steps, sys};

/// The most connections from one source address. ip(7): there are 28,232 ephemeral ports by default.
const PER_ADDRESS: usize = 20_000;

/// The most connections that may be pending: fewer than a server's usual backlog, 511. The kernel drops a SYN above the
/// backlog (listen(2)), and the client sends it again after a second.
const BURST: usize = 128;

/// The source address of a connection.
pub fn source(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + (number / PER_ADDRESS) as u32)
}

/// Opens connections, and returns when the server has accepted all of them.
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

/// Opens another connection and waits for its echo. The backlog is first in, first out, so that all earlier connections
/// have been accepted then.
fn await_accepted(port: u16) -> Result<()> {
    let probe = sys::connect(port, Ipv4Addr::LOCALHOST, true)?;
    let mut reply = [0];
    sys::send(probe.as_raw_fd(), b"?")?;
    match sys::receive(probe.as_raw_fd(), &mut reply)? {
        Some(1) => Ok(()),
        _ => Err(Error::new(ErrorKind::UnexpectedEof, "the server did not echo the probe")),
    }
}

pub fn run(options: &Options) -> Result<bool> {
    let mut report = Report::new("idle");
    let connections = open(options.port, options.connections)?;
    report.operations = connections.len() as u64;
    println!("ready");
    steps::wait_for_line();
    for connection in &connections {
        sys::set_nonblocking(connection.as_raw_fd())?;
        if !matches!(sys::receive(connection.as_raw_fd(), &mut [0]), Ok(None)) {
            report.fail(1, "an idle connection was closed or got data");
        }
    }
    report.print();
    Ok(!report.has_errors())
}
