//! Short connections: connect, with `churn` one request and its reply, then a shutdown, and the server's end.

use std::io::{Error, ErrorKind, Result};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::pattern::{MAX_SLICE, Pattern};
use crate::report::Report;
use crate::sys::{EDGE, Epoll, Event, IN, OUT, RDHUP};
use crate::{steps, sys};

/// The number of source addresses. The side that ends a connection first keeps its port for 60 s in TIME_WAIT
/// (Linux's TCP_TIMEWAIT_LEN), so that one address would run out of ports.
const ADDRESSES: u64 = 64;

struct Connection {
    socket: OwnedFd,
    number: u64,
    started: Instant,
    sent: usize,
    received: usize,
    has_ended: bool,
}

impl Connection {
    fn open(options: &Options, epoll: &Epoll, slot: usize, number: u64) -> Result<Self> {
        let started = Instant::now();
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + (number % ADDRESSES) as u32);
        let socket = sys::connect(options.port, source, false)?;
        epoll.add(socket.as_raw_fd(), IN | OUT | RDHUP | EDGE, slot as u64)?;
        Ok(Self { socket, number, started, sent: 0, received: 0, has_ended: false })
    }

    /// Sends and receives as far as possible. Returns whether both sides have ended.
    fn advance(
        &mut self,
        flags: u32,
        size: usize,
        pattern: &Pattern,
        buffer: &mut [u8],
    ) -> Result<bool> {
        let fd = self.socket.as_raw_fd();
        if flags & sys::END_FLAGS != 0 {
            sys::socket_error(fd)?;
        }
        while self.sent < size {
            let Some(count) =
                sys::send(fd, &pattern.slice(self.number as usize, 0, size)[self.sent..])?
            else {
                break;
            };
            self.sent += count;
        }
        loop {
            if self.received == size && !self.has_ended && flags & OUT != 0 {
                sys::shutdown(fd)?;
                self.has_ended = true;
            }
            let Some(count) = sys::receive(fd, buffer)? else { return Ok(false) };
            if count == 0 {
                return if self.has_ended {
                    Ok(true)
                } else {
                    Err(Error::new(
                        ErrorKind::UnexpectedEof,
                        "the server ended the connection first",
                    ))
                };
            }
            let expected = pattern
                .slice(self.number as usize, 0, size)
                .get(self.received..self.received + count);
            if expected != Some(&buffer[..count]) {
                return Err(Error::new(ErrorKind::InvalidData, "wrong bytes received"));
            }
            self.received += count;
        }
    }
}

pub fn run(options: &Options) -> Result<bool> {
    let size = if options.workload == "accept" { 0 } else { options.size };
    let epoll = Epoll::new()?;
    let (pattern, mut buffer) = (Pattern::new(), vec![0; MAX_SLICE]);
    let mut run = Run {
        options,
        epoll,
        slots: Vec::new(),
        started: 0,
        limit: options.operations.unwrap_or(u64::MAX),
        deadline: None,
    };
    if options.warmup > 0 {
        run.run_until(options.warmup, None, size, &pattern, &mut buffer)?;
    }
    steps::ready(options.steps);
    let deadline = options.seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let report = run.run_until(
        options.operations.unwrap_or(u64::MAX),
        deadline,
        size,
        &pattern,
        &mut buffer,
    )?;
    report.print();
    steps::done(options.steps);
    Ok(!report.has_errors())
}

struct Run<'a> {
    options: &'a Options,
    epoll: Epoll,
    slots: Vec<Option<Connection>>,
    started: u64,
    limit: u64,
    deadline: Option<Instant>,
}

impl Run<'_> {
    fn run_until(
        &mut self,
        operations: u64,
        deadline: Option<Instant>,
        size: usize,
        pattern: &Pattern,
        buffer: &mut [u8],
    ) -> Result<Report> {
        let mut report = Report::new(&self.options.workload);
        (self.started, self.limit, self.deadline) = (0, operations, deadline);
        self.slots = (0..self.options.connections).map(|_| None).collect();
        for slot in 0..self.slots.len() {
            self.open_next(slot)?;
        }
        let mut events = vec![Event { events: 0, u64: 0 }; 1024];
        while self.slots.iter().any(Option::is_some) {
            let count = self.epoll.wait(&mut events, Some(Duration::from_millis(250)))?;
            let now = Instant::now();
            if count > 0 {
                report.progress(now);
            } else if report.stalled(now, self.options.stall) {
                report.fail(self.slots.iter().flatten().count() as u64, "no progress");
                return Ok(report);
            }
            for event in &events[..count] {
                let slot = event.u64 as usize;
                let Some(connection) = &mut self.slots[slot] else { continue };
                match connection.advance(event.events, size, pattern, buffer) {
                    Ok(false) => continue,
                    Ok(true) => report.record(connection.started.elapsed(), size),
                    Err(error) => report.fail(1, &error.to_string()),
                }
                self.open_next(slot)?;
            }
        }
        Ok(report)
    }

    /// Closes the connection of a slot and opens the next one, if there is one.
    fn open_next(&mut self, slot: usize) -> Result<()> {
        self.slots[slot] = None;
        if self.started < self.limit
            && self.deadline.is_none_or(|deadline| Instant::now() < deadline)
        {
            self.slots[slot] =
                Some(Connection::open(self.options, &self.epoll, slot, self.started)?);
            self.started += 1;
        }
        Ok(())
    }
}
