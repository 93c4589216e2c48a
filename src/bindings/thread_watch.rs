//! From a waiting thread to JavaScript: a threadsafe function of Node-API.

use std::cell::Cell;
use std::ffi::c_void;
use std::os::fd::RawFd;
use std::ptr::null_mut;

use napi::bindgen_prelude::Env;
use napi::sys;

use crate::sys::Errno;
use crate::thread::{PollThread, PollThreadBuilder, Resumer};

/// What a call that has arrived does; freed by the finalizer, which Deno does not run in a worker
/// that ends, and so nothing here owns a descriptor.
struct CallContext {
    on_ready: Box<dyn Fn()>,
    resumer: Resumer,
}

/// A thread that waits on a descriptor, and the way from it to JavaScript.
pub(super) struct ThreadWatch {
    /// Dropped, and so joined, before the function that it calls.
    _thread: PollThread,
    function: Function,
    referenced: Cell<bool>,
    env: sys::napi_env,
}

impl ThreadWatch {
    /// `on_ready` runs on the environment's thread whenever `fd` is readable. One call is under way
    /// at most: the thread looks again when `on_ready` has returned.
    ///
    /// # Errors
    /// EMFILE and the like of `eventfd(2)`; EAGAIN when there can be no more threads.
    pub(super) fn start(env: &Env, fd: RawFd, on_ready: Box<dyn Fn()>) -> Result<Self, Errno> {
        let builder = PollThreadBuilder::new()?;
        let call = CallContext { on_ready, resumer: builder.resumer() };
        let function = Function::create(env, call).ok_or(Errno::AGAIN)?;
        let caller = function.caller();
        let thread = builder.start(fd, move || caller.call())?;
        Ok(Self { _thread: thread, function, referenced: Cell::new(false), env: env.raw() })
    }

    pub(super) fn set_referenced(&self, referenced: bool) {
        // Not every host's references are idempotent.
        if self.referenced.replace(referenced) != referenced {
            self.function.set_referenced(self.env, referenced);
        }
    }
}

/// A threadsafe function with the one thread as its only other user.
struct Function(sys::napi_threadsafe_function);

impl Function {
    /// `None` when the host refuses; unreferenced at first.
    fn create(env: &Env, call: CallContext) -> Option<Self> {
        let (mut name, mut function) = (null_mut(), null_mut());
        let context = Box::into_raw(Box::new(call)).cast::<c_void>();
        // SAFETY: the environment is live, on this thread; the context lives until `finalize`.
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
            // SAFETY: a function that was not made does not finalize.
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

    fn set_referenced(&self, env: sys::napi_env, referenced: bool) {
        // SAFETY: on the environment's thread; the function is there until it is released.
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
        // SAFETY: the thread, its only other user, has ended. Where the host has begun to close it
        // at the environment's end, it is freed only after all cleanup hooks.
        unsafe { sys::napi_release_threadsafe_function(self.0, abort) };
    }
}

/// The thread's end of it.
struct Caller(sys::napi_threadsafe_function);

// SAFETY: these functions are made to be called from any thread.
unsafe impl Send for Caller {}

impl Caller {
    /// A refusal means that the environment ends: nobody has to be told any more.
    fn call(&self) {
        let nonblocking = sys::ThreadsafeFunctionCallMode::nonblocking;
        // SAFETY: the function is released only when the calling thread has been joined.
        unsafe { sys::napi_call_threadsafe_function(self.0, null_mut(), nonblocking) };
    }
}

/// Runs on the environment's thread; without an environment when that ends.
unsafe extern "C" fn call_js(
    env: sys::napi_env,
    _function: sys::napi_value,
    context: *mut c_void,
    _data: *mut c_void,
) {
    if env.is_null() {
        return;
    }
    // SAFETY: the context lives until `finalize`, after which no call arrives.
    let call = unsafe { &*context.cast::<CallContext>() };
    (call.on_ready)();
    call.resumer.resume();
}

/// Runs once; maybe when the environment has gone, which it does not touch.
unsafe extern "C" fn finalize(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `create` gave this very pointer away.
    drop(unsafe { Box::from_raw(data.cast::<CallContext>()) });
}
