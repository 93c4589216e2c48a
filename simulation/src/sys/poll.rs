//! `poll(2)`.

use super::Errno;
use super::fd::RawFd;
use crate::world::{self, Call};

#[derive(Clone, Copy)]
pub(crate) struct PollFd {
    fd: RawFd,
    requested: u32,
    returned: u32,
}

impl PollFd {
    pub(crate) fn new(fd: RawFd, flags: u32) -> Self {
        Self { fd, requested: flags, returned: 0 }
    }

    pub(crate) fn flags(self) -> u32 {
        self.returned
    }
}

pub(crate) fn poll(fds: &mut [PollFd], timeout: i32) -> Result<(), Errno> {
    let mut raw: Vec<_> = fds.iter().map(|it| (it.fd, it.requested, 0)).collect();
    world::with(|world| {
        world.enter(Call::Poll, -1)?;
        world.poll(&mut raw, timeout)
    })?;
    for (to, (_, _, returned)) in fds.iter_mut().zip(raw) {
        to.returned = returned;
    }
    Ok(())
}
