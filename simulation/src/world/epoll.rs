//! `epoll(7)`: `fs/eventpoll.c`.

use std::collections::VecDeque;

use super::file::{FileId, Kind};
use super::{ALL, Process, World};
use crate::kernel::{Errno, flags};

/// A registration.
struct Item {
    id: u64,
    file: FileId,
    fd: i32,
    events: u32,
    token: u64,
    is_ready: bool,
}

/// The registrations of an epoll file, and those of them that were woken.
#[derive(Default)]
pub(crate) struct Epoll {
    items: Vec<Item>,
    ready: VecDeque<u64>,
}

impl Epoll {
    fn item(&self, id: u64) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    fn item_mut(&mut self, id: u64) -> Option<&mut Item> {
        self.items.iter_mut().find(|item| item.id == id)
    }

    fn push(&mut self, id: u64) -> bool {
        let Some(item) = self.item_mut(id) else { return false };
        if item.is_ready {
            return false;
        }
        item.is_ready = true;
        self.ready.push_back(id);
        true
    }
}

impl World {
    pub(crate) fn open_epoll(&mut self) -> FileId {
        self.insert(Kind::Epoll(Epoll::default()))
    }

    fn epoll(&self, file: FileId) -> Option<&Epoll> {
        match self.files.get(file)?.as_ref().map(|file| &file.kind) {
            Some(Kind::Epoll(epoll)) => Some(epoll),
            _ => None,
        }
    }

    fn epoll_mut(&mut self, file: FileId) -> Option<&mut Epoll> {
        match self.kind_mut(file) {
            Some(Kind::Epoll(epoll)) => Some(epoll),
            _ => None,
        }
    }

    /// The descriptors that are registered, with the flags and the data of each.
    pub(crate) fn registrations(&self, epoll: FileId) -> Vec<(i32, FileId, u32, u64)> {
        let items = self.epoll(epoll).map(|epoll| &epoll.items);
        let entry = |item: &Item| (item.fd, item.file, item.events, item.token);
        items.map(|items| items.iter().map(entry).collect()).unwrap_or_default()
    }

    /// What every call of `epoll_ctl(2)` checks first.
    pub(super) fn check_watchable(&mut self, epoll: FileId, file: FileId) -> Result<(), Errno> {
        match self.kind_mut(file) {
            Some(Kind::Regular(_)) => Err(Errno::from_raw(libc::EPERM).unwrap_or(Errno::INVAL)),
            _ if file == epoll => Err(Errno::INVAL),
            _ => Ok(()),
        }
    }

    /// Whether a number is a descriptor that is registered.
    pub(crate) fn is_registered(&self, epoll: i32, fd: i32) -> bool {
        let files = (self.file(Process::Program, epoll), self.file(Process::Program, fd));
        let (Ok(epoll), Ok(file)) = files else { return false };
        self.epoll(epoll)
            .is_some_and(|epoll| epoll.items.iter().any(|item| item.file == file && item.fd == fd))
    }

    /// `EPOLL_CTL_ADD`.
    pub(super) fn epoll_add(
        &mut self,
        epoll: FileId,
        (fd, file): (i32, FileId),
        (events, token): (u32, u64),
    ) -> Result<(), Errno> {
        if self.reaches(file, epoll) {
            return Err(Errno::from_raw(libc::ELOOP).unwrap_or(Errno::INVAL));
        }
        self.items += 1;
        let id = self.items;
        let Some(entry) = self.epoll_mut(epoll) else { return Err(Errno::INVAL) };
        if entry.items.iter().any(|item| item.file == file && item.fd == fd) {
            return Err(Errno::EXIST);
        }
        let events = events | flags::ERR | flags::HUP;
        entry.items.push(Item { id, file, fd, events, token, is_ready: false });
        if let Some(file) = &mut self.files[file] {
            file.watches.push((epoll, id));
        }
        self.moves += 1;
        self.check_item(epoll, id);
        Ok(())
    }

    /// `EPOLL_CTL_MOD`.
    pub(super) fn epoll_modify(
        &mut self,
        epoll: FileId,
        (fd, file): (i32, FileId),
        (events, token): (u32, u64),
    ) -> Result<(), Errno> {
        let entry = self.epoll_mut(epoll).ok_or(Errno::INVAL)?;
        let item = entry.items.iter_mut().find(|item| item.file == file && item.fd == fd);
        let item = item.ok_or(Errno::NOENT)?;
        (item.events, item.token) = (events | flags::ERR | flags::HUP, token);
        let id = item.id;
        self.check_item(epoll, id);
        Ok(())
    }

    /// `EPOLL_CTL_DEL`.
    pub(super) fn epoll_delete(
        &mut self,
        epoll: FileId,
        fd: i32,
        file: FileId,
    ) -> Result<(), Errno> {
        let entry = self.epoll(epoll).ok_or(Errno::INVAL)?;
        let item = entry.items.iter().find(|item| item.file == file && item.fd == fd);
        let id = item.map(|item| item.id).ok_or(Errno::NOENT)?;
        if let Some(file) = &mut self.files[file] {
            file.watches.retain(|watch| *watch != (epoll, id));
        }
        self.forget_item(epoll, id);
        Ok(())
    }

