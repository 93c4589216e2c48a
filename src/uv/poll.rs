//! `uv_poll_t`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;

use super::Api;
use super::api::Opaque;

/// libuv aligns its structs as malloc does.
const ALIGNMENT: usize = 16;

/// `UV_READABLE` of `uv_poll_event`.
const READABLE: c_int = 1;

/// What a handle's data points to until its close callback has run.
struct PollData {
    on_ready: Box<dyn Fn()>,
    layout: Layout,
}

/// A level-triggered watch on one descriptor, unreferenced at first; dropping it ends it.
pub(crate) struct Poll {
    handle: Opaque,
    api: Api,
}

impl Poll {
    /// `uv_poll_init` and `uv_poll_start`: `on_ready` runs on the loop's thread whenever `fd` is
    /// readable.
    ///
    /// # Errors
    /// libuv's error number, negative, as `epoll_ctl` gave it.
    ///
    /// # Safety
    /// `event_loop` must be the `uv_loop_t` of this thread, and outlive the handle's close.
    pub(crate) unsafe fn start(
        api: Api,
        event_loop: Opaque,
        fd: RawFd,
        on_ready: Box<dyn Fn()>,
    ) -> Result<Self, c_int> {
        let Ok(layout) = Layout::from_size_align(api.poll_size(), ALIGNMENT) else {
            return Err(-1);
        };
        // SAFETY: libuv's handles are never of size zero.
        let handle: Opaque = unsafe { alloc_zeroed(layout) }.cast();
        if handle.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: the memory is of libuv's own size, and the caller vouches for the loop.
        let status = unsafe { (api.poll_init)(event_loop, handle, fd) };
        if status < 0 {
            // SAFETY: a handle that was not initialised is plain memory of this layout.
            unsafe { dealloc(handle.cast(), layout) };
            return Err(status);
        }
        let data = Box::into_raw(Box::new(PollData { on_ready, layout }));
        let poll = Self { handle, api };
        // SAFETY: the handle is initialised, and its data lives until `closed`.
        let status = unsafe {
            (api.set_data)(handle, data.cast());
            (api.unreference)(handle);
            (api.poll_start)(handle, READABLE, ready)
        };
        if status < 0 { Err(status) } else { Ok(poll) }
    }

    /// Whether the handle keeps the loop, and with it the process, alive: `uv_ref`, `uv_unref`.
    pub(crate) fn set_referenced(&self, referenced: bool) {
        let set = if referenced { self.api.reference } else { self.api.unreference };
        // SAFETY: the handle is open as long as `self` is; both calls are idempotent.
        unsafe { set(self.handle) };
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        // SAFETY: the handle is open and closed only here; libuv calls `closed` later.
        unsafe { (self.api.close)(self.handle, closed) };
    }
}

extern "C" fn ready(handle: Opaque, _status: c_int, _events: c_int) {
    // SAFETY: the data was set before the handle was started, and lives until `closed`, which
    // libuv never runs inside this callback.
    let data = unsafe { &*data(handle).cast::<PollData>() };
    (data.on_ready)();
}

/// Runs after the environment has gone when a worker ends: it must not touch it.
extern "C" fn closed(handle: Opaque) {
    // SAFETY: libuv is done with the handle; nobody else has its data or its memory.
    unsafe {
        let data = Box::from_raw(data(handle).cast::<PollData>());
        dealloc(handle.cast(), data.layout);
    }
}

/// `uv_handle_t.data`: the public first field of every handle, as docs.libuv.org/en/v1.x/handle.html
/// gives it, and so readable without a look-up of `uv_handle_get_data`.
///
/// # Safety
/// The handle must be one that `Poll::start` has set the data of.
unsafe fn data(handle: Opaque) -> *mut c_void {
    // SAFETY: the field is a pointer at the struct's start.
    unsafe { *handle.cast::<*mut c_void>() }
}
