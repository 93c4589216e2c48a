//! What is sent comes back: so many operations under way at a time (closed loop), or so many a second (open loop).

use std::io::{Error, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::idle;
use crate::options::Options;
use crate::pattern::{MAX_SLICE, Pattern};
use crate::report::Report;
use crate::steps;
use crate::sys::{EDGE, ENDS, Epoll, Event, IN, OUT, RDHUP};

/// How long one wait sleeps at most, so that a stall is seen.
const LOOK_UP: Duration = Duration::from_millis(250);

/// When to stop beginning operations.
#[derive(Clone, Copy)]
struct Until {
    operations: u64,
    deadline: Option<Instant>,
}

/// When operations of an open loop are due.
struct Schedule {
    start: Instant,
    interval: f64,
}

impl Schedule {
    fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 * self.interval)
    }
}

struct Run<'a> {
    options: &'a Options,
    pattern: Pattern,
    epoll: Epoll,
    connections: Vec<Option<Connection>>,
    buffer: Vec<u8>,
    begun: u64,
    lost: u64,
}

pub fn run(options: &Options) -> Result<bool> {
    let idle = idle::open(options.port, options.idle)?;
    let mut run = Run::new(options, idle::open(options.port, options.connections)?)?;
    if options.warmup > 0 {
        let warmup = run.go(Until { operations: options.warmup, deadline: None }, None)?;
        if warmup.has_errors() {
            warmup.print();
            return Ok(false);
        }
    }
    steps::ready(options.steps);
    let deadline = options.seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let until = Until { operations: options.operations.unwrap_or(u64::MAX), deadline };
    let report = run.go(until, options.rate)?;
    report.print();
    steps::done(options.steps);
    drop(idle);
    Ok(!report.has_errors())
}

impl<'a> Run<'a> {
    fn new(options: &'a Options, sockets: Vec<OwnedFd>) -> Result<Self> {
        let epoll = Epoll::new()?;
        let mut connections = Vec::with_capacity(sockets.len());
        for (number, socket) in sockets.into_iter().enumerate() {
            crate::sys::set_nonblocking(socket.as_raw_fd())?;
            epoll.add(socket.as_raw_fd(), IN | OUT | RDHUP | EDGE, number as u64)?;
            connections.push(Some(Connection::new(socket, number, options.size)));
        }
        Ok(Self {
            options,
            pattern: Pattern::new(),
            epoll,
            connections,
            buffer: vec![0; MAX_SLICE],
            begun: 0,
            lost: 0,
        })
    }

    /// Until all operations that were begun are done, or lost with their connection.
    fn go(&mut self, until: Until, rate: Option<f64>) -> Result<Report> {
        let mut report = Report::new("echo");
        let schedule = rate.map(|rate| Schedule { start: Instant::now(), interval: 1.0 / rate });
        (self.begun, self.lost) = (0, 0);
        if schedule.is_none() {
            self.fill(until, &mut report);
        }
        let mut events = vec![Event { events: 0, u64: 0 }; 1024];
        loop {
            let now = Instant::now();
            let mut sleep = LOOK_UP;
            let mut ended = self.ended(until, now);
            if let Some(schedule) = &schedule {
                self.begin_due(schedule, until, now, &mut report);
                ended = self.ended(until, now);
                if !ended {
                    sleep = sleep.min(schedule.due(self.begun).saturating_duration_since(now));
                }
            }
            let left = self.begun - self.lost - report.operations;
            if (ended && left == 0) || self.connections.iter().all(Option::is_none) {
                return Ok(report);
            }
            let count = self.epoll.wait(&mut events, Some(sleep))?;
            if count > 0 || left == 0 {
                report.progress(now);
            } else if report.stalled(now, self.options.stall) {
                report.fail(left, "no progress");
                return Ok(report);
            }
            for event in &events[..count] {
                self.meet(event.u64 as usize, event.events, until, schedule.is_none(), &mut report);
            }
        }
    }

    fn ended(&self, until: Until, now: Instant) -> bool {
        self.begun >= until.operations || until.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Each connection begins as many operations as may be under way.
    fn fill(&mut self, until: Until, report: &mut Report) {
        for number in 0..self.connections.len() {
            let count = (self.options.pipeline as u64).min(until.operations - self.begun);
            self.begin(number, count, Instant::now(), report);
        }
    }

    /// Begins what is due by now; the connections take turns.
    fn begin_due(&mut self, schedule: &Schedule, until: Until, now: Instant, report: &mut Report) {
        while !self.ended(until, now) && schedule.due(self.begun) <= now {
            let turn = (self.begun % self.connections.len() as u64) as usize;
            self.begin(turn, 1, schedule.due(self.begun), report);
        }
    }

    fn begin(&mut self, number: usize, count: u64, since: Instant, report: &mut Report) {
        self.begun += count;
        let Some(connection) = &mut self.connections[number] else {
            self.lost += count;
            report.fail(count, "the connection is gone");
            return;
        };
        for _ in 0..count {
            connection.begin(since);
        }
        if let Err(error) = connection.flush(&self.pattern) {
            self.lose(number, &error, report);
        }
    }

    fn meet(
        &mut self,
        number: usize,
        flags: u32,
        until: Until,
        closed_loop: bool,
        report: &mut Report,
    ) {
        let Some(connection) = &mut self.connections[number] else { return };
        if flags & OUT != 0 {
            connection.unblock();
        }
        let result = connection.receive(&self.pattern, &mut self.buffer, flags & ENDS != 0, report);
        match result.and_then(|done| connection.flush(&self.pattern).map(|()| done)) {
            Err(error) => self.lose(number, &error, report),
            Ok(done) if done > 0 && closed_loop => {
                let now = Instant::now();
                if !self.ended(until, now) {
                    self.begin(number, done.min(until.operations - self.begun), now, report);
                }
            }
            Ok(_) => {}
        }
    }

    fn lose(&mut self, number: usize, error: &Error, report: &mut Report) {
        let under_way =
            self.connections[number].take().map_or(0, |connection| connection.under_way());
        self.lost += under_way;
        report.fail(under_way.max(1), &error.to_string());
    }
}
