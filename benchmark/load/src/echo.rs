//! The server echoes: a closed loop keeps a number of operations pending, an open loop starts a number each second.

use std::io::{Error, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::connection::Connection;
use crate::idle;
use crate::options::Options;
use crate::pattern::{MAX_SLICE, Pattern};
use crate::report::Report;
use crate::steps;
use crate::sys::{EDGE, END_FLAGS, Epoll, Event, IN, OUT, RDHUP};

/// The longest wait, so that a stall is detected in time.
const MAX_WAIT: Duration = Duration::from_millis(250);

/// When to start no more operations.
#[derive(Clone, Copy)]
struct Limit {
    operations: u64,
    deadline: Option<Instant>,
}

/// The times at which an open loop starts operations.
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
    started: u64,
    /// Operations whose connection failed.
    lost: u64,
}

pub fn run(options: &Options) -> Result<bool> {
    let idle = idle::open(options.port, options.idle)?;
    let mut run = Run::new(options, idle::open(options.port, options.connections)?)?;
    if options.warmup > 0 {
        let warmup = run.run_until(Limit { operations: options.warmup, deadline: None }, None)?;
        if warmup.has_errors() {
            warmup.print();
            return Ok(false);
        }
    }
    steps::ready(options.steps);
    let deadline = options.seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let limit = Limit { operations: options.operations.unwrap_or(u64::MAX), deadline };
    let report = run.run_until(limit, options.rate)?;
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
            started: 0,
            lost: 0,
        })
    }

    /// Runs until all started operations are complete or lost.
    fn run_until(&mut self, limit: Limit, rate: Option<f64>) -> Result<Report> {
        let mut report = Report::new("echo");
        let schedule = rate.map(|rate| Schedule { start: Instant::now(), interval: 1.0 / rate });
        (self.started, self.lost) = (0, 0);
        if schedule.is_none() {
            self.fill(limit, &mut report);
        }
        let mut events = vec![Event { events: 0, u64: 0 }; 1024];
        loop {
            let now = Instant::now();
            let mut timeout = MAX_WAIT;
            let mut ended = self.ended(limit, now);
            if let Some(schedule) = &schedule {
                self.start_due(schedule, limit, now, &mut report);
                ended = self.ended(limit, now);
                if !ended {
                    timeout =
                        timeout.min(schedule.due(self.started).saturating_duration_since(now));
                }
            }
            let left = self.started - self.lost - report.operations;
            if (ended && left == 0) || self.connections.iter().all(Option::is_none) {
                return Ok(report);
            }
            let count = self.epoll.wait(&mut events, Some(timeout))?;
            if count > 0 || left == 0 {
                report.progress(now);
            } else if report.stalled(now, self.options.stall) {
                report.fail(left, "no progress");
                return Ok(report);
            }
            for event in &events[..count] {
                self.handle_event(
                    event.u64 as usize,
                    event.events,
                    limit,
                    schedule.is_none(),
                    &mut report,
                );
            }
        }
    }

    fn ended(&self, limit: Limit, now: Instant) -> bool {
        self.started >= limit.operations || limit.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Starts `--pipeline` operations on each connection.
    fn fill(&mut self, limit: Limit, report: &mut Report) {
        for number in 0..self.connections.len() {
            let count = (self.options.pipeline as u64).min(limit.operations - self.started);
            self.start(number, count, Instant::now(), report);
        }
    }

    /// Starts all operations that are due. The connections take turns.
    fn start_due(&mut self, schedule: &Schedule, limit: Limit, now: Instant, report: &mut Report) {
        while !self.ended(limit, now) && schedule.due(self.started) <= now {
            let turn = (self.started % self.connections.len() as u64) as usize;
            self.start(turn, 1, schedule.due(self.started), report);
        }
    }

    fn start(&mut self, number: usize, count: u64, since: Instant, report: &mut Report) {
        self.started += count;
        let Some(connection) = &mut self.connections[number] else {
            self.lost += count;
            report.fail(count, "the connection has failed before");
            return;
        };
        for _ in 0..count {
            connection.begin(since);
        }
        if let Err(error) = connection.flush(&self.pattern) {
            self.fail_connection(number, &error, report);
        }
    }

    fn handle_event(
        &mut self,
        number: usize,
        flags: u32,
        limit: Limit,
        closed_loop: bool,
        report: &mut Report,
    ) {
        let Some(connection) = &mut self.connections[number] else { return };
        if flags & OUT != 0 {
            connection.unblock();
        }
        let result =
            connection.receive(&self.pattern, &mut self.buffer, flags & END_FLAGS != 0, report);
        match result.and_then(|done| connection.flush(&self.pattern).map(|()| done)) {
            Err(error) => self.fail_connection(number, &error, report),
            Ok(done) if done > 0 && closed_loop => {
                let now = Instant::now();
                if !self.ended(limit, now) {
                    self.start(number, done.min(limit.operations - self.started), now, report);
                }
            }
            Ok(_) => {}
        }
    }

    fn fail_connection(&mut self, number: usize, error: &Error, report: &mut Report) {
        let pending = self.connections[number].take().map_or(0, |connection| connection.pending());
        self.lost += pending;
        report.fail(pending.max(1), &error.to_string());
    }
}
