//! A JavaScript function that the event loop calls.

use std::ptr::{null, null_mut};

use napi::bindgen_prelude::{FromNapiValue, Result, TypeName, ValidateNapiValue};
use napi::{ValueType, check_status, sys};

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
    /// Null where the runtime has no asynchronous contexts.
    async_context: sys::napi_async_context,
}

impl Callback {
    /// # Safety
    /// The caller is on the thread of a live environment, with an open handle scope; `function` is a function of it.
    unsafe fn new(env: sys::napi_env, function: sys::napi_value) -> Result<Self> {
        let mut callback =
            Self { env, function: null_mut(), resource: null_mut(), async_context: null_mut() };
        let (mut resource, mut name) = (null_mut(), null_mut());
        // SAFETY: environment, scope and function are the caller's promise. The references that were made before a
        // failure are deleted by `drop`.
        unsafe {
            check_status!(sys::napi_create_reference(
                env,
                function,
                1,
                &raw mut callback.function
            ))?;
            check_status!(sys::napi_create_object(env, &raw mut resource))?;
            check_status!(sys::napi_create_reference(
                env,
                resource,
                1,
                &raw mut callback.resource
            ))?;
            let length = RESOURCE_TYPE.count_bytes().cast_signed();
            check_status!(sys::napi_create_string_utf8(
                env,
                RESOURCE_TYPE.as_ptr(),
                length,
                &raw mut name
            ))?;
            let status = sys::napi_async_init(env, resource, name, &raw mut callback.async_context);
            if status != sys::Status::napi_ok {
                callback.async_context = null_mut();
            }
        }
        Ok(callback)
    }

    /// `napi_make_callback`: `process.nextTick()` callbacks and microtasks run after the function. An error that it
    /// throws becomes an uncaught exception.
    pub(super) fn call(&self) {
        let mut scope = null_mut();
        // SAFETY: the event loop calls this on the thread of the environment, while that is live.
        unsafe {
            if sys::napi_open_handle_scope(self.env, &raw mut scope) != sys::Status::napi_ok {
                return;
            }
            self.call_in_scope();
            sys::napi_close_handle_scope(self.env, scope);
        }
    }

    /// # Safety
    /// The caller is on the thread of a live environment, with an open handle scope.
    unsafe fn call_in_scope(&self) {
        let (mut function, mut receiver) = (null_mut(), null_mut());
        // SAFETY: environment and scope are the caller's promise; the references are strong, so that function and
        // receiver are live.
        let status = unsafe {
            sys::napi_get_reference_value(self.env, self.function, &raw mut function);
            sys::napi_get_reference_value(self.env, self.resource, &raw mut receiver);
            make_callback(self.env, self.async_context, receiver, function)
        };
        if status == sys::Status::napi_pending_exception {
            // SAFETY: as above. The exception stays pending until it is fetched; Node-API does not report it. In a
            // worker that is being terminated there is none to fetch.
            unsafe {
                let mut exception = null_mut();
                let fetched = sys::napi_get_and_clear_last_exception(self.env, &raw mut exception);
                if fetched == sys::Status::napi_ok {
                    sys::napi_fatal_exception(self.env, exception);
                }
            }
        }
    }
}

/// `napi_make_callback` without arguments and result.
///
/// # Safety
/// The environment and the values are live, on this thread, and the context is null or one of the environment.
pub(super) unsafe fn make_callback(
    env: sys::napi_env,
    context: sys::napi_async_context,
    receiver: sys::napi_value,
    function: sys::napi_value,
) -> sys::napi_status {
    let mut result = null_mut();
    // SAFETY: the caller's promise.
    unsafe { sys::napi_make_callback(env, context, receiver, function, 0, null(), &raw mut result) }
}

impl Drop for Callback {
    fn drop(&mut self) {
        // SAFETY: a callback is dropped by a call from JavaScript or by the cleanup hook: both run on the thread of the
        // environment, while that is live.
        unsafe {
            if !self.async_context.is_null() {
                sys::napi_async_destroy(self.env, self.async_context);
            }
            for reference in [self.function, self.resource] {
                if !reference.is_null() {
                    sys::napi_delete_reference(self.env, reference);
                }
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
