//! A JavaScript function that the event loop calls.

use std::ptr::null_mut;

use napi::bindgen_prelude::{FromNapiValue, Result, TypeName, ValidateNapiValue};
use napi::{ValueType, check_status, sys};

/// A strong reference to a function without arguments.
pub struct Callback {
    env: sys::napi_env,
    function: sys::napi_ref,
}

impl Callback {
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
        let (mut function, mut global, mut result) = (null_mut(), null_mut(), null_mut());
        // SAFETY: environment and scope are the caller's promise; the reference is strong, so that the function is
        // live.
        let status = unsafe {
            sys::napi_get_reference_value(self.env, self.function, &raw mut function);
            sys::napi_get_global(self.env, &raw mut global);
            let none = std::ptr::null();
            sys::napi_make_callback(
                self.env,
                null_mut(),
                global,
                function,
                0,
                none,
                &raw mut result,
            )
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

impl Drop for Callback {
    fn drop(&mut self) {
        // SAFETY: a callback is dropped by a call from JavaScript or by the cleanup hook: both run on the thread of the
        // environment, while that is live.
        unsafe { sys::napi_delete_reference(self.env, self.function) };
    }
}

impl FromNapiValue for Callback {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut function = null_mut();
        // SAFETY: napi-rs passes a live environment and value.
        check_status!(unsafe { sys::napi_create_reference(env, value, 1, &raw mut function) })?;
        Ok(Self { env, function })
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
