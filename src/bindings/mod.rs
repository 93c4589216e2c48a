//! The only home of Node-API: convert, delegate, return an int.
//!
//! Every function takes the int that names a source or a multiplexer and returns a number that is
//! not negative, or a negated errno. Objects, errors and promises are made in TypeScript.

#![allow(unreachable_pub, reason = "`#[napi]` items are exported to JavaScript")]
#![allow(
    clippy::needless_pass_by_value,
    clippy::trivially_copy_pass_by_ref,
    reason = "napi-rs owns the arguments and lends the environment"
)]

mod address;
mod bytes;
mod callback;
mod environment;
mod fast;
mod listener;
mod loop_watch;
mod multiplexer;
mod socket;
mod sockopt;
mod state;
mod thread_watch;
mod transfer;

use std::ffi::c_void;
use std::ptr::null_mut;

use napi::bindgen_prelude::{Env, JsValue, Object};
use napi::check_status;
use napi::sys as node_api;
use napi_derive::napi;

use crate::sys::Errno;
use environment::Environment;

/// A result as JavaScript reads it: the number, or the errno negated.
fn number<T: Into<i32>>(result: Result<T, Errno>) -> i32 {
    result.map_or_else(Errno::negated, Into::into)
}

/// Success as 0, or the errno negated.
fn status(result: Result<(), Errno>) -> i32 {
    number(result.map(|()| 0))
}

/// A count of bytes, or the errno negated.
fn count(result: Result<usize, Errno>) -> i32 {
    result.map_or_else(Errno::negated, |count| i32::try_from(count).unwrap_or(i32::MAX))
}

/// Gives each environment that loads the addon a state of its own.
#[napi(module_exports)]
pub fn init(exports: Object<'_>, env: Env) -> napi::Result<()> {
    let environment = Box::into_raw(Box::new(Environment::new(&env)));
    // SAFETY: the box is handed to the environment, which gives it back to `free` once, last.
    check_status!(unsafe {
        node_api::napi_set_instance_data(env.raw(), environment.cast(), Some(free), null_mut())
    })?;
    // SAFETY: hooks run before the instance data is freed.
    check_status!(unsafe {
        node_api::napi_add_env_cleanup_hook(env.raw(), Some(end), environment.cast())
    })?;
    // SAFETY: the instance data outlives every call.
    unsafe { fast::install(env.raw(), exports.raw(), environment) }
}

/// The environment ends, also by `worker.terminate()`: libuv aborts on handles left open,
/// and a thread must not outlive what it waits on.
extern "C" fn end(data: *mut c_void) {
    // SAFETY: `init` registered this very pointer, and `free` has not run yet.
    let environment = unsafe { &*data.cast::<Environment>() };
    environment.close();
}

extern "C" fn free(_env: node_api::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: the pointer is the one that `init` gave away, and this runs once.
    drop(unsafe { Box::from_raw(data.cast::<Environment>()) });
}
