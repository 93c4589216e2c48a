//! Descriptors that are taken over, given up and duplicated.

use std::os::fd::IntoRawFd;

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::environment::Environment;
use super::number;
use super::numbers::{to_descriptor, to_handle, to_int};
use super::status;
use crate::core::Handle;
use crate::sys;

/// Adopts the descriptor of a connected or connecting stream socket; returns the socket's handle. After an error the
/// descriptor is unchanged and still the caller's.
#[napi]
pub fn adopt_socket(env: &Env, fd: f64) -> i32 {
    number(Environment::of(env).registry().adopt_socket(to_descriptor(fd)).map(Handle::raw))
}

/// Adopts the descriptor of a stream socket that is neither connected nor connecting, for `connect`; returns the
/// socket's handle. After an error the descriptor is unchanged and still the caller's.
#[napi]
pub fn adopt_unconnected(env: &Env, fd: f64) -> i32 {
    number(Environment::of(env).registry().adopt_unconnected(to_descriptor(fd)).map(Handle::raw))
}

/// Adopts the descriptor of a bound or listening stream socket and calls `listen(2)`; returns the listener's handle. With
/// a backlog below 0 it has to listen already (-EINVAL), and keeps its backlog. After an error the descriptor is unchanged
/// and still the caller's.
#[napi]
pub fn adopt_listener(env: &Env, fd: f64, backlog: f64) -> i32 {
    let mut registry = Environment::of(env).registry();
    let adopted = to_int(backlog).and_then(|backlog| {
        registry.adopt_listener(to_descriptor(fd), (backlog >= 0).then_some(backlog))
    });
    number(adopted.map(Handle::raw))
}

/// Frees the handle of a socket or listener, and leaves its descriptor open. What is unread and queued has to be taken
/// before.
#[napi]
pub fn disown(env: &Env, handle: f64) -> i32 {
    let environment = Environment::of(env);
    let disowned = environment.registry().disown(to_handle(handle));
    environment.update_references();
    status(disowned)
}

/// `fcntl(F_DUPFD_CLOEXEC)`: returns another descriptor of the same open file, which is the caller's.
#[napi]
pub fn duplicate(fd: f64) -> i32 {
    number(sys::duplicate(to_descriptor(fd)).map(IntoRawFd::into_raw_fd))
}
