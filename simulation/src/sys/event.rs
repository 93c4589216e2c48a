//! `eventfd(2)`.

use super::Errno;
use super::fd::{AsRawFd, OwnedFd, RawFd};
use crate::world::{self, Process, World};

/// A counter whose descriptor is readable while it is not 0.
pub(crate) struct EventFd(OwnedFd);

impl EventFd {
    #[allow(clippy::unnecessary_wraps, reason = "as the real one")]
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self(OwnedFd::new(world::with(World::event_fd))))
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(crate) fn signal(&self, value: u64) {
        world::with(|world| {
            if let Ok(file) = world.file(Process::Program, self.fd()) {
                world.signal(file, value);
            }
        });
    }

    pub(crate) fn take(&self) -> u64 {
        world::with(|world| {
            world.file(Process::Program, self.fd()).map_or(0, |file| world.take_signals(file))
        })
    }
}
