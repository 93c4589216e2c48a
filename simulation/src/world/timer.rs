//! The clock, and `timerfd_create(2)`.

use super::World;
use super::file::{FileId, Kind};
use crate::kernel::flags;

/// How long a connect waits for an answer, in nanoseconds: `tcp_syn_retries` of tcp(7).
const CONNECT_TIMEOUT: u64 = 127_000_000_000;

/// A one-shot timer.
#[derive(Clone, Copy, Default)]
pub(crate) struct Timer {
    /// When it fires, in nanoseconds of the clock; `None` when it is not set.
    pub(super) at: Option<u64>,
    pub(super) fired: bool,
}

impl World {
    /// The time in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    pub(crate) fn set_timer(&mut self, file: FileId, after: u64) {
        let at = self.now + after;
        if let Some(Kind::Timer(timer)) = self.kind_mut(file) {
            *timer = Timer { at: Some(at), fired: false };
        }
    }

    /// When the next timer fires.
    pub(super) fn next_timer(&self) -> Option<u64> {
        self.timers.iter().filter_map(|file| self.timer(*file)).filter_map(|timer| timer.at).min()
    }

    fn timer(&self, file: FileId) -> Option<Timer> {
        match self.files[file].as_ref().map(|file| &file.kind) {
            Some(Kind::Timer(timer)) if !timer.fired => Some(*timer),
            _ => None,
        }
    }

    /// Lets time pass: timers fire, and connects without an answer end.
    pub(crate) fn advance(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
        for index in 0..self.timers.len() {
            let file = self.timers[index];
            if self.timer(file).and_then(|timer| timer.at).is_none_or(|at| at > self.now) {
                continue;
            }
            if let Some(Kind::Timer(timer)) = self.kind_mut(file) {
                timer.fired = true;
            }
            self.wake(file, flags::IN);
        }
        let Some(overdue) = self.now.checked_sub(CONNECT_TIMEOUT) else { return };
        for index in (0..self.moving.len()).rev() {
            let Some(file) = self.moving.get(index).copied() else { continue };
            if self.socket(file).is_some_and(|it| it.is_connecting_since(overdue)) {
                self.time_out(file);
            }
        }
    }
}
