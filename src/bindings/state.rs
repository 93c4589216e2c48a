//! What is known of a socket.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::address::JsAddress;
use super::bytes::{Bytes, NOT_BYTES};
use super::environment::Environment;
use super::{number, status};
use crate::core::Handle;

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
