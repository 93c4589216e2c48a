//! One connection of `echo`: what it has to send, and what has to come back.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use crate::pattern::{MAX_SLICE, Pattern};
use crate::report::Report;
use crate::sys;

pub struct Connection {
    socket: OwnedFd,
    stream: usize,
    size: u64,
    /// When each operation that is under way was sent, or was due.
    begun: VecDeque<Instant>,
    wanted: u64,
    sent: u64,
    received: u64,
    blocked: bool,
}

impl Connection {
    pub fn new(socket: OwnedFd, stream: usize, size: usize) -> Self {
        Self {
            socket,
            stream,
            size: size as u64,
            begun: VecDeque::new(),
            wanted: 0,
            sent: 0,
            received: 0,
            blocked: false,
        }
    }

    pub fn under_way(&self) -> u64 {
        self.begun.len() as u64
    }

    /// One more operation is to be sent; latency counts from `since`.
    #[inline]
    pub fn begin(&mut self, since: Instant) {
        self.begun.push_back(since);
        self.wanted += self.size;
    }

    pub fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Sends all that is to be sent, as far as the kernel takes it.
    #[inline]
    pub fn flush(&mut self, pattern: &Pattern) -> Result<()> {
        while self.sent < self.wanted && !self.blocked {
            let length = (self.wanted - self.sent).min(MAX_SLICE as u64) as usize;
            let bytes = pattern.slice(self.stream, self.sent, length);
            match sys::send(self.socket.as_raw_fd(), bytes)? {
                Some(count) => self.sent += count as u64,
                None => self.blocked = true,
            }
        }
        Ok(())
    }

    /// Receives what waits, compares it, and tells how many operations are done with it.
    #[inline]
    pub fn receive(
        &mut self,
        pattern: &Pattern,
        buffer: &mut [u8],
        ends: bool,
        report: &mut Report,
    ) -> Result<u64> {
        let mut done = 0;
        loop {
            let Some(count) = sys::receive(self.socket.as_raw_fd(), buffer)? else {
                return Ok(done);
            };
            if count == 0 {
                return Err(Error::new(
                    ErrorKind::UnexpectedEof,
                    "the server has closed the connection",
                ));
            }
            if self.received + count as u64 > self.sent
                || buffer[..count] != *pattern.slice(self.stream, self.received, count)
            {
                return Err(Error::new(
                    ErrorKind::InvalidData,
                    format!("other bytes than those sent, from byte {} on", self.received),
                ));
            }
            self.received += count as u64;
            done += self.complete(report);
            // Edge-triggered: after a short read the kernel tells of what comes next, unless the end came with it.
            if count < buffer.len() && !ends {
                return Ok(done);
            }
        }
    }

    #[inline]
    fn complete(&mut self, report: &mut Report) -> u64 {
        let left = (self.wanted - self.received).div_ceil(self.size);
        let done = self.under_way() - left;
        if done > 0 {
            let now = Instant::now();
            for since in self.begun.drain(..done as usize) {
                report.record(now.saturating_duration_since(since), self.size as usize);
            }
        }
        done
    }
}
