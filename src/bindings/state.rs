//! What is known of a socket or listener.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::address::JsAddress;
use super::bytes::{Bytes, NOT_BYTES};
use super::environment::Environment;
use super::fast::fast;
use super::numbers::{to_handle, to_size};
use super::{byte_count, number, status};
use crate::core::FAILURE_CALL_SHIFT;
use crate::sys::Errno;

/// The size of what `totals` writes at least, in bytes.
const TOTALS_SIZE: usize = 2 * size_of::<f64>();

/// What `failure` returns for a socket that has not failed.
const NO_FAILURE: i32 = -1;

fast! {
    /// The state, 0 connecting, 1 open, 2 closing or 3 closed; plus 4 when reading has ended, 8 when writing has, and 16
    /// when work is left that only a multiplexer does.
    #[napi]
    pub fn state(environment: &Environment, handle: f64) -> i32 {
        let bits = environment.registry().state_bits(to_handle(handle));
        environment.update_references();
        number(bits)
    }
}

/// Why the connection failed: the errno plus 65536 times the call that reported it (0 read, 1 write, 2 connect); -1
/// when it has not failed.
#[napi]
pub fn failure(env: &Env, handle: f64) -> i32 {
    let mut registry = Environment::of(env).registry();
    let failure = registry.any_socket(to_handle(handle)).map(|socket| socket.failure());
    number(failure.map(|failure| {
        failure.map_or(NO_FAILURE, |(call, errno)| {
            ((call as i32) << FAILURE_CALL_SHIFT) - errno.negated()
        })
    }))
}

/// The number of bytes in the send queue.
#[napi]
pub fn queued(env: &Env, handle: f64) -> i64 {
    let mut registry = Environment::of(env).registry();
    byte_count(registry.any_socket(to_handle(handle)).map(|socket| socket.queue_length()))
}

/// The limit of the send queue in bytes.
#[napi]
pub fn send_queue_limit(env: &Env, handle: f64) -> i64 {
    let mut registry = Environment::of(env).registry();
    byte_count(registry.any_socket(to_handle(handle)).map(|socket| socket.queue_limit()))
}

/// Sets the limit of the send queue in bytes, up to `Number.MAX_SAFE_INTEGER`.
#[napi]
pub fn set_send_queue_limit(env: &Env, handle: f64, limit: f64) -> i32 {
    let Some(limit) = to_size(limit) else { return Errno::INVAL.negated() };
    let mut registry = Environment::of(env).registry();
    status(registry.socket(to_handle(handle)).map(|socket| socket.set_queue_limit(limit)))
}

fast! {
    /// Writes float64: the number of bytes received, the number of bytes that the kernel took to send, and, where there is
    /// room for a third, the number of those that it has not taken yet.
    #[napi(ts_args_type = "handle: number, into: Uint8Array")]
    pub fn totals(environment: &Environment, handle: f64, into: Bytes) -> i32 {
        let mut into = into;
        let Some(into) = into.get_mut().filter(|into| into.len() >= TOTALS_SIZE) else {
            return NOT_BYTES;
        };
        let mut registry = environment.registry();
        let totals = registry.any_socket(to_handle(handle)).map(|socket| {
            let (received, sent) = socket.totals();
            [received, sent, socket.unsent_length()]
        });
        status(totals.map(|totals| {
            for (bytes, total) in into.chunks_exact_mut(size_of::<f64>()).zip(totals) {
                bytes.copy_from_slice(&float(total).to_ne_bytes());
            }
        }))
    }
}

/// The file descriptor of a socket or listener.
#[napi]
pub fn descriptor(env: &Env, handle: f64) -> i32 {
    number(Environment::of(env).registry().raw_fd(to_handle(handle)))
}

/// `getsockname(2)`: the address that a socket or listener is bound to; null after an error.
#[napi]
pub fn local_address(env: &Env, handle: f64) -> Option<JsAddress> {
    let registry = Environment::of(env).registry();
    let fd = registry.fd(to_handle(handle)).ok()?;
    crate::sys::local_address(fd).ok().map(Into::into)
}

/// `getpeername(2)`: the address that a socket is connected to, also after the peer's reset; null until connected.
#[napi]
pub fn remote_address(env: &Env, handle: f64) -> Option<JsAddress> {
    let mut registry = Environment::of(env).registry();
    let socket = registry.any_socket(to_handle(handle)).ok()?;
    socket.remote_address().ok().map(Into::into)
}

#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 bytes: 8 PiB")]
fn float(count: u64) -> f64 {
    count as f64
}
