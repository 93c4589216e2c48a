//! Stream sockets.

use std::io::IoSlice;

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::address::{JsAddress, numeric, unix};
use super::bytes::{Bytes, NOT_BYTES, Part, Pieces};
use super::environment::Environment;
use super::{count, number, status};
use crate::core::{CloseResult, Handle, SendStatus};
use crate::sys::{Errno, Family, Shutdown};

/// `socket(2)` of a family: 4, 6, or 0 for Unix.
#[napi]
pub fn open(env: &Env, family: u32) -> i32 {
    let family = match family {
        0 => Family::Unix,
        4 => Family::Ipv4,
        6 => Family::Ipv6,
        _ => return Errno::INVAL.negated(),
    };
    number(Environment::of(env).registry().open(family).map(Handle::raw))
}

/// Takes a connected descriptor over; on failure it stays as it was.
#[napi]
pub fn adopt_socket(env: &Env, fd: i32) -> i32 {
    number(Environment::of(env).registry().adopt_socket(fd).map(Handle::raw))
}

/// `bind(2)` to a numeric host.
#[napi]
pub fn bind(env: &Env, handle: i32, host: String, port: u32) -> i32 {
    let bind = |address| Environment::of(env).registry().bind(Handle::from_raw(handle), &address);
    status(numeric(&host, port).and_then(bind))
}

/// `bind(2)` to a path.
#[napi]
pub fn bind_path(env: &Env, handle: i32, path: String) -> i32 {
    status(Environment::of(env).registry().bind(Handle::from_raw(handle), &unix(path)))
}

/// `connect(2)` to a numeric host. What the kernel says of the connection comes as readiness.
#[napi]
pub fn connect(env: &Env, handle: i32, host: String, port: u32) -> i32 {
    let connect =
        |address| Environment::of(env).registry().connect(Handle::from_raw(handle), &address);
    status(numeric(&host, port).and_then(connect))
}

/// `connect(2)` to a path.
#[napi]
pub fn connect_path(env: &Env, handle: i32, path: String) -> i32 {
    status(Environment::of(env).registry().connect(Handle::from_raw(handle), &unix(path)))
}

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

/// The kernel moves at most 2^31 bytes at a time, and the count has to fit an int.
const MAX_LENGTH: usize = 1 << 30;

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

/// `shutdown(2)`, of the writing half after the queue. How: 0 read, 1 write, 2 both.
#[napi]
pub fn shutdown(env: &Env, handle: i32, how: u32) -> i32 {
    let how = match how {
        0 => Shutdown::Read,
        1 => Shutdown::Write,
        2 => Shutdown::Both,
        _ => return Errno::INVAL.negated(),
    };
    status(Environment::of(env).registry().shutdown(Handle::from_raw(handle), how))
}

/// `close(2)`, after the queue: 0 closed, 1 a multiplexer will tell, 2 it needs one to.
#[napi]
pub fn close(env: &Env, handle: i32) -> i32 {
    close_handle(Environment::of(env), handle)
}

pub(super) fn close_handle(environment: &Environment, handle: i32) -> i32 {
    let closed = environment.registry().close(Handle::from_raw(handle));
    environment.update_references();
    number(closed.map(|closed: CloseResult| closed as i32))
}

/// `close(2)` at once, by RST.
#[napi]
pub fn reset(env: &Env, handle: i32) -> i32 {
    let environment = Environment::of(env);
    let reset = environment.registry().reset(Handle::from_raw(handle));
    environment.update_references();
    status(reset)
}

/// 0 connecting, 1 open, 2 closing, 3 closed; plus 4 when reading has ended, 8 when writing has.
#[napi]
pub fn state(env: &Env, handle: i32) -> i32 {
    number(Environment::of(env).registry().state_bits(Handle::from_raw(handle)))
}

/// What the socket died of: the errno plus 65536 times the call (0 read, 1 write, 2 connect); -1 while it has not.
#[napi]
pub fn failure(env: &Env, handle: i32) -> i32 {
    let mut registry = Environment::of(env).registry();
    let failure = registry.socket(Handle::from_raw(handle)).map(|socket| socket.failure());
    failure.ok().flatten().map_or(-1, |(call, errno)| ((call as i32) << 16) - errno.negated())
}

/// Bytes in the queue.
#[napi]
pub fn queued(env: &Env, handle: i32) -> f64 {
    let mut registry = Environment::of(env).registry();
    registry.socket(Handle::from_raw(handle)).map_or(0.0, |socket| float(socket.queue_length()))
}

/// The queue's limit in bytes.
#[napi]
pub fn send_queue_limit(env: &Env, handle: i32) -> f64 {
    let mut registry = Environment::of(env).registry();
    registry.socket(Handle::from_raw(handle)).map_or(0.0, |socket| float(socket.queue_limit()))
}

/// Sets the queue's limit in bytes.
#[napi]
pub fn set_send_queue_limit(env: &Env, handle: i32, limit: i64) -> i32 {
    let limit = usize::try_from(limit).unwrap_or(0);
    let mut registry = Environment::of(env).registry();
    status(registry.socket(Handle::from_raw(handle)).map(|socket| socket.set_queue_limit(limit)))
}

/// `poll(2)`: sleeps this thread until the socket can be read or written, at most `timeout` milliseconds.
#[napi]
pub fn sleep_on(env: &Env, handle: i32, write: bool, timeout: i32) -> i32 {
    status(Environment::of(env).registry().sleep_on(Handle::from_raw(handle), write, timeout))
}

/// Writes as float64 how many bytes were received, and how many the kernel took, over the socket's life.
#[napi(ts_args_type = "handle: number, into: Uint8Array")]
pub fn totals(env: &Env, handle: i32, into: Bytes) -> i32 {
    totals_into(Environment::of(env), handle, into)
}

pub(super) fn totals_into(environment: &Environment, handle: i32, mut into: Bytes) -> i32 {
    let Some(into) = into.get_mut() else { return NOT_BYTES };
    let mut registry = environment.registry();
    let totals = registry.socket(Handle::from_raw(handle)).map(|socket| socket.totals());
    status(totals.map(|(received, sent)| {
        for (place, total) in into.chunks_exact_mut(size_of::<f64>()).zip([received, sent]) {
            place.copy_from_slice(&float(total).to_ne_bytes());
        }
    }))
}

/// The descriptor of a socket or listener.
#[napi]
pub fn descriptor(env: &Env, handle: i32) -> i32 {
    number(Environment::of(env).registry().raw_fd(Handle::from_raw(handle)))
}

/// `getsockname(2)`; null when there is none.
#[napi]
pub fn local_address(env: &Env, handle: i32) -> Option<JsAddress> {
    let registry = Environment::of(env).registry();
    let fd = registry.fd(Handle::from_raw(handle)).ok()?;
    crate::sys::local_address(fd).ok().map(Into::into)
}

/// `getpeername(2)`; null when there is none.
#[napi]
pub fn remote_address(env: &Env, handle: i32) -> Option<JsAddress> {
    let registry = Environment::of(env).registry();
    let fd = registry.fd(Handle::from_raw(handle)).ok()?;
    crate::sys::remote_address(fd).ok().map(Into::into)
}

/// Counts of bytes are exact in JavaScript up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "8 PiB over one connection are not met")]
fn float(count: u64) -> f64 {
    count as f64
}
