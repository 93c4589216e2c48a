//! Socket options.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::bytes::{Bytes, NOT_BYTES};
use super::environment::Environment;
use super::numbers::{to_handle, to_int};
use super::{count, status};
use crate::sys::{self, Errno};

/// `getsockopt(2)`: returns the number of bytes written to `into`. -EOPNOTSUPP, whatever the handle is, for an option
/// with which the kernel would write to other memory. The value of such a one has a pointer, or is not limited by its
/// length.
#[napi(ts_args_type = "handle: number, level: number, name: number, into: Uint8Array")]
pub fn get_option(env: &Env, handle: f64, level: f64, name: f64, mut into: Bytes) -> i32 {
    let Some(into) = into.get_mut() else { return NOT_BYTES };
    let environment = Environment::of(env);
    let filled = allowed(level, name, sys::is_unsafe_to_get).and_then(|(level, name)| {
        environment.registry().get_option(to_handle(handle), level, name, into)
    });
    environment.update_references();
    count(filled)
}

/// `setsockopt(2)`. -EOPNOTSUPP, whatever the handle is, for an option whose value has a pointer.
#[napi(ts_args_type = "handle: number, level: number, name: number, value: Uint8Array")]
pub fn set_option(env: &Env, handle: f64, level: f64, name: f64, value: Bytes) -> i32 {
    let Some(value) = value.get() else { return NOT_BYTES };
    let mut registry = Environment::of(env).registry();
    let option = allowed(level, name, sys::is_unsafe_to_set);
    status(
        option.and_then(|(level, name)| registry.set_option(to_handle(handle), level, name, value)),
    )
}

/// # Errors
/// EINVAL for a level or a name that is not an int; EOPNOTSUPP for an option that is unsafe.
fn allowed(level: f64, name: f64, is_unsafe: fn(i32, i32) -> bool) -> Result<(i32, i32), Errno> {
    let (level, name) = (to_int(level)?, to_int(name)?);
    if is_unsafe(level, name) { Err(Errno::OPNOTSUPP) } else { Ok((level, name)) }
}
