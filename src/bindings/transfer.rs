//! Bytes in and out of a socket.

use std::io::IoSlice;

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::bytes::{Bytes, NOT_BYTES, Part, Pieces};
use super::environment::Environment;
use super::{count, number, status};
use crate::core::{Handle, SendStatus};

/// The kernel moves at most 2^31 bytes at a time, and the count has to fit an int.
const MAX_LENGTH: usize = 1 << 30;

/// `recv(2)` into the array, or into a part of it; -EAGAIN when nothing waits, 0 at the peer's end.
#[napi(ts_args_type = "handle: number, into: Uint8Array, offset?: number, length?: number")]
pub fn receive(env: &Env, handle: i32, into: Bytes) -> i32 {
    receive_into(Environment::of(env), handle, into, Part::ALL)
}

pub(super) fn receive_into(
    environment: &Environment,
    handle: i32,
    mut into: Bytes,
    part: Part,
) -> i32 {
    let Some(into) = into.part_mut(part) else { return NOT_BYTES };
    let into = bounded(into);
    let mut registry = environment.registry();
    count(registry.with_socket(Handle::from_raw(handle), |socket| socket.receive(into)))
}

/// Gives back what a wait has received ahead: it comes first again.
#[napi(ts_args_type = "handle: number, bytes: Uint8Array")]
pub fn unread(env: &Env, handle: i32, bytes: Bytes) -> i32 {
    let Some(bytes) = bytes.get() else { return NOT_BYTES };
    status(Environment::of(env).registry().unread(Handle::from_raw(handle), bytes))
}

/// As `receive`, but the bytes stay: `MSG_PEEK`.
#[napi(ts_args_type = "handle: number, into: Uint8Array")]
pub fn peek(env: &Env, handle: i32, mut into: Bytes) -> i32 {
    let Some(into) = into.get_mut() else { return NOT_BYTES };
    let into = bounded(into);
    let mut registry = Environment::of(env).registry();
    count(registry.with_socket(Handle::from_raw(handle), |socket| socket.peek(into)))
}

fn bounded(bytes: &mut [u8]) -> &mut [u8] {
    let length = bytes.len().min(MAX_LENGTH);
    bytes.split_at_mut(length).0
}

/// `send(2)`, then the queue: 0 sent, 1 partially sent, 2 queued, 3 not sent, 4 closed.
#[napi(ts_args_type = "handle: number, bytes: Uint8Array, offset?: number, length?: number")]
pub fn send(env: &Env, handle: i32, bytes: Bytes) -> i32 {
    send_bytes(Environment::of(env), handle, &bytes, Part::ALL)
}

pub(super) fn send_bytes(environment: &Environment, handle: i32, bytes: &Bytes, part: Part) -> i32 {
    let Some(bytes) = bytes.part(part) else { return NOT_BYTES };
    send_all_pieces(environment, handle, &[IoSlice::new(bytes)])
}

/// As `send`, of several pieces at once: `sendmsg(2)`.
#[napi(ts_args_type = "handle: number, pieces: readonly Uint8Array[]")]
pub fn send_pieces(env: &Env, handle: i32, pieces: Pieces) -> i32 {
    let Some(pieces) = pieces.get() else { return NOT_BYTES };
    let pieces: Option<Vec<_>> = pieces.iter().map(|piece| piece.get().map(IoSlice::new)).collect();
    pieces.map_or(NOT_BYTES, |pieces| send_all_pieces(Environment::of(env), handle, &pieces))
}

fn send_all_pieces(environment: &Environment, handle: i32, pieces: &[IoSlice<'_>]) -> i32 {
    let handle = Handle::from_raw(handle);
    let sent = environment.registry().with_socket(handle, |socket| socket.send(pieces));
    if sent != Ok(SendStatus::Sent) {
        environment.update_references();
    }
    number(sent.map(|status| status as i32))
}

/// `send(2)` of as much as the kernel and the queue have room for: how many bytes were taken; -EPIPE when nothing can
/// be sent any more. With `cork`, a small write only joins the queue, until `flush` or `flushCorked`.
#[napi(
    ts_args_type = "handle: number, bytes: Uint8Array, cork: boolean, offset?: number, length?: number"
)]
pub fn write(env: &Env, handle: i32, bytes: Bytes, cork: bool) -> i32 {
    write_bytes(Environment::of(env), handle, &bytes, cork, Part::ALL)
}

pub(super) fn write_bytes(
    environment: &Environment,
    handle: i32,
    bytes: &Bytes,
    cork: bool,
    part: Part,
) -> i32 {
    let Some(bytes) = bytes.part(part) else { return NOT_BYTES };
    let (bytes, _) = bytes.split_at(bytes.len().min(MAX_LENGTH));
    let written = environment.registry().write(Handle::from_raw(handle), bytes, cork);
    environment.update_references();
    count(written)
}

/// Tries to empty the queue: 1 when it is empty now.
#[napi]
pub fn flush(env: &Env, handle: i32) -> i32 {
    flush_queue(Environment::of(env), handle)
}

pub(super) fn flush_queue(environment: &Environment, handle: i32) -> i32 {
    let handle = Handle::from_raw(handle);
    let flushed = environment.registry().with_socket(handle, |socket| Ok(socket.flush()));
    environment.update_references();
    number(flushed)
}

/// Sends what `write` has gathered, of all sockets: one `send(2)` each; returns of how many.
#[napi]
pub fn flush_corked(env: &Env) -> i32 {
    flush_all(Environment::of(env))
}

pub(super) fn flush_all(environment: &Environment) -> i32 {
    let flushed = environment.registry().flush_corked();
    environment.update_references();
    count(Ok(flushed))
}

/// `poll(2)`: sleeps this thread until the socket can be read or written, at most `timeout` milliseconds.
#[napi]
pub fn sleep_on(env: &Env, handle: i32, write: bool, timeout: i32) -> i32 {
    status(Environment::of(env).registry().sleep_on(Handle::from_raw(handle), write, timeout))
}
