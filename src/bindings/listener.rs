//! Listening sockets.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::address::unix;
use super::environment::Environment;
use super::fast::fast;
use super::{number, status};
use crate::core::{self, Handle};

/// `listen(2)` on a bound socket, which becomes a listener under the same handle.
#[napi]
pub fn listen(env: &Env, handle: i32, backlog: i32) -> i32 {
    status(Environment::of(env).registry().listen(Handle::from_raw(handle), backlog))
}

/// Adopts the descriptor of a bound or listening stream socket and calls `listen(2)`; returns the listener's handle.
/// After an error the descriptor is unchanged and still the caller's.
#[napi]
pub fn adopt_listener(env: &Env, fd: i32, backlog: i32) -> i32 {
    number(Environment::of(env).registry().adopt_listener(fd, backlog).map(Handle::raw))
}

/// Frees an adopted listener's handle and leaves its descriptor open.
#[napi]
pub fn disown(env: &Env, handle: i32) -> i32 {
    status(Environment::of(env).registry().disown(Handle::from_raw(handle)))
}

/// Whether a socket is bound to the file at a path: `connect(2)` of a datagram socket, which a listener does not notice.
/// Returns -ECONNREFUSED when none is, -EPROTOTYPE when a stream socket is.
#[napi]
pub fn probe_path(path: String) -> i32 {
    status(core::probe_path(&unix(path)))
}

fast! {
    /// `accept4(2)`: returns the handle of the next connection, or -EAGAIN when none is pending.
    #[napi]
    pub fn accept(environment: &Environment, handle: i32) -> i32 {
        number(environment.registry().accept(Handle::from_raw(handle)).map(Handle::raw))
    }
}
