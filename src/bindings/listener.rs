//! Listening sockets.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::address::unix;
use super::environment::Environment;
use super::fast::fast;
use super::numbers::{to_handle, to_int};
use super::{number, status};
use crate::core::{self, Handle};

/// `listen(2)` on a bound socket, which becomes a listener under the same handle.
#[napi]
pub fn listen(env: &Env, handle: f64, backlog: f64) -> i32 {
    let mut registry = Environment::of(env).registry();
    status(to_int(backlog).and_then(|backlog| registry.listen(to_handle(handle), backlog)))
}

/// Whether a socket is bound to the file at a path: `connect(2)` of a datagram socket, which a listener does not notice.
/// Returns -ECONNREFUSED when none is, -EPROTOTYPE when a stream socket is.
#[napi]
pub fn probe_path(path: String) -> i32 {
    status(unix(path).and_then(|address| core::probe_path(&address)))
}

fast! {
    /// `accept4(2)`: returns the handle of the next connection, or -EAGAIN when none is pending.
    #[napi]
    pub fn accept(environment: &Environment, handle: f64) -> i32 {
        number(environment.registry().accept(to_handle(handle)).map(Handle::raw))
    }
}
