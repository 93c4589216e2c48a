//! Listening sockets.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::environment::Environment;
use super::{number, status};
use crate::core::Handle;

/// `listen(2)` on a bound socket, which becomes a listener under the same handle.
#[napi]
pub fn listen(env: &Env, handle: i32, backlog: i32) -> i32 {
    status(Environment::of(env).registry().listen(Handle::from_raw(handle), backlog))
}

/// Takes a bound or listening descriptor over; on failure it stays as it was.
#[napi]
pub fn adopt_listener(env: &Env, fd: i32, backlog: i32) -> i32 {
    number(Environment::of(env).registry().adopt_listener(fd, backlog).map(Handle::raw))
}

/// Gives an adopted listener's descriptor back, open.
#[napi]
pub fn disown(env: &Env, handle: i32) -> i32 {
    status(Environment::of(env).registry().disown(Handle::from_raw(handle)))
}

/// `accept4(2)`: the next connection's handle; -EAGAIN when nobody waits.
#[napi]
pub fn accept(env: &Env, handle: i32) -> i32 {
    accept_next(Environment::of(env), handle)
}

pub(super) fn accept_next(environment: &Environment, handle: i32) -> i32 {
    number(environment.registry().accept(Handle::from_raw(handle)).map(Handle::raw))
}
