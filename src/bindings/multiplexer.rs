//! The multiplexer.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::bytes::{Bytes, NOT_BYTES};
use super::callback::Callback;
use super::environment::Environment;
use super::loop_watch::Backend;
use super::{count, number, status};
use crate::core::{Event, Handle, Interest, Mode, ReceiveBuffer};
use crate::sys::Errno;

/// How many bytes an event takes in the caller's array: four int32.
const EVENT_SIZE: usize = 16;

/// `epoll_create1(2)`; `onReady` runs from the host's loop when the multiplexer has something to do.
/// A thread of its own waits for that where the host has no loop of libuv's, or with `threaded`.
#[napi(ts_args_type = "onReady: () => void, threaded?: boolean")]
pub fn open_multiplexer(env: &Env, on_ready: Callback, threaded: Option<bool>) -> i32 {
    let environment = Environment::of(env);
    let opened = environment.registry().open_multiplexer();
    let Ok(handle) = opened else { return number(opened.map(Handle::raw)) };
    let fd = environment.registry().epoll_fd(handle);
    let backend = if threaded == Some(true) { Backend::Thread } else { environment.backend() };
    let watched = fd
        .map_err(Errno::negated)
        .and_then(|fd| environment.watch(env, handle, fd, backend, on_ready));
    match watched {
        Ok(()) => handle.raw(),
        Err(number) => {
            let _ = environment.registry().close_multiplexer(handle);
            number
        }
    }
}

/// Closes the epoll descriptor; its sources live on.
#[napi]
pub fn close_multiplexer(env: &Env, multiplexer: i32) -> i32 {
    let environment = Environment::of(env);
    environment.unwatch(Handle::from_raw(multiplexer));
    status(environment.registry().close_multiplexer(Handle::from_raw(multiplexer)))
}

/// Registers a socket or listener. Interest: 1 read, 2 write, 4 receive ahead; mode: 0 edge, 1 level, 2 oneshot.
#[napi]
pub fn add(env: &Env, multiplexer: i32, handle: i32, interest: u32, mode: u32) -> i32 {
    add_source(Environment::of(env), multiplexer, handle, interest, mode)
}

pub(super) fn add_source(
    environment: &Environment,
    multiplexer: i32,
    handle: i32,
    interest: u32,
    mode: u32,
) -> i32 {
    let Some(mode) = Mode::from_number(mode) else { return Errno::INVAL.negated() };
    let added = environment.registry().add(
        Handle::from_raw(multiplexer),
        Handle::from_raw(handle),
        Interest::from_bits(interest),
        mode,
    );
    environment.update_references();
    status(added)
}

/// Registers somebody else's descriptor; returns a handle for it that `remove` ends.
#[napi]
pub fn add_descriptor(env: &Env, multiplexer: i32, fd: i32, interest: u32, mode: u32) -> i32 {
    let Some(mode) = Mode::from_number(mode) else { return Errno::INVAL.negated() };
    let watched = Environment::of(env).registry().add_descriptor(
        Handle::from_raw(multiplexer),
        fd,
        Interest::from_bits(interest),
        mode,
    );
    number(watched.map(Handle::raw))
}

/// Changes interest and mode; re-arms a one-shot.
#[napi]
pub fn modify(env: &Env, multiplexer: i32, handle: i32, interest: u32, mode: u32) -> i32 {
    let Some(mode) = Mode::from_number(mode) else { return Errno::INVAL.negated() };
    status(Environment::of(env).registry().modify(
        Handle::from_raw(multiplexer),
        Handle::from_raw(handle),
        Interest::from_bits(interest),
        mode,
    ))
}

/// Lets a source go.
#[napi]
pub fn remove(env: &Env, multiplexer: i32, handle: i32) -> i32 {
    let environment = Environment::of(env);
    let removed =
        environment.registry().remove(Handle::from_raw(multiplexer), Handle::from_raw(handle));
    environment.update_references();
    status(removed)
}

/// Sleeps this thread at most `timeout` milliseconds, -1 without end, and writes each event as four
/// int32: its handle, its bits, and where in `buffer` its input begins and how many bytes that is;
/// returns how many. The bits: 1 readable, 2 writable, 4 read ended, 8 hang-up, 16 error, 32 has left
/// the multiplexer. The first `used` bytes of `buffer` are left alone.
#[napi(
    ts_args_type = "multiplexer: number, timeout: number, events: Uint8Array, buffer?: Uint8Array, used?: number"
)]
pub fn wait(env: &Env, multiplexer: i32, timeout: i32, events: Bytes) -> i32 {
    wait_for(Environment::of(env), multiplexer, timeout, events, Bytes::NONE, 0)
}

pub(super) fn wait_for(
    environment: &Environment,
    multiplexer: i32,
    timeout: i32,
    mut events: Bytes,
    mut buffer: Bytes,
    used: i32,
) -> i32 {
    if events.overlaps(&buffer) {
        return NOT_BYTES;
    }
    let Some(events) = events.get_mut() else { return NOT_BYTES };
    let mut buffer = buffer.get_mut().map_or_else(ReceiveBuffer::none, |bytes| {
        ReceiveBuffer::new(bytes, usize::try_from(used).unwrap_or(usize::MAX))
    });
    let handle = Handle::from_raw(multiplexer);
    let limit = events.len() / EVENT_SIZE;
    let report = event_writer(events);
    let reported = environment.registry().wait(handle, timeout, limit, &mut buffer, report);
    environment.update_references();
    count(reported)
}

/// Empties queues and completes closes without a wait; writes only who has left.
#[napi(ts_args_type = "multiplexer: number, events: Uint8Array")]
pub fn service(env: &Env, multiplexer: i32, mut events: Bytes) -> i32 {
    let Some(events) = events.get_mut() else { return NOT_BYTES };
    let environment = Environment::of(env);
    let limit = events.len() / EVENT_SIZE;
    let reported =
        environment.registry().service(Handle::from_raw(multiplexer), limit, event_writer(events));
    environment.update_references();
    count(reported)
}

/// Milliseconds that a wait could sleep now: 0 when there is news, -1 without end.
#[napi]
pub fn idle(env: &Env, multiplexer: i32, limit: i32) -> i32 {
    idle_time(Environment::of(env), multiplexer, limit)
}

pub(super) fn idle_time(environment: &Environment, multiplexer: i32, limit: i32) -> i32 {
    let limit = usize::try_from(limit).unwrap_or(0);
    number(environment.registry().idle(Handle::from_raw(multiplexer), limit))
}

/// Whether a pending wait keeps the process alive.
#[napi]
pub fn set_referenced(env: &Env, multiplexer: i32, referenced: bool) {
    set_referenced_for(Environment::of(env), multiplexer, referenced);
}

pub(super) fn set_referenced_for(environment: &Environment, multiplexer: i32, referenced: bool) {
    environment.set_referenced(Handle::from_raw(multiplexer), referenced);
}

fn event_writer(events: &mut [u8]) -> impl FnMut(Event) {
    let mut slots = events.chunks_exact_mut(EVENT_SIZE);
    move |event| {
        let Some(slot) = slots.next() else { return };
        let ints = [
            event.handle.raw(),
            event.bits.cast_signed(),
            int(event.received.start),
            int(event.received.len()),
        ];
        for (place, int) in slot.chunks_exact_mut(EVENT_SIZE / 4).zip(ints) {
            place.copy_from_slice(&int.to_ne_bytes());
        }
    }
}

fn int(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}
