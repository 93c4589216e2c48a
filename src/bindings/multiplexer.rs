//! The multiplexer.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::bytes::{Bytes, NOT_BYTES};
use super::callback::Callback;
use super::environment::Environment;
use super::fast::fast;
use super::loop_watch::{Backend, OpenCall, OpenFailure};
use super::{count, number, status};
use crate::core::{Event, Handle, Interest, Mode, ReceiveBuffer};
use crate::sys::Errno;

/// The size of an event in the caller's array, in bytes: four int32.
const EVENT_SIZE: usize = 16;

/// `epoll_create1(2)`: returns the multiplexer's handle, or negated the errno plus 65536 times the call that failed: 0
/// `epoll_create1`, 1 `epoll_ctl`, 2 `eventfd`, 3 `pthread_create`, 4 a function of libuv, which is missing. The event
/// loop calls `onReady` when a wait would find something to do. With `threaded`, or in a runtime without libuv's loop
/// (Bun, Deno), a helper thread watches the epoll descriptor instead of the loop.
#[napi(ts_args_type = "onReady: () => void, threaded?: boolean")]
pub fn open_multiplexer(env: &Env, on_ready: Callback, threaded: Option<bool>) -> i32 {
    let environment = Environment::of(env);
    let backend = if threaded == Some(true) { Backend::Thread } else { environment.backend() };
    match open_watched(env, environment, backend, on_ready) {
        Ok(handle) => handle.raw(),
        Err(failure) => failure.negated(),
    }
}

fn open_watched(
    env: &Env,
    environment: &Environment,
    backend: Backend,
    on_ready: Callback,
) -> Result<Handle, OpenFailure> {
    let opened = environment.registry().open_multiplexer();
    let handle = opened.map_err(OpenFailure::of(OpenCall::EpollCreate))?;
    let fd = environment.registry().epoll_fd(handle);
    let watched = fd
        .map_err(OpenFailure::of(OpenCall::EpollCreate))
        .and_then(|fd| environment.watch(env, handle, fd, backend, on_ready));
    if watched.is_err() {
        let _ = environment.registry().close_multiplexer(handle);
    }
    watched.map(|()| handle)
}

/// Closes the epoll descriptor. Its sockets and listeners are deregistered and stay open.
#[napi]
pub fn close_multiplexer(env: &Env, multiplexer: i32) -> i32 {
    let environment = Environment::of(env);
    environment.unwatch(Handle::from_raw(multiplexer));
    status(environment.registry().close_multiplexer(Handle::from_raw(multiplexer)))
}

fast! {
    /// Registers a socket or listener; -EEXIST when it is registered already.
    /// Interest bits: 1 read, 2 write, 4 prefetch. Modes: 0 edge, 1 level, 2 oneshot.
    #[napi]
    pub fn add(
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
}

/// Registers a descriptor that stays the caller's: it is never read, written or closed here. Returns a handle for it,
/// which `remove` frees.
#[napi]
pub fn add_descriptor(env: &Env, multiplexer: i32, fd: i32, interest: u32, mode: u32) -> i32 {
    let Some(mode) = Mode::from_number(mode) else { return Errno::INVAL.negated() };
    let added = Environment::of(env).registry().add_descriptor(
        Handle::from_raw(multiplexer),
        fd,
        Interest::from_bits(interest),
        mode,
    );
    number(added.map(Handle::raw))
}

/// Changes interest and mode, and enables a oneshot registration again; -ENOENT when it is not registered here.
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

/// Deregisters a source; -ENOENT when it is not registered here.
#[napi]
pub fn remove(env: &Env, multiplexer: i32, handle: i32) -> i32 {
    let environment = Environment::of(env);
    let removed =
        environment.registry().remove(Handle::from_raw(multiplexer), Handle::from_raw(handle));
    environment.update_references();
    status(removed)
}

fast! {
    /// `epoll_wait(2)`: blocks the thread for at most `timeout` milliseconds (-1: no limit) and returns the number of
    /// events. Each event is four int32 in `events`: handle, bits, and the offset and length of its prefetched bytes in
    /// `into`. Bits: 1 readable, 2 writable, 4 read ended, 8 hang-up, 16 error, 32 detached.
    /// The first `used` bytes of `into` stay as they are.
    #[napi(ts_args_type = "multiplexer: number, timeout: number, events: Uint8Array, into?: Uint8Array, used?: number")]
    pub fn wait(
        environment: &Environment,
        multiplexer: i32,
        timeout: i32,
        events: Bytes,
        into: Bytes,
        used: i32,
    ) -> i32 {
        if events.overlaps(&into) {
            return NOT_BYTES;
        }
        let (mut events, mut into) = (events, into);
        let Some(events) = events.get_mut() else { return NOT_BYTES };
        let mut buffer = into.get_mut().map_or_else(ReceiveBuffer::none, |bytes| {
            ReceiveBuffer::new(bytes, usize::try_from(used).unwrap_or(usize::MAX))
        });
        let handle = Handle::from_raw(multiplexer);
        let limit = events.len() / EVENT_SIZE;
        let report = event_writer(events);
        let reported = environment.registry().wait(handle, timeout, limit, &mut buffer, report);
        environment.update_references();
        count(reported)
    }
}

/// Flushes queues and completes graceful closes, without blocking. Reports only sources that were detached.
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

fast! {
    /// Returns 1 when a wait for `limit` events would block until an edge comes, 0 when there are events.
    #[napi]
    pub fn idle(environment: &Environment, multiplexer: i32, limit: i32) -> i32 {
        let limit = usize::try_from(limit).unwrap_or(0);
        number(environment.registry().is_idle(Handle::from_raw(multiplexer), limit))
    }
}

fast! {
    /// Sets whether the multiplexer keeps the process alive, as libuv's `uv_ref` and `uv_unref` do. Queued output keeps
    /// the process alive in either case.
    #[napi(ts_return_type = "void")]
    pub fn set_referenced(environment: &Environment, multiplexer: i32, referenced: bool) -> i32 {
        environment.set_referenced(Handle::from_raw(multiplexer), referenced);
        0
    }
}

/// Writes each event that it is called with into the next slot of `events`.
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
        for (bytes, int) in slot.chunks_exact_mut(EVENT_SIZE / 4).zip(ints) {
            bytes.copy_from_slice(&int.to_ne_bytes());
        }
    }
}

fn int(size: usize) -> i32 {
    i32::try_from(size).unwrap_or(i32::MAX)
}
