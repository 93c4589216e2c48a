//! A JavaScript function that the event loop calls.

use std::ptr::{null, null_mut};

use napi::bindgen_prelude::{Env, FromNapiValue, Result, TypeName, ValidateNapiValue};
use napi::{ValueType, check_status, sys};

use super::environment::Environment;
use super::loop_watch::Backend;

/// The type of the asynchronous resource, for `async_hooks`.
const RESOURCE_TYPE: &std::ffi::CStr = c"m-socket";

/// A strong reference to a function without arguments, and the asynchronous context that it is called in: that of the
/// code that made it.
pub struct Callback {
    env: sys::napi_env,
    function: sys::napi_ref,
    /// The receiver of the calls, which is also the asynchronous resource. With the global object in its place,
    /// `node:domain` would take `globalThis.domain` for a domain, and `enterWith()` would write to the global object.
    resource: sys::napi_ref,
    /// Null on Bun and Deno, which do not run callbacks in one. Deno ends the process when one is destroyed by a cleanup
    /// hook.
    async_context: sys::napi_async_context,
}

impl Callback {
    /// # Safety
    /// The caller is on the thread of a live environment, with an open handle scope; `function` is a function of it.
    unsafe fn new(env: sys::napi_env, function: sys::napi_value) -> Result<Self> {
        let (mut resource, mut reference) = (null_mut(), null_mut());
        // SAFETY: environment, scope and function are the caller's promise.
        check_status!(unsafe { sys::napi_create_object(env, &raw mut resource) })?;
        // SAFETY: as above.
        check_status!(unsafe { sys::napi_create_reference(env, function, 1, &raw mut reference) })?;
        let mut callback =
            Self { env, function: reference, resource: null_mut(), async_context: null_mut() };
        let resource_of = &raw mut callback.resource;
        // SAFETY: as above. The reference to the function is deleted by `drop` if this one cannot be made.
        check_status!(unsafe { sys::napi_create_reference(env, resource, 1, resource_of) })?;
        if Environment::of(&Env::from_raw(env)).backend() == Backend::Libuv {
            // SAFETY: as above.
            callback.async_context = unsafe { async_context(env, resource) };
        }
        Ok(callback)
    }

    /// The environment of the function.
    pub(super) fn env(&self) -> Env {
        Env::from_raw(self.env)
    }

    /// `napi_make_callback`: `process.nextTick()` callbacks and microtasks run after the function. An error that it
    /// throws becomes an uncaught exception.
    pub(super) fn call(&self) -> Outcome {
        let mut scope = null_mut();
        // SAFETY: the event loop calls this on the thread of the environment, while that is live.
        unsafe {
            if sys::napi_open_handle_scope(self.env, &raw mut scope) != sys::Status::napi_ok {
                return Outcome::Refused;
            }
            let outcome = self.call_in_scope();
            sys::napi_close_handle_scope(self.env, scope);
            outcome
        }
    }

    /// # Safety
    /// The caller is on the thread of a live environment, with an open handle scope.
    unsafe fn call_in_scope(&self) -> Outcome {
        let (mut function, mut receiver) = (null_mut(), null_mut());
        // SAFETY: environment and scope are the caller's promise; the references are strong, so that function and
        // receiver are live.
        let result = unsafe {
            sys::napi_get_reference_value(self.env, self.function, &raw mut function);
            sys::napi_get_reference_value(self.env, self.resource, &raw mut receiver);
            make_callback(self.env, self.async_context, receiver, function)
        };
        let mut flag = false;
        match result {
            Ok(value) => {
                // SAFETY: as above. The flag stays false for anything but a boolean.
                unsafe { sys::napi_get_value_bool(self.env, value, &raw mut flag) };
                Outcome::Returned(flag)
            }
            Err(sys::Status::napi_pending_exception) => {
                // SAFETY: as above. The exception stays pending until it is fetched; Node-API does not report it. In a
                // worker that is being terminated there is none to fetch: undefined would be returned.
                unsafe {
                    sys::napi_is_exception_pending(self.env, &raw mut flag);
                    if !flag {
                        return Outcome::Refused;
                    }
                    let mut exception = null_mut();
                    sys::napi_get_and_clear_last_exception(self.env, &raw mut exception);
                    sys::napi_fatal_exception(self.env, exception);
                }
                Outcome::Thrown
            }
            Err(_) => Outcome::Refused,
        }
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Whether it returned true.
    Returned(bool),
    /// It has thrown an error, which has become an uncaught exception.
    Thrown,
    /// JavaScript does not run any more.
    Refused,
}

/// `napi_async_init`; null when the runtime refuses.
///
/// # Safety
/// The caller is on the thread of a live environment, with an open handle scope; `resource` is an object of it.
unsafe fn async_context(env: sys::napi_env, resource: sys::napi_value) -> sys::napi_async_context {
    let (mut name, mut context) = (null_mut(), null_mut());
    let length = RESOURCE_TYPE.count_bytes().cast_signed();
    // SAFETY: the caller's promise; the name has the length that is given.
    let status = unsafe {
        sys::napi_create_string_utf8(env, RESOURCE_TYPE.as_ptr(), length, &raw mut name);
        sys::napi_async_init(env, resource, name, &raw mut context)
    };
    if status == sys::Status::napi_ok { context } else { null_mut() }
}

/// `napi_make_callback` without arguments.
///
/// # Errors
/// The status, when the function has thrown or was not called.
///
/// # Safety
/// The environment and the values are live, on this thread, and the context is null or one of the environment.
pub(super) unsafe fn make_callback(
    env: sys::napi_env,
    context: sys::napi_async_context,
    receiver: sys::napi_value,
    function: sys::napi_value,
) -> std::result::Result<sys::napi_value, sys::napi_status> {
    let mut result = null_mut();
    // SAFETY: the caller's promise.
    let status = unsafe {
        sys::napi_make_callback(env, context, receiver, function, 0, null(), &raw mut result)
    };
    if status == sys::Status::napi_ok { Ok(result) } else { Err(status) }
}

impl Drop for Callback {
    fn drop(&mut self) {
        // SAFETY: a callback is dropped by a call from JavaScript or by the cleanup hook: both run on the thread of the
        // environment, while that is live.
        unsafe {
            if !self.async_context.is_null() {
                sys::napi_async_destroy(self.env, self.async_context);
            }
            sys::napi_delete_reference(self.env, self.function);
            if !self.resource.is_null() {
                sys::napi_delete_reference(self.env, self.resource);
            }
        }
    }
}

impl FromNapiValue for Callback {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        // SAFETY: napi-rs passes a live environment and value, within a call.
        unsafe { Self::new(env, value) }
    }
}

impl TypeName for Callback {
    fn type_name() -> &'static str {
        "() => void"
    }

    fn value_type() -> ValueType {
        ValueType::Function
    }
}

impl ValidateNapiValue for Callback {}
