//! Short lives: connect, perhaps one request and its reply, end, and wait for the server's end.

use std::io::{Error, ErrorKind, Result};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::options::Options;
use crate::pattern::{MAX_SLICE, Pattern};
use crate::report::Report;
use crate::sys::{EDGE, Epoll, Event, IN, OUT, RDHUP};
use crate::{steps, sys};

/// Whoever ends first holds the port for 60 s in TIME_WAIT: the lives are spread over so many source addresses.
const ADDRESSES: u64 = 64;

struct Life {
    socket: OwnedFd,
    number: u64,
    begun: Instant,
    sent: usize,
    received: usize,
    has_ended: bool,
}

impl Life {
    fn begin(options: &Options, epoll: &Epoll, slot: usize, number: u64) -> Result<Self> {
        let begun = Instant::now();
        let source = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + (number % ADDRESSES) as u32);
        let socket = sys::connect(options.port, source, false)?;
        epoll.add(socket.as_raw_fd(), IN | OUT | RDHUP | EDGE, slot as u64)?;
        Ok(Self { socket, number, begun, sent: 0, received: 0, has_ended: false })
    }

    /// Goes on as far as it can; tells whether the server has ended too.
    fn go_on(
        &mut self,
        flags: u32,
        size: usize,
        pattern: &Pattern,
        buffer: &mut [u8],
    ) -> Result<bool> {
        let fd = self.socket.as_raw_fd();
        if flags & sys::ENDS != 0 {
            sys::failure(fd)?;
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
                sys::end(fd)?;
                self.has_ended = true;
            }
            let Some(count) = sys::receive(fd, buffer)? else { return Ok(false) };
            if count == 0 {
                return if self.has_ended {
                    Ok(true)
                } else {
                    Err(Error::new(ErrorKind::UnexpectedEof, "the server has ended first"))
                };
            }
            let expected = pattern
                .slice(self.number as usize, 0, size)
                .get(self.received..self.received + count);
            if expected != Some(&buffer[..count]) {
                return Err(Error::new(ErrorKind::InvalidData, "other bytes than those sent"));
            }
            self.received += count;
        }
    }
}

pub fn run(options: &Options) -> Result<bool> {
    let size = if options.workload == "accept" { 0 } else { options.size };
    let epoll = Epoll::new()?;
    let (pattern, mut buffer) = (Pattern::new(), vec![0; MAX_SLICE]);
    let mut lives = Lives {
        options,
        epoll,
        slots: Vec::new(),
        begun: 0,
        limit: options.operations.unwrap_or(u64::MAX),
        deadline: None,
    };
    if options.warmup > 0 {
        lives.go(options.warmup, None, size, &pattern, &mut buffer)?;
    }
    steps::ready(options.steps);
    let deadline = options.seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let report =
        lives.go(options.operations.unwrap_or(u64::MAX), deadline, size, &pattern, &mut buffer)?;
    report.print();
    steps::done(options.steps);
    Ok(!report.has_errors())
}

struct Lives<'a> {
    options: &'a Options,
    epoll: Epoll,
    slots: Vec<Option<Life>>,
    begun: u64,
    limit: u64,
    deadline: Option<Instant>,
}

impl Lives<'_> {
    fn go(
        &mut self,
        operations: u64,
        deadline: Option<Instant>,
        size: usize,
        pattern: &Pattern,
        buffer: &mut [u8],
    ) -> Result<Report> {
        let mut report = Report::new(&self.options.workload);
        (self.begun, self.limit, self.deadline) = (0, operations, deadline);
        self.slots = (0..self.options.connections).map(|_| None).collect();
        for slot in 0..self.slots.len() {
            self.begin(slot)?;
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
                let Some(life) = &mut self.slots[slot] else { continue };
                match life.go_on(event.events, size, pattern, buffer) {
                    Ok(false) => continue,
                    Ok(true) => report.record(life.begun.elapsed(), size),
                    Err(error) => report.fail(1, &error.to_string()),
                }
                self.begin(slot)?;
            }
        }
        Ok(report)
    }

    /// The life of this slot is over: the next one begins.
    fn begin(&mut self, slot: usize) -> Result<()> {
        self.slots[slot] = None;
        if self.begun < self.limit && self.deadline.is_none_or(|deadline| Instant::now() < deadline)
        {
            self.slots[slot] = Some(Life::begin(self.options, &self.epoll, slot, self.begun)?);
            self.begun += 1;
        }
        Ok(())
    }
}