    pub(super) fn forget_item(&mut self, epoll: FileId, id: u64) {
        if let Some(epoll) = self.epoll_mut(epoll) {
            epoll.items.retain(|item| item.id != id);
            epoll.ready.retain(|ready| *ready != id);
        }
    }

    pub(super) fn close_epoll(&mut self, epoll: FileId) {
        let items = self.epoll_mut(epoll).map(|epoll| std::mem::take(&mut epoll.items));
        for Item { file, id, .. } in items.unwrap_or_default() {
            if let Some(file) = &mut self.files[file] {
                file.watches.retain(|watch| *watch != (epoll, id));
            }
        }
    }

    /// Wakes whatever watches a file for one of the flags: `ep_poll_callback`.
    pub(super) fn wake(&mut self, file: FileId, flags: u32) {
        let Some(entry) = self.files.get(file).and_then(Option::as_ref) else { return };
        if entry.watches.is_empty() {
            return;
        }
        for (epoll, id) in entry.watches.clone() {
            let Some(entry) = self.epoll_mut(epoll) else { continue };
            let wants = |item: &Item| flags == ALL || item.events & flags != 0;
            if entry.item(id).is_some_and(wants) {
                // What watches the epoll file is woken also by an item that was woken before.
                entry.push(id);
                self.wake(epoll, flags::IN);
            }
        }
    }

    /// Takes an item that is ready now for a woken one, as `EPOLL_CTL_ADD` and `EPOLL_CTL_MOD` do.
    fn check_item(&mut self, epoll: FileId, id: u64) {
        let item = self.epoll(epoll).and_then(|epoll| epoll.item(id));
        let Some((file, events)) = item.map(|item| (item.file, item.events)) else { return };
        if self.polled(file) & events != 0
            && self.epoll_mut(epoll).is_some_and(|epoll| epoll.push(id))
        {
            self.wake(epoll, flags::IN);
        }
    }

    /// Whether an epoll file has an event to return.
    pub(super) fn has_events(&self, epoll: FileId) -> bool {
        self.ready_items(epoll).iter().any(|(file, events)| self.flags_of(*file) & events != 0)
    }

    /// Polls the woken items of an epoll file that is polled itself, and forgets those that are not ready:
    /// `__ep_eventpoll_poll`.
    pub(super) fn poll_ready(&mut self, epoll: FileId) {
        let Some(entry) = self.epoll(epoll) else { return };
        let woken = entry.ready.iter().filter_map(|id| entry.item(*id));
        let woken: Vec<_> = woken.map(|item| (item.id, item.file, item.events)).collect();
        for (id, file, events) in woken {
            if self.polled(file) & events != 0 {
                continue;
            }
            let Some(entry) = self.epoll_mut(epoll) else { return };
            entry.ready.retain(|ready| *ready != id);
            if let Some(item) = entry.item_mut(id) {
                item.is_ready = false;
            }
        }
    }

    /// The woken items of an epoll file, and the flags that each is registered for; of another file none.
    pub(super) fn ready_items(&self, epoll: FileId) -> Vec<(FileId, u32)> {
        let Some(entry) = self.epoll(epoll) else { return Vec::new() };
        let ready = entry.ready.iter().filter_map(|id| entry.item(*id));
        ready.map(|item| (item.file, item.events)).collect()
    }

    /// Whether a chain of epoll files leads from one to another.
    fn reaches(&self, from: FileId, to: FileId) -> bool {
        let Some(epoll) = self.epoll(from) else { return false };
        epoll.items.iter().any(|item| item.file == to || self.reaches(item.file, to))
    }

    /// The events of woken items, at most `most`, as flags and data: `ep_send_events`. Their order is left to luck, and
    /// it may be that an item is reported that was not woken.
    pub(super) fn collect(&mut self, epoll: FileId, most: usize) -> Vec<(u32, u64)> {
        let mut events = Vec::new();
        self.wake_by_chance(epoll);
        let Some(entry) = self.epoll_mut(epoll) else { return events };
        let mut ready: Vec<u64> = entry.ready.drain(..).collect();
        for index in (1..ready.len()).rev() {
            if self.luck.one_in(2) {
                let other = self.luck.below(index + 1);
                ready.swap(index, other);
            }
        }
        let mut stays = Vec::new();
        for id in ready {
            if events.len() == most {
                stays.push(id);
                continue;
            }
            let Some(item) = self.epoll_mut(epoll).and_then(|it| it.item_mut(id)) else { continue };
            item.is_ready = false;
            let (file, interest, token) = (item.file, item.events, item.token);
            let flags = self.polled(file) & interest;
            if flags == 0 {
                continue;
            }
            events.push((flags, token));
            if interest & flags::ET == 0 {
                stays.push(id);
                if let Some(item) = self.epoll_mut(epoll).and_then(|it| it.item_mut(id)) {
                    item.is_ready = true;
                }
            }
        }
        if let Some(entry) = self.epoll_mut(epoll) {
            entry.ready.extend(stays);
        }
        events
    }

    fn wake_by_chance(&mut self, epoll: FileId) {
        if !self.luck.one_in(16) {
            return;
        }
        let count = self.epoll(epoll).map_or(0, |epoll| epoll.items.len());
        let index = self.luck.below(count);
        if let Some(entry) = self.epoll_mut(epoll)
            && let Some(id) = entry.items.get(index).map(|item| item.id)
        {
            entry.push(id);
        }
    }
}
