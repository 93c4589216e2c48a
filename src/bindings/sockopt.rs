//! Socket options.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::bytes::{Bytes, NOT_BYTES};
use super::environment::Environment;
use super::{count, status};
use crate::core::Handle;

/// `getsockopt(2)`: returns the number of bytes written to `into`.
#[napi(ts_args_type = "handle: number, level: number, name: number, into: Uint8Array")]
pub fn get_option(env: &Env, handle: i32, level: i32, name: i32, mut into: Bytes) -> i32 {
    let Some(into) = into.get_mut() else { return NOT_BYTES };
    let mut registry = Environment::of(env).registry();
    count(registry.get_option(Handle::from_raw(handle), level, name, into))
}

/// `setsockopt(2)`.
#[napi(ts_args_type = "handle: number, level: number, name: number, value: Uint8Array")]
pub fn set_option(env: &Env, handle: i32, level: i32, name: i32, value: Bytes) -> i32 {
    let Some(value) = value.get() else { return NOT_BYTES };
    let mut registry = Environment::of(env).registry();
    status(registry.set_option(Handle::from_raw(handle), level, name, value))
}
