//! What tells JavaScript that an epoll descriptor is readable: start it, hold it, drop it.

use std::os::fd::RawFd;
use std::ptr::null_mut;

use napi::bindgen_prelude::{Env, JsObjectValue, Object};
use napi::sys;

use super::thread_watch::ThreadWatch;
use crate::sys::Errno;
use crate::uv;

/// Who waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    /// The loop of libuv that Node runs.
    Libuv,
    /// A thread of ours, where there is no such loop.
    Thread,
}

/// Hosts without a loop of libuv's, as `process.versions` names them. Their symbols would not tell:
/// both export libuv's functions.
const WITHOUT_LIBUV: [&str; 2] = ["bun", "deno"];

impl Backend {
    /// The backend of the host that an environment is of.
    pub(super) fn of(env: &Env) -> Self {
        let versions = env
            .get_global()
            .and_then(|global| global.get_named_property::<Object>("process"))
            .and_then(|process| process.get_named_property::<Object>("versions"));
        let names = |name: &str| {
            versions.as_ref().is_ok_and(|it| it.has_named_property(name).unwrap_or(false))
        };
        if WITHOUT_LIBUV.into_iter().any(names) { Self::Thread } else { Self::Libuv }
    }
}

/// A watch on one descriptor, which does not hold the process at first; dropping it ends it.
pub(super) enum LoopWatch {
    Libuv(uv::Poll),
    Thread(ThreadWatch),
}

impl LoopWatch {
    /// `on_ready` runs on the environment's thread, from its loop, whenever `fd` is readable.
    ///
    /// # Errors
    /// An error number, negative.
    pub(super) fn start(
        env: &Env,
        backend: Backend,
        fd: RawFd,
        on_ready: Box<dyn Fn()>,
    ) -> Result<Self, i32> {
        if backend == Backend::Thread {
            return ThreadWatch::start(env, fd, on_ready).map(Self::Thread).map_err(Errno::negated);
        }
        let api = uv::Api::load().ok_or(-1)?;
        let mut event_loop = null_mut();
        // SAFETY: the environment is live.
        unsafe { sys::napi_get_uv_event_loop(env.raw(), &raw mut event_loop) };
        // SAFETY: the loop is this thread's, and Node runs it until all handles have closed.
        unsafe { uv::Poll::start(api, event_loop.cast(), fd, on_ready) }.map(Self::Libuv)
    }

    /// Whether it keeps the loop, and with it the process, alive.
    pub(super) fn set_referenced(&self, referenced: bool) {
        match self {
            Self::Libuv(poll) => poll.set_referenced(referenced),
            Self::Thread(watch) => watch.set_referenced(referenced),
        }
    }
}
