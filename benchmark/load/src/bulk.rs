//! Bytes to the server as fast as it reads them. After the end it answers with the number of bytes that it read.

use std::io::Result;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::pattern::{MAX_SLICE, Pattern};
use crate::report::Report;
use crate::sys::{EDGE, Epoll, Event, IN, OUT, RDHUP};
use crate::{idle, steps, sys};

struct Sender {
    socket: OwnedFd,
    stream: usize,
    size: u64,
    sent: u64,
    started: Instant,
    answer: Vec<u8>,
}

impl Sender {
    /// Sends until the kernel's buffer is full or all bytes are sent; then ends the connection's writing half.
    fn send(&mut self, pattern: &Pattern) -> Result<()> {
        while self.sent < self.size {
            let length = (self.size - self.sent).min(MAX_SLICE as u64) as usize;
            match sys::send(self.socket.as_raw_fd(), pattern.slice(self.stream, self.sent, length))?
            {
                Some(count) => self.sent += count as u64,
                None => return Ok(()),
            }
            if self.sent == self.size {
                sys::shutdown(self.socket.as_raw_fd())?;
            }
        }
        Ok(())
    }

    /// Receives the answer. Returns whether the server has ended the connection.
    fn receive(&mut self) -> Result<bool> {
        let mut buffer = [0; 64];
        while let Some(count) = sys::receive(self.socket.as_raw_fd(), &mut buffer)? {
            if count == 0 {
                return Ok(true);
            }
            self.answer.extend_from_slice(&buffer[..count]);
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
    let mut report = Report::new("bulk");
    let mut senders = Vec::new();
    for (stream, socket) in sockets.into_iter().enumerate() {
        let size = options.bytes / options.connections as u64;
        sys::set_nonblocking(socket.as_raw_fd())?;
        epoll.add(socket.as_raw_fd(), IN | OUT | RDHUP | EDGE, stream as u64)?;
        senders.push(Some(Sender {
            socket,
            stream,
            size,
            sent: 0,
            started: Instant::now(),
            answer: Vec::new(),
        }));
    }
    let mut events = vec![Event { events: 0, u64: 0 }; 64];
    while senders.iter().any(Option::is_some) {
        let count = epoll.wait(&mut events, Some(Duration::from_millis(250)))?;
        let now = Instant::now();
        if count > 0 {
            report.progress(now);
        } else if report.stalled(now, options.stall) {
            report.fail(senders.iter().flatten().count() as u64, "no progress");
            break;
        }
        for event in &events[..count] {
            handle_event(&mut senders[event.u64 as usize], &pattern, &mut report);
        }
    }
    report.print();
    steps::done(options.steps);
    Ok(!report.has_errors())
}

fn handle_event(slot: &mut Option<Sender>, pattern: &Pattern, report: &mut Report) {
    let Some(sender) = slot else { return };
    match sender.send(pattern).and_then(|()| sender.receive()) {
        Ok(false) => return,
        Ok(true) if sender.answer == sender.size.to_string().as_bytes() => {
            report.record(sender.started.elapsed(), sender.size as usize)
        }
        Ok(true) => report.fail(
            1,
            &format!(
                "{} bytes sent, the server counted {}",
                sender.size,
                String::from_utf8_lossy(&sender.answer)
            ),
        ),
        Err(error) => report.fail(1, &error.to_string()),
    }
    *slot = None;
}
