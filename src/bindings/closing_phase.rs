//! Calls JavaScript in the closing phase of Node's loop.

use std::ptr::null_mut;
use std::rc::{Rc, Weak};

use napi::bindgen_prelude::Env;
use napi::sys;
use napi_derive::napi;

use super::callback::{Callback, Outcome};
use super::environment::Environment;
use super::loop_watch::Backend;
use super::status;
use crate::sys::Errno;
use crate::uv;

/// The closing phase of an environment's loop, and what is called in it.
pub(super) struct ClosingPhase {
    phase: uv::ClosingPhase,
    /// The only strong reference, as in a `LoopEntry`: a close callback may run after the environment.
    on_phase: Rc<Callback>,
}

/// Sets what `requestClosingPhase` has called in the phase in which libuv's loop calls close callbacks. It is called
/// again for as long as it returns true or throws; `process.nextTick()` callbacks run in between. Returns -ENOSYS where
/// libuv's loop does not run.
#[napi(ts_args_type = "callback: () => boolean")]
pub fn open_closing_phase(env: &Env, callback: Callback) -> i32 {
    let environment = Environment::of(env);
    let opened = open(env, environment.backend());
    status(opened.map(|phase| {
        let on_phase = Rc::new(callback);
        *environment.closing_phase() = Some(ClosingPhase { phase, on_phase });
    }))
}

fn open(env: &Env, backend: Backend) -> Result<uv::ClosingPhase, Errno> {
    if backend != Backend::Libuv {
        return Err(Errno::NOSYS);
    }
    let mut event_loop = null_mut();
    // SAFETY: the environment is live during a call.
    unsafe { sys::napi_get_uv_event_loop(env.raw(), &raw mut event_loop) };
    // SAFETY: the loop is the one of this thread. Node runs it until the close callbacks of all handles have run, also
    // when a worker ends.
    unsafe { uv::ClosingPhase::of(event_loop.cast()) }
}

/// Has the function of `openClosingPhase` called in the closing phase of the loop's current turn, by `uv_close`; the
/// loop, and so the process, stays alive until then. -ENOSYS when there is no such function.
#[napi]
pub fn request_closing_phase(env: &Env) -> i32 {
    let environment = Environment::of(env);
    let Some(ClosingPhase { phase, on_phase }) = &*environment.closing_phase() else {
        return status(Err(Errno::NOSYS));
    };
    let weak = Rc::downgrade(on_phase);
    phase.request(Box::new(move || call_repeatedly(&weak)));
    0
}

/// Calls until there is nothing more to do.
fn call_repeatedly(callback: &Weak<Callback>) {
    // A call may end the environment.
    while let Some(callback) = callback.upgrade() {
        if matches!(callback.call(), Outcome::Returned(false) | Outcome::Refused) {
            break;
        }
    }
}
