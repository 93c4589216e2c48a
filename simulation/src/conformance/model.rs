//! The runner on the model.

use std::ops::Range;
use std::time::Duration;

use crate::sys;
use crate::world;

#[path = "runner/mod.rs"]
mod runner;

pub(super) use runner::run;

/// More than the small transfers of a script add up to.
const BUFFERS: (usize, usize) = (1 << 16, 1 << 16);

fn begin() {
    world::with(|world| {
        world.reset();
        world.buffer_limits = BUFFERS;
        world.learns_origins = true;
    });
}

fn end() {
    world::with(world::World::reset);
}

/// Lets the network do what it has to do.
fn settle(_pace: Duration) {
    world::with(|world| {
        world.calls_of_step = 0;
        while world.deliver_all() {}
    });
}

fn pass_time() {
    world::with(|world| world.advance(1_000_000));
}

fn prepare(_socket: &sys::OwnedFd) {}

fn acknowledge(_socket: &sys::OwnedFd) {}

/// The name of what a socket sends.
fn stream(socket: &sys::OwnedFd, _id: usize) -> u32 {
    let fd = sys::AsRawFd::as_raw_fd(socket);
    world::with(|world| world.socket_of(fd).map_or(0, |socket| socket.stream))
}

fn send_urgent(socket: &sys::OwnedFd, byte: u8) -> Result<usize, sys::Errno> {
    let fd = sys::AsRawFd::as_raw_fd(socket);
    world::with(|world| {
        let count = world.send(fd, &[&[byte]])?;
        let file = world.file(world::Process::Program, fd)?;
        world.send_urgent(file);
        Ok(count)
    })
}

/// A file with the bytes of a stream from a position on, behind other ones.
fn regular_file(bytes: &[u8], part: Range<u64>, next: (u32, u64)) -> Option<sys::File> {
    let fd = world::with(|world| {
        let (fd, transfer) = world.begin_transfer((bytes.len() as u64, false), part, next);
        world.allow_wait(transfer);
        fd
    });
    let file = sys::File::duplicate(fd).ok();
    world::with(|world| world.close(world::Process::Program, fd)).ok()?;
    file.map(|(file, _)| file)
}

/// A name that no other socket has.
fn abstract_name(name: usize, count: usize) -> Vec<u8> {
    format!("\0{name}-{count}").into_bytes()
}

/// The events that a wait may return besides: truth 56.
fn possible(epoll: i32) -> Vec<super::trace::Event> {
    world::with(|world| {
        let file = world.file(world::Process::Program, epoll);
        let items = file.map(|file| world.registrations(file)).unwrap_or_default();
        let event = |(_, file, interest, token)| (token, repeated(world, file) & interest);
        items.into_iter().map(event).filter(|(_, flags)| *flags != 0).collect()
    })
}

/// The flags of which there may be another edge: those of a socket that has sent FIN, of the writing end of a pipe, and of
/// the epoll descriptors that watch one.
fn repeated(world: &world::World, file: world::FileId) -> u32 {
    // How many slots the bytes of a pipe take, and so when one is free again, is left open: truth 62.
    if world.is_writing_end(file) || world.socket(file).is_some_and(world::Socket::has_ended) {
        return world.flags_of(file);
    }
    let mut items = world.registrations(file).into_iter();
    let is_woken = items.any(|(_, file, interest, _)| repeated(world, file) & interest != 0);
    if is_woken { sys::flags::IN } else { 0 }
}

/// As `repeated`, of a descriptor.
fn possible_flags(fd: i32) -> u32 {
    world::with(|world| {
        let file = world.file(world::Process::Program, fd);
        file.map_or(0, |file| repeated(world, file))
    })
}
