//! Bytes in and out of a socket.

use std::io::IoSlice;

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::bytes::{Bytes, NOT_BYTES, Part, Pieces};
use super::environment::Environment;
use super::fast::fast;
use super::numbers::{to_handle, to_int, to_size};
use super::{byte_count, count, number, status};
use crate::core::SendStatus;
use crate::sys::Errno;

/// `end` returns the errno of shutdown(2) from this bit on.
const END_FAILURE_SHIFT: u32 = 8;

fast! {
    /// `recv(2)` into the array or a part of it: returns the number of bytes, 0 at the peer's end, or -EAGAIN when
    /// there is nothing to receive.
    #[napi(ts_args_type = "handle: number, into: Uint8Array, offset?: number, length?: number")]
    pub fn receive(
        environment: &Environment,
        handle: f64,
        into: Bytes,
        offset: Option<f64>,
        length: Option<f64>,
    ) -> i64 {
        let mut into = into;
        let Some(into) = into.part_mut(Part { offset, length }) else { return NOT_BYTES.into() };
        let handle = to_handle(handle);
        let received = environment.registry().with_socket(handle, |socket| socket.receive(into));
        if received.is_err() {
            environment.update_references();
        }
        byte_count(received)
    }
}

/// Gives received bytes back: the next `receive` returns them first, and a wait reports the socket as readable. -EINVAL
/// for more bytes than were received.
#[napi(ts_args_type = "handle: number, bytes: Uint8Array")]
pub fn unread(env: &Env, handle: f64, bytes: Bytes) -> i32 {
    let Some(bytes) = bytes.get() else { return NOT_BYTES };
    status(Environment::of(env).registry().unread(to_handle(handle), bytes))
}

/// The number of bytes that were given back by `unread`: the next `receive` of so many returns them alone.
#[napi]
pub fn unread_length(env: &Env, handle: f64) -> i64 {
    let mut registry = Environment::of(env).registry();
    byte_count(registry.socket(to_handle(handle)).map(|socket| socket.unread_length()))
}

/// `recv(2)` with `MSG_PEEK`: as `receive`, but the bytes stay in the kernel.
#[napi(ts_args_type = "handle: number, into: Uint8Array")]
pub fn peek(env: &Env, handle: f64, mut into: Bytes) -> i64 {
    let Some(into) = into.get_mut() else { return NOT_BYTES.into() };
    let environment = Environment::of(env);
    let peeked = environment.registry().with_socket(to_handle(handle), |socket| socket.peek(into));
    environment.update_references();
    byte_count(peeked)
}

fast! {
    /// `send(2)`; what the kernel does not take is queued: returns 0 sent, 1 partially sent, 2 queued, 3 not sent
    /// (the queue is full), 4 closed.
    #[napi(ts_args_type = "handle: number, bytes: Uint8Array, offset?: number, length?: number")]
    pub fn send(
        environment: &Environment,
        handle: f64,
        bytes: Bytes,
        offset: Option<f64>,
        length: Option<f64>,
    ) -> i32 {
        let Some(bytes) = bytes.part(Part { offset, length }) else { return NOT_BYTES };
        send_all(environment, handle, &[IoSlice::new(bytes)])
    }
}

/// `sendmsg(2)`: as `send`, of several pieces.
#[napi(ts_args_type = "handle: number, pieces: readonly Uint8Array[]")]
pub fn send_pieces(env: &Env, handle: f64, pieces: Pieces) -> i32 {
    match pieces.slices() {
        Ok(slices) => send_all(Environment::of(env), handle, &slices),
        Err(number) => number,
    }
}

