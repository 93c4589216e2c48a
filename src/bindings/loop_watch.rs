//! Calls JavaScript when an epoll descriptor is readable: from libuv's loop, or by a thread.

use std::os::fd::RawFd;
use std::ptr::null_mut;

use napi::bindgen_prelude::{Env, JsObjectValue, Object};
use napi::sys;

use super::thread_watch::ThreadWatch;
use crate::core::{OpenCall, OpenFailure};
use crate::sys::Errno;
use crate::uv;

/// What watches epoll descriptors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    /// A `uv_poll_t` in the loop of Node.
    Libuv,
    /// A thread, for runtimes without libuv's loop.
    Thread,
}

/// Runtimes without libuv's loop, by their names in `process.versions`. Their symbols do not show it: both export
/// libuv's functions.
const WITHOUT_LIBUV: [&str; 2] = ["bun", "deno"];

impl Backend {
    /// The backend of the runtime, by `process.versions`.
    pub(super) fn of(env: &Env) -> Self {
        let versions = env
            .get_global()
            .and_then(|global| global.get_named_property::<Object>("process"))
            .and_then(|process| process.get_named_property::<Object>("versions"));
        let is_listed = |name: &str| {
            versions.as_ref().is_ok_and(|it| it.has_named_property(name).unwrap_or(false))
        };
        if WITHOUT_LIBUV.into_iter().any(is_listed) { Self::Thread } else { Self::Libuv }
    }
}

/// A watch on one descriptor, unreferenced at first. Dropping it ends it.
pub(super) enum LoopWatch {
    Libuv(uv::Poll),
    Thread(ThreadWatch),
}

impl LoopWatch {
    /// Calls `on_ready` on the thread of the environment, from its event loop, whenever `fd` is readable.
    ///
    /// # Errors
    /// Of `epoll_ctl(2)`, or of what a thread needs; ENOSYS where libuv's functions are missing.
    pub(super) fn start(
        env: &Env,
        backend: Backend,
        fd: RawFd,
        on_ready: Box<dyn Fn()>,
    ) -> Result<Self, OpenFailure> {
        if backend == Backend::Thread {
            return ThreadWatch::start(env, fd, on_ready).map(Self::Thread);
        }
        let failure = OpenFailure::of(OpenCall::Libuv);
        let api = uv::Api::load().ok_or(Errno::NOSYS).map_err(failure)?;
        let mut event_loop = null_mut();
        // SAFETY: the environment is live during a call.
        unsafe { sys::napi_get_uv_event_loop(env.raw(), &raw mut event_loop) };
        // SAFETY: the loop is the one of this thread. Node runs it until the close callbacks of all handles have run,
        // also when a worker ends.
        unsafe { uv::Poll::start(api, event_loop.cast(), fd, on_ready) }
            .map(Self::Libuv)
            .map_err(OpenFailure::of(OpenCall::EpollCtl))
    }

    /// Sets whether the watch keeps the event loop, and so the process, alive.
    pub(super) fn set_referenced(&self, referenced: bool) {
        match self {
            Self::Libuv(poll) => poll.set_referenced(referenced),
            Self::Thread(watch) => watch.set_referenced(referenced),
        }
    }
}
