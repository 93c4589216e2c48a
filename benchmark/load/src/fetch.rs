//! Bytes from the server, as fast as it sends them. Each connection sends their number in decimal and its end.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::pattern::{MAX_SLICE, Pattern};
use crate::report::Report;
use crate::sys::{EDGE, Epoll, Event, IN, RDHUP};
use crate::{idle, steps, sys};

struct Receiver {
    socket: OwnedFd,
    size: u64,
    received: u64,
    started: Instant,
}

impl Receiver {
    /// Receives and checks all that is there. Returns whether the server has ended the connection.
    fn receive(&mut self, pattern: &Pattern, buffer: &mut [u8]) -> Result<bool> {
        while let Some(count) = sys::receive(self.socket.as_raw_fd(), buffer)? {
            if count == 0 {
                return Ok(true);
            }
            if buffer[..count] != *pattern.slice(0, self.received, count) {
                let text = format!("wrong bytes received, from byte {} on", self.received);
                return Err(Error::new(ErrorKind::InvalidData, text));
            }
            self.received += count as u64;
        }
        Ok(false)
    }
}

pub fn run(options: &Options) -> Result<bool> {
    let epoll = Epoll::new()?;
    let pattern = Pattern::new();
    let sockets = (0..options.connections)
        .map(|_| sys::connect(options.port, idle::source(0), true))
        .collect::<Result<Vec<_>>>()?;
    steps::ready(options.steps);
    let mut report = Report::new("fetch");
    let size = options.bytes / options.connections as u64;
    let mut receivers = Vec::new();
    for (number, socket) in sockets.into_iter().enumerate() {
        sys::send(socket.as_raw_fd(), size.to_string().as_bytes())?;
        sys::shutdown(socket.as_raw_fd())?;
        sys::set_nonblocking(socket.as_raw_fd())?;
        epoll.add(socket.as_raw_fd(), IN | RDHUP | EDGE, number as u64)?;
        receivers.push(Some(Receiver { socket, size, received: 0, started: Instant::now() }));
    }
    let mut events = vec![Event { events: 0, u64: 0 }; 64];
    let mut buffer = vec![0; MAX_SLICE];
    while receivers.iter().any(Option::is_some) {
        let count = epoll.wait(&mut events, Some(Duration::from_millis(250)))?;
        let now = Instant::now();
        if count > 0 {
            report.progress(now);
        } else if report.stalled(now, options.stall) {
            report.fail(receivers.iter().flatten().count() as u64, "no progress");
            break;
        }
        for event in &events[..count] {
            let slot = &mut receivers[event.u64 as usize];
            handle_event(slot, &pattern, &mut buffer, &mut report);
        }
    }
    report.print();
    steps::done(options.steps);
    Ok(!report.has_errors())
}

fn handle_event(
    slot: &mut Option<Receiver>,
    pattern: &Pattern,
    buffer: &mut [u8],
    report: &mut Report,
) {
    let Some(receiver) = slot else { return };
    match receiver.receive(pattern, buffer) {
        Ok(false) => return,
        Ok(true) if receiver.received == receiver.size => {
            report.record(receiver.started.elapsed(), receiver.size as usize)
        }
        Ok(true) => {
            let text = format!("{} bytes received, not {}", receiver.received, receiver.size);
            report.fail(1, &text);
        }
        Err(error) => report.fail(1, &error.to_string()),
    }
    *slot = None;
}
