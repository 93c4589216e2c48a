//! A JavaScript function that Node's loop calls.

use std::ptr::null_mut;

use napi::bindgen_prelude::{FromNapiValue, Result, TypeName, ValidateNapiValue};
use napi::{ValueType, check_status, sys};

/// A function without arguments, held until it is dropped.
pub struct Callback {
    env: sys::napi_env,
    function: sys::napi_ref,
}

impl Callback {
    /// Calls the function as an event of its own: ticks and microtasks run after it, and what it
    /// throws becomes an uncaught exception. `napi_make_callback`.
    pub(super) fn call(&self) {
        let mut scope = null_mut();
        // SAFETY: this runs on the environment's thread, from its loop, while it is live.
        unsafe {
            if sys::napi_open_handle_scope(self.env, &raw mut scope) != sys::Status::napi_ok {
                return;
            }
            self.call_in_scope();
            sys::napi_close_handle_scope(self.env, scope);
        }
    }

    /// # Safety
    /// A handle scope must be open on the environment's thread.
    unsafe fn call_in_scope(&self) {
        let (mut function, mut global, mut result) = (null_mut(), null_mut(), null_mut());
        // SAFETY: as the caller says; the reference is strong, so the function is there.
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
            // SAFETY: as above. Node-API keeps the exception until it is fetched, and reports it
            // to nobody by itself. A worker that is being terminated has none to give.
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
        // SAFETY: callbacks are dropped by calls from JavaScript and by the cleanup hook, both on
        // a live environment's thread.
        unsafe { sys::napi_delete_reference(self.env, self.function) };
    }
}

impl FromNapiValue for Callback {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut function = null_mut();
        // SAFETY: napi-rs calls this with a live environment and value.
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
