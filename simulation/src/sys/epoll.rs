//! `epoll(7)`.

use super::Errno;
use super::fd::{AsRawFd, OwnedFd, RawFd};
use crate::world::{self, Call};

#[derive(Clone, Copy)]
pub(crate) struct EpollEvent {
    flags: u32,
    token: u64,
}

impl EpollEvent {
    pub(crate) const EMPTY: Self = Self { flags: 0, token: 0 };

    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }

    pub(crate) fn token(&self) -> u64 {
        self.token
    }
}

pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    pub(crate) fn new() -> Result<Self, Errno> {
        world::with(|world| {
            world.enter(Call::EpollCreate, -1)?;
            Ok(Self(OwnedFd::new(world.epoll_create())))
        })
    }

    pub(crate) fn add(&self, fd: RawFd, flags: u32, token: u64) -> Result<(), Errno> {
        self.control(Call::EpollAdd, fd, flags, token)
    }

    pub(crate) fn modify(&self, fd: RawFd, flags: u32, token: u64) -> Result<(), Errno> {
        self.control(Call::EpollModify, fd, flags, token)
    }

    pub(crate) fn delete(&self, fd: RawFd) -> Result<(), Errno> {
        self.control(Call::EpollDelete, fd, 0, 0)
    }

    fn control(&self, call: Call, fd: RawFd, flags: u32, token: u64) -> Result<(), Errno> {
        world::with(|world| {
            // `ep_insert` in `fs/eventpoll.c` comes after the search for a registration, so that EEXIST is never hidden.
            if call == Call::EpollAdd && world.is_registered(self.0.as_raw_fd(), fd) {
                return Err(Errno::EXIST);
            }
            world.enter(call, fd)?;
            world.control(call, (self.0.as_raw_fd(), fd), (flags, token))
        })
    }

    pub(crate) fn wait(&self, events: &mut [EpollEvent], timeout: i32) -> Result<usize, Errno> {
        let found = world::with(|world| {
            world.enter(Call::EpollWait, self.0.as_raw_fd())?;
            world.epoll_wait(self.0.as_raw_fd(), events.len(), timeout)
        })?;
        for (to, (flags, token)) in events.iter_mut().zip(&found) {
            *to = EpollEvent { flags: *flags, token: *token };
        }
        Ok(found.len())
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
