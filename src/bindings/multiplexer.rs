//! The multiplexer.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::bytes::{Bytes, NOT_BYTES};
use super::callback::Callback;
use super::environment::Environment;
use super::fast::fast;
use super::loop_watch::Backend;
use super::numbers::{to_descriptor, to_handle, to_int, to_size, to_unsigned};
use super::{count, number, status};
use crate::core::{
    Event, FAILURE_CALL_SHIFT, Handle, Interest, Mode, OpenCall, OpenFailure, ReceiveBuffer,
    Serving,
};
use crate::sys::Errno;

/// The size of an event in the caller's array, in bytes: four int32.
const EVENT_SIZE: usize = 16;

/// Where prefetched bytes may end: an event has their offset as an int32.
const MAX_OFFSET: usize = i32::MAX as usize;

/// `epoll_create1(2)`: returns the multiplexer's handle, or negated the errno plus 65536 times the call that failed: 0
/// `epoll_create1`, 1 `epoll_ctl`, 2 `eventfd`, 3 `pthread_create`, 4 a function of libuv, which is missing, 5
/// `timerfd_create`. The event loop calls `onReady` when a wait would find something to do. With `threaded`, or in a
/// runtime without libuv's loop (Bun, Deno), a helper thread watches the epoll descriptor instead of the loop.
#[napi(strict, ts_args_type = "onReady: () => void, threaded?: boolean")]
pub fn open_multiplexer(env: &Env, on_ready: Callback, threaded: Option<bool>) -> i32 {
    let environment = Environment::of(env);
    let backend = if threaded == Some(true) { Backend::Thread } else { environment.backend() };
    match open_watched(env, environment, backend, on_ready) {
        Ok(handle) => handle.raw(),
        Err(OpenFailure { call, errno }) => errno.negated() - ((call as i32) << FAILURE_CALL_SHIFT),
    }
}

