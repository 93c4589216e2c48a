//! Stream sockets.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::address::{numeric, unix};
use super::environment::Environment;
use super::fast::fast;
use super::{number, status};
use crate::core::Handle;
use crate::sys::{Errno, Family, Shutdown};

/// `socket(2)`: returns the handle of a stream socket of a family: 4 for IPv4, 6 for IPv6, 0 for Unix.
#[napi]
pub fn open(env: &Env, family: u32) -> i32 {
    let Some(family) = Family::from_number(family) else { return Errno::INVAL.negated() };
    number(Environment::of(env).registry().open(family).map(Handle::raw))
}

/// Adopts the descriptor of a connected or connecting stream socket; returns the socket's handle. After an error the
/// descriptor is unchanged and still the caller's.
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

/// `bind(2)` to a Unix path, abstract when it begins with NUL.
#[napi]
pub fn bind_path(env: &Env, handle: i32, path: String) -> i32 {
    status(Environment::of(env).registry().bind(Handle::from_raw(handle), &unix(path)))
}

/// `connect(2)` to a numeric host. A wait reports the outcome; `state` and `failure` say what it is.
#[napi]
pub fn connect(env: &Env, handle: i32, host: String, port: u32) -> i32 {
    let connect =
        |address| Environment::of(env).registry().connect(Handle::from_raw(handle), &address);
    status(numeric(&host, port).and_then(connect))
}

/// `connect(2)` to a Unix path, abstract when it begins with NUL.
#[napi]
pub fn connect_path(env: &Env, handle: i32, path: String) -> i32 {
    status(Environment::of(env).registry().connect(Handle::from_raw(handle), &unix(path)))
}

/// `shutdown(2)`: ends the reading half at once, the writing half after the queue. How: 0 read, 1 write, 2 both.
#[napi]
pub fn shutdown(env: &Env, handle: i32, how: u32) -> i32 {
    let Some(how) = Shutdown::from_number(how) else { return Errno::INVAL.negated() };
    let environment = Environment::of(env);
    let result = environment.registry().shutdown(Handle::from_raw(handle), how);
    environment.update_references();
    status(result)
}

fast! {
    /// Closes a socket gracefully, or a listener, by `close(2)`: returns 0 closed; 1 the multiplexer flushes the queue
    /// first, closes, and reports the socket as detached; 2 the same, but the socket has to be registered for that.
    #[napi]
    pub fn close(environment: &Environment, handle: i32) -> i32 {
        let closed = environment.registry().close(Handle::from_raw(handle));
        environment.update_references();
        number(closed.map(|result| result as i32))
    }
}

/// Closes a socket at once: discards its queue and sends RST (`SO_LINGER`, `close(2)`).
#[napi]
pub fn reset(env: &Env, handle: i32) -> i32 {
    let environment = Environment::of(env);
    let reset = environment.registry().reset(Handle::from_raw(handle));
    environment.update_references();
    status(reset)
}
