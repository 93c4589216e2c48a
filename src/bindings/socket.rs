//! Stream sockets.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::address::{numeric, unix};
use super::environment::Environment;
use super::fast::fast;
use super::numbers::{to_handle, to_unsigned};
use super::{number, status};
use crate::core::Handle;
use crate::sys::{Errno, Family, Shutdown};

/// `socket(2)`: returns the handle of a stream socket of a family: 4 for IPv4, 6 for IPv6, 0 for Unix.
#[napi]
pub fn open(env: &Env, family: f64) -> i32 {
    let family = to_unsigned(family).and_then(|it| Family::from_number(it).ok_or(Errno::INVAL));
    number(family.and_then(|it| Environment::of(env).registry().open(it)).map(Handle::raw))
}

/// `socket(2)` with `IPPROTO_MPTCP`: as `open`, a socket of Multipath TCP. Returns an errno negated where the kernel has
/// none: -EPROTONOSUPPORT, -EINVAL, -ENOPROTOOPT.
#[napi]
pub fn open_multipath(env: &Env, family: f64) -> i32 {
    let family = to_unsigned(family).and_then(|it| Family::from_number(it).ok_or(Errno::INVAL));
    let mut registry = Environment::of(env).registry();
    number(family.and_then(|it| registry.open_multipath(it)).map(Handle::raw))
}

/// `bind(2)` to a numeric host.
#[napi]
pub fn bind(env: &Env, handle: f64, host: String, port: f64) -> i32 {
    let bind = |address| Environment::of(env).registry().bind(to_handle(handle), &address);
    status(numeric(&host, port).and_then(bind))
}

/// `bind(2)` to a Unix path, abstract when it begins with NUL.
#[napi]
pub fn bind_path(env: &Env, handle: f64, path: String) -> i32 {
    let bind = |address| Environment::of(env).registry().bind(to_handle(handle), &address);
    status(unix(path).and_then(bind))
}

/// `connect(2)` to a numeric host. A wait reports the outcome; `state` and `failure` say what it is.
#[napi]
pub fn connect(env: &Env, handle: f64, host: String, port: f64) -> i32 {
    let connect = |address| Environment::of(env).registry().connect(to_handle(handle), &address);
    status(numeric(&host, port).and_then(connect))
}

/// `connect(2)` to a Unix path, abstract when it begins with NUL.
#[napi]
pub fn connect_path(env: &Env, handle: f64, path: String) -> i32 {
    let connect = |address| Environment::of(env).registry().connect(to_handle(handle), &address);
    status(unix(path).and_then(connect))
}

/// `shutdown(2)`: ends the reading half at once, the writing half after the queue. How: 0 read, 1 write, 2 both.
#[napi]
pub fn shutdown(env: &Env, handle: f64, how: f64) -> i32 {
    let how = to_unsigned(how).and_then(|it| Shutdown::from_number(it).ok_or(Errno::INVAL));
    let environment = Environment::of(env);
    let result = how.and_then(|how| environment.registry().shutdown(to_handle(handle), how));
    environment.update_references();
    status(result)
}

fast! {
    /// Closes a socket gracefully, or a listener, by `close(2)`. Returns 0 when it is closed; 1 when the multiplexer flushes
    /// the queue first, closes, and reports the socket as detached; 2 when the socket has to be registered for that.
    #[napi]
    pub fn close(environment: &Environment, handle: f64) -> i32 {
        let closed = environment.registry().close(to_handle(handle));
        environment.update_references();
        number(closed.map(|result| result as i32))
    }
}

/// Closes a socket at once: discards its queue and sends RST (`SO_LINGER`, `close(2)`).
#[napi]
pub fn reset(env: &Env, handle: f64) -> i32 {
    let environment = Environment::of(env);
    let reset = environment.registry().reset(to_handle(handle));
    environment.update_references();
    status(reset)
}

/// Closes a socket at once, by `close(2)`: discards its queue; the kernel sends what it has taken, and then FIN.
#[napi]
pub fn discard(env: &Env, handle: f64) -> i32 {
    let environment = Environment::of(env);
    let discarded = environment.registry().discard(to_handle(handle));
    environment.update_references();
    status(discarded)
}