fn send_all(environment: &Environment, handle: f64, pieces: &[IoSlice<'_>]) -> i32 {
    let handle = to_handle(handle);
    let sent = environment.registry().with_socket(handle, |socket| socket.send(pieces));
    if sent != Ok(SendStatus::Sent) {
        environment.update_references();
    }
    number(sent.map(|status| status as i32))
}

fast! {
    /// `send(2)` of as many bytes as the kernel and the queue have room for: returns the number of bytes taken, or
    /// -EPIPE when nothing can be sent any more. With `cork`, a small write is only queued, until `flush` or
    /// `flushCorked`.
    #[napi(ts_args_type = "handle: number, bytes: Uint8Array, cork: boolean, offset?: number, length?: number")]
    pub fn write(
        environment: &Environment,
        handle: f64,
        bytes: Bytes,
        cork: bool,
        offset: Option<f64>,
        length: Option<f64>,
    ) -> i64 {
        let Some(bytes) = bytes.part(Part { offset, length }) else { return NOT_BYTES.into() };
        let written = environment.registry().write(to_handle(handle), bytes, cork);
        environment.update_references();
        byte_count(written)
    }
}

fast! {
    /// As `write` without `cork`, of as many bytes as the kernel has room for: nothing is queued.
    #[napi(ts_args_type = "handle: number, bytes: Uint8Array, offset?: number, length?: number")]
    pub fn try_write(
        environment: &Environment,
        handle: f64,
        bytes: Bytes,
        offset: Option<f64>,
        length: Option<f64>,
    ) -> i64 {
        let Some(bytes) = bytes.part(Part { offset, length }) else { return NOT_BYTES.into() };
        let handle = to_handle(handle);
        let written = environment.registry().with_socket(handle, |socket| socket.try_write(bytes));
        environment.update_references();
        byte_count(written)
    }
}

fast! {
    /// Writes all of the bytes, also beyond the limit of the queue, and ends the writing half behind them, by
    /// `shutdown(2)`. Returns the bits of `state`, and 256 times the errno of `shutdown(2)`. -EALREADY when the half has
    /// ended before; -EPIPE or -ENOMEM when the bytes cannot be sent.
    #[napi(ts_args_type = "handle: number, bytes: Uint8Array, offset?: number, length?: number")]
    pub fn end(
        environment: &Environment,
        handle: f64,
        bytes: Bytes,
        offset: Option<f64>,
        length: Option<f64>,
    ) -> i32 {
        let Some(bytes) = bytes.part(Part { offset, length }) else { return NOT_BYTES };
        let ended = environment.registry().end(to_handle(handle), bytes);
        environment.update_references();
        ended.map_or_else(Errno::negated, |(bits, shutdown)| {
            let failure = shutdown.map_or_else(|errno| -errno.negated(), |()| 0);
            bits | failure << END_FAILURE_SHIFT
        })
    }
}

fast! {
    /// Sends queued bytes until the queue is empty or the kernel's buffer is full: returns 1 when the queue is empty,
    /// else 0; the negated errno of a connection that failed, whose queue was dropped.
    #[napi]
    pub fn flush(environment: &Environment, handle: f64) -> i32 {
        let flushed = environment.registry().flush(to_handle(handle));
        environment.update_references();
        number(flushed)
    }
}

/// Moves the send queue into the array, in order, if it has room for all of it: returns the number of bytes. -EINVAL
/// when it has not.
#[napi(ts_args_type = "handle: number, into: Uint8Array")]
pub fn take_queue(env: &Env, handle: f64, mut into: Bytes) -> i64 {
    let Some(into) = into.get_mut() else { return NOT_BYTES.into() };
    let environment = Environment::of(env);
    let handle = to_handle(handle);
    let taken = environment.registry().with_socket(handle, |socket| socket.take_queue(into));
    environment.update_references();
    byte_count(taken)
}

fast! {
    /// Flushes all sockets with corked writes, by one `send(2)` each: returns the number of sockets.
    #[napi]
    pub fn flush_corked(environment: &Environment) -> i32 {
        let flushed = environment.registry().flush_corked();
        environment.update_references();
        count(Ok(flushed))
    }
}

fast! {
    /// The end of a batch: `flushCorked`, and then the result of `idle`.
    #[napi]
    pub fn end_batch(environment: &Environment, multiplexer: f64, limit: f64) -> i32 {
        let limit = to_size(limit).ok_or(Errno::INVAL);
        environment.registry().flush_corked();
        let mut registry = environment.registry();
        let idle = limit.and_then(|limit| registry.is_idle(to_handle(multiplexer), limit));
        drop(registry);
        environment.update_references();
        number(idle)
    }
}

/// `poll(2)`: blocks the thread until the socket is readable or writable, for at most `timeout` milliseconds (negative:
/// no limit).
#[napi]
pub fn sleep_on(env: &Env, handle: f64, write: bool, timeout: f64) -> i32 {
    let mut registry = Environment::of(env).registry();
    status(to_int(timeout).and_then(|it| registry.sleep_on(to_handle(handle), write, it)))
}
