//! Bytes in and out of a socket.

use std::io::IoSlice;

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::bytes::{Bytes, NOT_BYTES, Part, Pieces};
use super::environment::Environment;
use super::fast::fast;
use super::{count, number, status};
use crate::core::{Handle, SendStatus};

/// The most bytes of one call: read(2) and write(2) transfer at most 0x7ffff000, and the count has to fit an int32.
const MAX_LENGTH: usize = 1 << 30;

fast! {
    /// `recv(2)` into the array or a part of it: returns the number of bytes, 0 at the peer's end, or -EAGAIN when
    /// there is nothing to receive.
    #[napi(ts_args_type = "handle: number, into: Uint8Array, offset?: number, length?: number")]
    pub fn receive(
        environment: &Environment,
        handle: i32,
        into: Bytes,
        offset: Option<i32>,
        length: Option<i32>,
    ) -> i32 {
        let mut into = into;
        let Some(into) = into.part_mut(Part::new(offset, length)) else { return NOT_BYTES };
        let into = bounded(into);
        let mut registry = environment.registry();
        count(registry.with_socket(Handle::from_raw(handle), |socket| socket.receive(into)))
    }
}

/// Gives received bytes back: the next `receive` returns them first, and a wait reports the socket as readable.
#[napi(ts_args_type = "handle: number, bytes: Uint8Array")]
pub fn unread(env: &Env, handle: i32, bytes: Bytes) -> i32 {
    let Some(bytes) = bytes.get() else { return NOT_BYTES };
    status(Environment::of(env).registry().unread(Handle::from_raw(handle), bytes))
}

/// `recv(2)` with `MSG_PEEK`: as `receive`, but the bytes stay in the kernel.
#[napi(ts_args_type = "handle: number, into: Uint8Array")]
pub fn peek(env: &Env, handle: i32, mut into: Bytes) -> i32 {
    let Some(into) = into.get_mut() else { return NOT_BYTES };
    let into = bounded(into);
    let mut registry = Environment::of(env).registry();
    count(registry.with_socket(Handle::from_raw(handle), |socket| socket.peek(into)))
}

fast! {
    /// `send(2)`; what the kernel does not take is queued: returns 0 sent, 1 partially sent, 2 queued, 3 not sent
    /// (the queue is full), 4 closed.
    #[napi(ts_args_type = "handle: number, bytes: Uint8Array, offset?: number, length?: number")]
    pub fn send(
        environment: &Environment,
        handle: i32,
        bytes: Bytes,
        offset: Option<i32>,
        length: Option<i32>,
    ) -> i32 {
        let Some(bytes) = bytes.part(Part::new(offset, length)) else { return NOT_BYTES };
        send_all(environment, handle, &[IoSlice::new(bytes)])
    }
}

/// `sendmsg(2)`: as `send`, of several pieces.
#[napi(ts_args_type = "handle: number, pieces: readonly Uint8Array[]")]
pub fn send_pieces(env: &Env, handle: i32, pieces: Pieces) -> i32 {
    match pieces.slices() {
        Ok(slices) => send_all(Environment::of(env), handle, &slices),
        Err(number) => number,
    }
}

fn send_all(environment: &Environment, handle: i32, pieces: &[IoSlice<'_>]) -> i32 {
    let handle = Handle::from_raw(handle);
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
        handle: i32,
        bytes: Bytes,
        cork: bool,
        offset: Option<i32>,
        length: Option<i32>,
    ) -> i32 {
        let Some(bytes) = bytes.part(Part::new(offset, length)) else { return NOT_BYTES };
        let (bytes, _) = bytes.split_at(bytes.len().min(MAX_LENGTH));
        let written = environment.registry().write(Handle::from_raw(handle), bytes, cork);
        environment.update_references();
        count(written)
    }
}

fast! {
    /// Sends queued bytes until the queue is empty or the kernel's buffer is full: returns 1 when the queue is empty,
    /// else 0.
    #[napi]
    pub fn flush(environment: &Environment, handle: i32) -> i32 {
        let handle = Handle::from_raw(handle);
        let flushed = environment.registry().with_socket(handle, |socket| Ok(socket.flush()));
        environment.update_references();
        number(flushed)
    }
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

/// `poll(2)`: blocks the thread until the socket is readable or writable, for at most `timeout` milliseconds.
#[napi]
pub fn sleep_on(env: &Env, handle: i32, write: bool, timeout: i32) -> i32 {
    status(Environment::of(env).registry().sleep_on(Handle::from_raw(handle), write, timeout))
}

fn bounded(bytes: &mut [u8]) -> &mut [u8] {
    let length = bytes.len().min(MAX_LENGTH);
    bytes.split_at_mut(length).0
}
