//! epoll(7), and the timer.

use std::time::Duration;

use super::super::sys::{AsRawFd, Epoll, EpollEvent, TimerFd};
use super::{EPOLLS, Runner, outcome, skipped};

impl Runner {
    pub(super) fn set_timer(&mut self, after: Duration) -> String {
        let Some(timer) = &self.timer else { return skipped() };
        TimerFd::set(timer, after);
        super::super::pass_time();
        "done".to_owned()
    }

    pub(super) fn open_epoll(&mut self, name: usize) -> String {
        let place = &mut self.epolls[name % EPOLLS];
        if place.is_some() {
            return skipped();
        }
        let opened = Epoll::new();
        let outcome = outcome(&opened);
        *place = opened.ok();
        outcome
    }

    pub(super) fn close_epoll(&mut self, name: usize) -> String {
        self.epolls[name % EPOLLS].take().map_or_else(skipped, |_| "done".to_owned())
    }

    pub(super) fn add(&mut self, epoll: usize, name: usize, interest: u32) -> String {
        self.control(epoll, name, |epoll, fd| outcome(&epoll.add(fd, interest, name as u64)))
    }

    pub(super) fn modify(&mut self, epoll: usize, name: usize, interest: u32) -> String {
        self.control(epoll, name, |epoll, fd| outcome(&epoll.modify(fd, interest, name as u64)))
    }

    pub(super) fn delete(&mut self, epoll: usize, name: usize) -> String {
        self.control(epoll, name, |epoll, fd| outcome(&epoll.delete(fd)))
    }

    fn control(
        &self,
        epoll: usize,
        name: usize,
        action: impl FnOnce(&Epoll, i32) -> String,
    ) -> String {
        let Some(epoll) = &self.epolls[epoll % EPOLLS] else { return skipped() };
        self.descriptor(name).map_or_else(skipped, |fd| action(epoll, fd))
    }

    pub(super) fn wait(&mut self, epoll: usize) -> String {
        let Some(epoll) = &self.epolls[epoll % EPOLLS] else { return skipped() };
        let mut possible = super::super::possible(epoll.as_raw_fd());
        possible.sort_unstable();
        let mut filled = [EpollEvent::EMPTY; 64];
        let waited = epoll.wait(&mut filled, 0);
        let filled = &filled[..waited.unwrap_or(0)];
        let mut events: Vec<_> = filled.iter().map(|it| (it.token(), it.flags())).collect();
        events.sort_unstable();
        self.waited = (events, possible);
        waited.map_or_else(|errno| outcome::<()>(&Err(errno)), |_| "events".to_owned())
    }
}
