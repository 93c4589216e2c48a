//! A few words of memory by which JavaScript and the event loop's calls of it know of each other without a call.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use napi::bindgen_prelude::{Env, Unknown};
use napi::sys;
use napi_derive::napi;

use super::environment::Environment;
use super::numbers::to_handle;

/// The words, as JavaScript reads them.
mod words {
    /// 1 while the loop calls JavaScript, with the microtasks and `process.nextTick()` callbacks after it.
    pub(super) const CALLING: usize = 0;
    /// Whether JavaScript references the multiplexer.
    pub(super) const REFERENCED: usize = 1;
    /// One of `questions`.
    pub(super) const QUESTION: usize = 2;
    pub(super) const COUNT: usize = 3;
}

/// The values of the word `QUESTION`.
mod questions {
    /// Nothing is asked.
    pub(super) const NONE: i32 = 0;
    /// Asked by JavaScript: whether there are events at the end of the loop's call for which no edge will come.
    pub(super) const ASKED: i32 = 1;
    /// There are some, which is what JavaScript is called for.
    pub(super) const READY: i32 = 2;
}

/// The words of a multiplexer. They are atomic since the array of JavaScript could be sent to another thread.
#[derive(Default)]
pub(super) struct LoopStatus([AtomicI32; words::COUNT]);

impl LoopStatus {
    fn set(&self, word: usize, value: i32) {
        if let Some(word) = self.0.get(word) {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn get(&self, word: usize) -> i32 {
        self.0.get(word).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// The loop calls JavaScript, or has called it.
    pub(super) fn set_calling(&self, is_calling: bool) {
        self.set(words::CALLING, is_calling.into());
    }

    /// Whether JavaScript references the multiplexer.
    pub(super) fn is_referenced(&self) -> bool {
        self.get(words::REFERENCED) != 0
    }

    pub(super) fn set_referenced(&self, referenced: bool) {
        self.set(words::REFERENCED, referenced.into());
    }

    /// Whether JavaScript has asked for what is ready, since this was last called.
    pub(super) fn take_question(&self) -> bool {
        let is_asked = self.get(words::QUESTION) == questions::ASKED;
        if is_asked {
            self.set(words::QUESTION, questions::NONE);
        }
        is_asked
    }

    /// The answer, of which JavaScript takes note in the call that follows.
    pub(super) fn set_ready(&self) {
        self.set(words::QUESTION, questions::READY);
    }
}

/// Memory that the loop's calls of `onReady` and JavaScript share, as an `ArrayBuffer` of int32; null when the runtime
/// refuses external memory, and for a handle that is not a multiplexer's.
///
/// - Word 0: whether the loop is calling, which ends after microtasks.
/// - Word 1: whether the multiplexer is referenced. A change takes effect at the end of such a call.
/// - Word 2: 1, set by JavaScript, asks for one more call when there are events at the end of the call for which none
///   would come; it is 2 in that call.
#[napi(ts_return_type = "ArrayBuffer | null")]
pub fn loop_status(env: &Env, multiplexer: f64) -> Option<Unknown<'_>> {
    let status = Environment::of(env).status(to_handle(multiplexer))?;
    // SAFETY: the environment is live during a call.
    unsafe { share(env, status) }
}

/// # Safety
/// The caller is on the thread of a live environment, with an open handle scope.
unsafe fn share(env: &Env, status: Arc<LoopStatus>) -> Option<Unknown<'_>> {
    let memory = Arc::into_raw(status).cast_mut();
    let mut buffer = null_mut();
    // SAFETY: the memory has the size that is given, and stays allocated until `release` has been called.
    let created = unsafe {
        sys::napi_create_external_arraybuffer(
            env.raw(),
            memory.cast(),
            size_of::<LoopStatus>(),
            Some(release),
            null_mut(),
            &raw mut buffer,
        )
    };
    if created != sys::Status::napi_ok {
        // SAFETY: the runtime has not taken the reference, and does not call `release`.
        drop(unsafe { Arc::from_raw(memory) });
        return None;
    }
    // SAFETY: the value was made in this call.
    Some(unsafe { Unknown::from_raw_unchecked(env.raw(), buffer) })
}

/// The finalizer of the array: gives its reference up.
extern "C" fn release(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: `share` has made this reference for the array, whose finalizer runs once.
    drop(unsafe { Arc::from_raw(data.cast::<LoopStatus>()) });
}
