//! The only module that uses Node-API: it converts arguments, calls `core` and returns an int.
//!
//! A function returns a number that is not negative, or a negated errno. Objects, errors and promises are made in
//! TypeScript.

#![allow(unreachable_pub, reason = "`#[napi]` items are exported to JavaScript")]
#![allow(
    clippy::needless_pass_by_value,
    clippy::trivially_copy_pass_by_ref,
    reason = "napi-rs owns the arguments and lends the environment"
)]

mod address;
mod ancillary;
mod bytes;
mod callback;
mod closing_phase;
mod context;
mod descriptor;
mod environment;
mod fast;
mod file;
mod in_transit;
mod listener;
mod loop_status;
mod loop_watch;
mod multiplexer;
mod numbers;
mod relay;
mod socket;
mod sockopt;
mod state;
mod thread_watch;
mod transfer;

use std::ffi::c_void;
use std::ptr::null_mut;
use std::rc::Rc;

use napi::bindgen_prelude::{Env, JsValue, Object};
use napi::check_status;
use napi::sys;
use napi_derive::napi;

use crate::sys::Errno;
use environment::Environment;

/// The number, or the negated errno.
fn number<T: Into<i32>>(result: Result<T, Errno>) -> i32 {
    result.map_or_else(Errno::negated, Into::into)
}

/// 0, or the negated errno.
fn status(result: Result<(), Errno>) -> i32 {
    number(result.map(|()| 0))
}

/// A count of events or sockets, or the negated errno.
fn count(result: Result<usize, Errno>) -> i32 {
    result.map_or_else(Errno::negated, |count| i32::try_from(count).unwrap_or(i32::MAX))
}

/// A count of bytes, which may exceed an int, or the negated errno.
fn byte_count(result: Result<usize, Errno>) -> i64 {
    result.map_or_else(
        |errno| i64::from(errno.negated()),
        |count| i64::try_from(count).unwrap_or(i64::MAX),
    )
}

/// Makes the state of an environment that loads the addon.
#[napi(module_exports)]
pub fn init(exports: Object<'_>, env: Env) -> napi::Result<()> {
    let environment = Rc::into_raw(Environment::new(&env)).cast_mut();
    // SAFETY: the environment owns the reference from here on; Node-API calls `free` with it once, as the last thing.
    check_status!(unsafe {
        sys::napi_set_instance_data(env.raw(), environment.cast(), Some(free), null_mut())
    })?;
    // SAFETY: Node-API runs cleanup hooks before it frees the instance data.
    check_status!(unsafe {
        sys::napi_add_env_cleanup_hook(env.raw(), Some(end), environment.cast())
    })?;
    // SAFETY: Node-API frees the instance data after the last call of an exported function.
    unsafe { fast::install(env.raw(), exports.raw(), environment) }
}

/// The cleanup hook; `worker.terminate()` runs it too. libuv aborts the process when a loop ends with open handles, and
/// a thread must not use a descriptor that is closed.
extern "C" fn end(data: *mut c_void) {
    // SAFETY: `init` registered this pointer, and `free` runs later.
    let environment = unsafe { &*data.cast::<Environment>() };
    environment.close();
}

/// The finalizer of the instance data.
extern "C" fn free(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: the pointer is the one of `init`, and Node-API runs a finalizer once.
    drop(unsafe { Rc::from_raw(data.cast::<Environment>()) });
}
