//! Stream sockets.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::address::{numeric, unix};
use super::environment::Environment;
use super::fast::fast;
use super::{number, status};
use crate::core::Handle;
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

/// `close(2)` at once, by RST.
#[napi]
pub fn reset(env: &Env, handle: i32) -> i32 {
    let environment = Environment::of(env);
    let reset = environment.registry().reset(Handle::from_raw(handle));
    environment.update_references();
    status(reset)
}