fn open_watched(
    env: &Env,
    environment: &Environment,
    backend: Backend,
    on_ready: Callback,
) -> Result<Handle, OpenFailure> {
    let handle = environment.registry().open_multiplexer()?;
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
pub fn close_multiplexer(env: &Env, multiplexer: f64) -> i32 {
    let environment = Environment::of(env);
    environment.unwatch(to_handle(multiplexer));
    status(environment.registry().close_multiplexer(to_handle(multiplexer)))
}

fast! {
    /// Registers a socket or listener: returns 1 when a wait may report it without an edge, else 0; -EEXIST when it is registered already, -EINVAL for an unknown interest or mode.
    /// Interest bits: 1 read, 2 write, 4 prefetch. Modes: 0 edge, 1 level, 2 oneshot.
    #[napi]
    pub fn add(
        environment: &Environment,
        multiplexer: f64,
        handle: f64,
        interest: f64,
        mode: f64,
    ) -> i32 {
        let (multiplexer, handle) = (to_handle(multiplexer), to_handle(handle));
        let listed = watching(interest, mode).and_then(|(interest, mode)| {
            let mut registry = environment.registry();
            registry.add(multiplexer, handle, interest, mode)?;
            Ok(registry.is_listed(handle))
        });
        environment.update_references();
        number(listed)
    }
}

/// Registers a descriptor that stays the caller's: it is never read, written or closed here. Returns a handle for it,
/// which `remove` frees.
#[napi]
pub fn add_descriptor(env: &Env, multiplexer: f64, fd: f64, interest: f64, mode: f64) -> i32 {
    let added = watching(interest, mode).and_then(|(interest, mode)| {
        let (multiplexer, fd) = (to_handle(multiplexer), to_descriptor(fd));
        Environment::of(env).registry().add_descriptor(multiplexer, fd, interest, mode)
    });
    number(added.map(Handle::raw))
}

fast! {
    /// Changes interest and mode, and enables a oneshot registration again; -ENOENT when it is not registered here.
    #[napi]
    pub fn modify(
        environment: &Environment,
        multiplexer: f64,
        handle: f64,
        interest: f64,
        mode: f64,
    ) -> i32 {
        status(watching(interest, mode).and_then(|(interest, mode)| {
            let (multiplexer, handle) = (to_handle(multiplexer), to_handle(handle));
            environment.registry().modify(multiplexer, handle, interest, mode)
        }))
    }
}

fast! {
    /// As `modify`, and then the result of `idle`.
    #[napi]
    pub fn set_interest(
        environment: &Environment,
        multiplexer: f64,
        handle: f64,
        interest: f64,
        mode: f64,
        limit: f64,
    ) -> i32 {
        let multiplexer = to_handle(multiplexer);
        let idle = watching(interest, mode).and_then(|(interest, mode)| {
            let limit = to_size(limit).filter(|limit| *limit > 0).ok_or(Errno::INVAL)?;
            let mut registry = environment.registry();
            registry.modify(multiplexer, to_handle(handle), interest, mode)?;
            registry.is_idle(multiplexer, limit)
        });
        environment.update_references();
        number(idle)
    }
}

/// Has the waits of a multiplexer accept the connections of a listener that is registered with it, by `accept4(2)`, at
/// most `count` more (up to `Number.MAX_SAFE_INTEGER`), until `modify`. They register the sockets, edge-triggered, with an
/// interest and a limit of their send queues, and report each by an event.
#[napi]
pub fn serve(
    env: &Env,
    multiplexer: f64,
    listener: f64,
    interest: f64,
    queue_limit: f64,
    count: f64,
) -> i32 {
    let environment = Environment::of(env);
    let serving = watching(interest, 0.0).and_then(|(interest, _)| {
        let queue_limit = to_size(queue_limit).ok_or(Errno::INVAL)?;
        let room = to_size(count).ok_or(Errno::INVAL)?;
        Ok(Serving { interest, queue_limit, room })
    });
    let served = serving.and_then(|serving| {
        environment.registry().serve(to_handle(multiplexer), to_handle(listener), serving)
    });
    status(served)
}

/// Deregisters a source; -ENOENT when it is not registered here.
#[napi]
pub fn remove(env: &Env, multiplexer: f64, handle: f64) -> i32 {
    let environment = Environment::of(env);
    let removed = environment.registry().remove(to_handle(multiplexer), to_handle(handle));
    environment.update_references();
    status(removed)
}

fast! {
    /// `epoll_wait(2)`: blocks the thread for at most `timeout` milliseconds (-1: no limit) and returns the number of
    /// events; -EINVAL when `events` has no room for one. Each event is four int32 in `events`: handle, bits, and the
    /// offset and length of its prefetched bytes in `into`. The first `used` bytes of `into`, by default none, stay as they
    /// are. The bits:
    ///
    /// - 1 readable, 2 writable, 4 read ended, 8 hang-up, 16 error.
    /// - 32 detached. The offset is the code of the failure that dropped its queue, as of `failure`, 0 for none.
    /// - 64, alone: a file of the socket has made progress.
    /// - 128 accepted by the wait. The offset is the handle of the listener, the length the errno for which it could not be
    ///   registered, 0 for none.
    /// - 256 a listener that `accept4(2)` refused. The offset is the errno.
    #[napi(ts_args_type = "multiplexer: number, timeout: number, events: Uint8Array, into?: Uint8Array, used?: number")]
    pub fn wait(
        environment: &Environment,
        multiplexer: f64,
        timeout: f64,
        events: Bytes,
        into: Option<Bytes>,
        used: Option<f64>,
    ) -> i32 {
        if into.as_ref().is_some_and(|into| events.overlaps(into)) {
            return NOT_BYTES;
        }
        let (mut events, mut into) = (events, into);
        let Some(events) = events.get_mut() else { return NOT_BYTES };
        let Some(mut buffer) = receive_buffer(into.as_mut(), used) else { return NOT_BYTES };
        let timeout = match to_int(timeout) {
            Ok(timeout) => timeout,
            Err(errno) => return errno.negated(),
        };
        let handle = to_handle(multiplexer);
        let limit = events.len() / EVENT_SIZE;
        let report = event_writer(events);
        let reported = environment.registry().wait(handle, timeout, limit, &mut buffer, report);
        environment.update_references();
        count(reported)
    }
}

/// Copies what the last wait prefetched into `into`, to the offsets that it had in the array of that wait, which may
/// have been detached since.
#[napi(ts_args_type = "multiplexer: number, into: Uint8Array")]
pub fn prefetched(env: &Env, multiplexer: f64, mut into: Bytes) -> i32 {
    let Some(into) = into.get_mut() else { return NOT_BYTES };
    match Environment::of(env).registry().copy_prefetched(to_handle(multiplexer), into) {
        Ok(true) => 0,
        Ok(false) => NOT_BYTES,
        Err(errno) => errno.negated(),
    }
}

/// Flushes queues and completes graceful closes, without blocking. Reports only sources that were detached; -EINVAL
/// when `events` has no room for one.
#[napi(ts_args_type = "multiplexer: number, events: Uint8Array")]
pub fn service(env: &Env, multiplexer: f64, mut events: Bytes) -> i32 {
    let Some(events) = events.get_mut() else { return NOT_BYTES };
    let environment = Environment::of(env);
    let limit = events.len() / EVENT_SIZE;
    let reported =
        environment.registry().service(to_handle(multiplexer), limit, event_writer(events));
    environment.update_references();
    count(reported)
}

fast! {
    /// Returns 1 when a wait for `limit` events would block until an edge comes, 0 when there are events.
    #[napi]
    pub fn idle(environment: &Environment, multiplexer: f64, limit: f64) -> i32 {
        let limit = to_size(limit).ok_or(Errno::INVAL);
        let mut registry = environment.registry();
        number(limit.and_then(|limit| registry.is_idle(to_handle(multiplexer), limit)))
    }
}

fast! {
    /// Sets whether the multiplexer keeps the process alive, as libuv's `uv_ref` and `uv_unref` do. Queued output keeps
    /// the process alive in either case.
    #[napi]
    pub fn set_referenced(environment: &Environment, multiplexer: f64, referenced: bool) -> i32 {
        status(environment.set_referenced(to_handle(multiplexer), referenced))
    }
}

/// # Errors
/// EINVAL for an unknown bit of the interest, or an unknown mode.
fn watching(interest: f64, mode: f64) -> Result<(Interest, Mode), Errno> {
    let interest = Interest::from_bits(to_unsigned(interest)?).ok_or(Errno::INVAL)?;
    let mode = Mode::from_number(to_unsigned(mode)?).ok_or(Errno::INVAL)?;
    Ok((interest, mode))
}

/// The buffer of a wait, which prefetches nothing where there is no array. `None` when `used` exceeds the array.
fn receive_buffer(into: Option<&mut Bytes>, used: Option<f64>) -> Option<ReceiveBuffer<'_>> {
    let Some(into) = into else { return Some(ReceiveBuffer::none()) };
    let bytes = into.get_mut()?;
    let used = used.map_or(Some(0), to_size).filter(|used| *used <= bytes.len())?;
    let end = bytes.len().min(MAX_OFFSET);
    Some(ReceiveBuffer::new(bytes.split_at_mut(end).0, used))
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
