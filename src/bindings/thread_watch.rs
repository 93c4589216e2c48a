//! A thread that watches a descriptor and calls JavaScript by a threadsafe function.

use std::cell::Cell;
use std::ffi::c_void;
use std::os::fd::RawFd;
use std::ptr::null_mut;

use napi::bindgen_prelude::Env;
use napi::sys;

use crate::core::{OpenCall, OpenFailure};
use crate::sys::Errno;
use crate::thread::{PollThread, PollThreadBuilder, Resumer};

/// The context of the threadsafe function. It owns no descriptor: its finalizer frees it, and Deno does not run that in
/// a worker that ends.
struct CallContext {
    on_ready: Box<dyn Fn()>,
    resumer: Resumer,
}

/// A watch by a thread.
pub(super) struct ThreadWatch {
    /// Dropped before `function`: it joins the thread that calls the function.
    _thread: PollThread,
    function: Function,
    referenced: Cell<bool>,
    env: sys::napi_env,
}

impl ThreadWatch {
    /// Calls `on_ready` on the thread of the environment whenever `fd` is readable. The poll thread pauses from a
    /// report until `on_ready` has returned, so that at most one call is queued.
    ///
    /// # Errors
    /// The errors of eventfd(2); EAGAIN when no thread or function can be created.
    pub(super) fn start(
        env: &Env,
        fd: RawFd,
        on_ready: Box<dyn Fn()>,
    ) -> Result<Self, OpenFailure> {
        let builder = PollThreadBuilder::new().map_err(OpenFailure::of(OpenCall::EventFd))?;
        let context = CallContext { on_ready, resumer: builder.resumer() };
        let failure = OpenFailure::of(OpenCall::CreateThread);
        let function = Function::create(env, context).ok_or(Errno::AGAIN).map_err(failure)?;
        let caller = function.caller();
        let failure = OpenFailure::of(OpenCall::CreateThread);
        let thread = builder.start(fd, move || caller.call()).map_err(failure)?;
        Ok(Self { _thread: thread, function, referenced: Cell::new(false), env: env.raw() })
    }

    /// Sets whether the function keeps the event loop alive. Not every runtime makes that idempotent.
    pub(super) fn set_referenced(&self, referenced: bool) {
        if self.referenced.replace(referenced) != referenced {
            self.function.set_referenced(self.env, referenced);
        }
    }
}

/// A threadsafe function that one thread calls.
struct Function(sys::napi_threadsafe_function);

impl Function {
    /// Creates an unreferenced function; `None` when the runtime refuses.
    fn create(env: &Env, context: CallContext) -> Option<Self> {
        let (mut name, mut function) = (null_mut(), null_mut());
        let context = Box::into_raw(Box::new(context)).cast::<c_void>();
        // SAFETY: the environment is live, on this thread. The context lives until `finalize` frees it.
        let status = unsafe {
            sys::napi_create_string_utf8(env.raw(), c"m-socket".as_ptr(), 8, &raw mut name);
            sys::napi_create_threadsafe_function(
                env.raw(),
                null_mut(),
                null_mut(),
                name,
                0,
                1,
                context,
                Some(finalize),
                context,
                Some(call_js),
                &raw mut function,
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: Node-API does not run the finalizer of a function that it did not create.
            drop(unsafe { Box::from_raw(context.cast::<CallContext>()) });
            return None;
        }
        let function = Self(function);
        function.set_referenced(env.raw(), false);
        Some(function)
    }

    fn caller(&self) -> Caller {
        Caller(self.0)
    }

    /// `napi_ref_threadsafe_function`, `napi_unref_threadsafe_function`.
    fn set_referenced(&self, env: sys::napi_env, referenced: bool) {
        // SAFETY: this runs on the thread of the environment, and the function lives until it is released.
        unsafe {
            if referenced {
                sys::napi_ref_threadsafe_function(env, self.0);
            } else {
                sys::napi_unref_threadsafe_function(env, self.0);
            }
        }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let abort = sys::ThreadsafeFunctionReleaseMode::abort;
        // SAFETY: the thread that calls it has been joined. At the end of an environment the runtime closes its
        // threadsafe functions, but frees them only after all cleanup hooks.
        unsafe { sys::napi_release_threadsafe_function(self.0, abort) };
    }
}

/// The function, for the thread.
struct Caller(sys::napi_threadsafe_function);

// SAFETY: Node-API allows calls of a threadsafe function from any thread.
unsafe impl Send for Caller {}

impl Caller {
    /// `napi_call_threadsafe_function`. A refusal means that the environment ends.
    fn call(&self) {
        let nonblocking = sys::ThreadsafeFunctionCallMode::nonblocking;
        // SAFETY: the function is released only after this thread has been joined.
        unsafe { sys::napi_call_threadsafe_function(self.0, null_mut(), nonblocking) };
    }
}

/// Runs on the thread of the environment; `env` is null when the environment ends.
///
/// # Notes
/// Deno also runs a call that was queued before the function was released (`ext/napi/node_api.rs`): `on_ready` may be
/// called after the watch was dropped, and its resume has no effect then.
unsafe extern "C" fn call_js(
    env: sys::napi_env,
    _function: sys::napi_value,
    context: *mut c_void,
    _data: *mut c_void,
) {
    if env.is_null() {
        return;
    }
    // SAFETY: Node-API runs `finalize`, which frees the context, after the last call.
    let context = unsafe { &*context.cast::<CallContext>() };
    (context.on_ready)();
    context.resumer.resume();
}

/// Frees the context. The environment may be gone already, so that it is not used.
unsafe extern "C" fn finalize(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `create` gave up this pointer, and Node-API runs a finalizer once.
    drop(unsafe { Box::from_raw(data.cast::<CallContext>()) });
}
