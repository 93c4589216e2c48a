//! The asynchronous context that JavaScript runs in.

use std::ptr::null_mut;

use napi::bindgen_prelude::{Env, Function, JsValue};
use napi::sys;
use napi_derive::napi;

use super::callback::make_callback;

/// Calls `callback` without an asynchronous context: no `AsyncLocalStorage` has a store in it. Returns 0, or -1 when
/// the runtime refuses.
#[napi(ts_args_type = "callback: () => void")]
pub fn call_without_context(env: &Env, callback: Function<'_, (), ()>) -> i32 {
    let mut receiver = null_mut();
    // SAFETY: environment and function are live during this call. An error that the function throws stays pending, and
    // is thrown when this call returns.
    let called = unsafe {
        match sys::napi_create_object(env.raw(), &raw mut receiver) {
            sys::Status::napi_ok => make_callback(env.raw(), null_mut(), receiver, callback.raw()),
            refused => Err(refused),
        }
    };
    if called.is_ok() { 0 } else { -1 }
}
