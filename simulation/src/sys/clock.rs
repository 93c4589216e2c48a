//! The clock and `timerfd_create(2)`.

use std::ops::Add;
use std::time::Duration;

use super::Errno;
use super::fd::{AsRawFd, OwnedFd, RawFd};
use crate::world::{self, Call};

/// A time of the world's clock, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(u64);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(world::with(|world| world.now()))
    }

    pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + nanoseconds(duration))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A one-shot timer whose descriptor becomes readable.
pub(crate) struct TimerFd(OwnedFd);

impl TimerFd {
    pub(crate) fn new() -> Result<Self, Errno> {
        world::with(|world| {
            world.enter(Call::TimerCreate, -1)?;
            Ok(Self(OwnedFd::new(world.timer_create())))
        })
    }

    pub(crate) fn set(&self, after: Duration) {
        let after = nanoseconds(after).max(1);
        world::with(|world| world.timer_set(self.0.as_raw_fd(), after));
    }
}

impl AsRawFd for TimerFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
