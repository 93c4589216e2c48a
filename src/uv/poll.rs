//! `uv_poll_t`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;

use super::Api;
use super::api::Opaque;
use crate::sys::{self, Errno};

/// The alignment of libuv's structs, which are allocated by malloc(3).
pub(super) const ALIGNMENT: usize = 16;

/// `UV_READABLE` of `uv_poll_event`.
const READABLE: c_int = 1;

/// The data of a handle, until its close callback has run.
struct PollData {
    on_ready: Box<dyn Fn()>,
    layout: Layout,
}

/// A level-triggered watch on one descriptor, unreferenced at first. Dropping it ends it.
pub(crate) struct Poll {
    handle: Opaque,
    api: Api,
}

impl Poll {
    /// `uv_poll_init` and `uv_poll_start`: calls `on_ready` on the thread of the loop whenever `fd` is readable.
    ///
    /// # Errors
    /// Of `epoll_ctl(2)`: ENOSPC, ENOMEM, ELOOP.
    ///
    /// # Notes
    /// libuv itself registers the descriptor with its epoll descriptor only in the next turn of the loop, and ends the
    /// process if that fails with anything but EEXIST: `uv__io_poll` and `uv__epoll_ctl_flush` of libuv's linux.c. So
    /// it is registered here, as libuv would do it, and libuv changes the registration by `EPOLL_CTL_MOD`.
    ///
    /// # Safety
    /// `event_loop` is the `uv_loop_t` of this thread, and it runs until the handle's close callback has run.
    pub(crate) unsafe fn start(
        api: Api,
        event_loop: Opaque,
        fd: RawFd,
        on_ready: Box<dyn Fn()>,
    ) -> Result<Self, Errno> {
        let Ok(layout) = Layout::from_size_align(api.poll_size(), ALIGNMENT) else {
            return Err(Errno::NOMEM);
        };
        // SAFETY: the size of a `uv_poll_t` is not 0.
        let handle: Opaque = unsafe { alloc_zeroed(layout) }.cast();
        if handle.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: the memory has the size that libuv returned, and the loop is the caller's promise.
        let status = unsafe { (api.poll_init)(event_loop, handle, fd) };
        if status < 0 {
            // SAFETY: libuv does not keep a handle whose initialization failed; it was allocated with this layout.
            unsafe { dealloc(handle.cast(), layout) };
            return Err(errno(status));
        }
        let poll_data = Box::into_raw(Box::new(PollData { on_ready, layout }));
        let poll = Self { handle, api };
        // SAFETY: the handle is initialized, and its data lives until `closed` frees it.
        let status = unsafe {
            (api.set_data)(handle, poll_data.cast());
            (api.unreference)(handle);
            (api.poll_start)(handle, READABLE, ready)
        };
        if status < 0 {
            return Err(errno(status));
        }
        // SAFETY: the loop is the caller's promise, and the function only reads its descriptor.
        let backend = unsafe { (api.backend_fd)(event_loop) };
        // Dropping the handle removes it from the queue of what libuv registers in the next turn.
        sys::register_readable(backend, fd)?;
        Ok(poll)
    }

    /// `uv_ref`, `uv_unref`: sets whether the handle keeps the loop, and so the process, alive.
    pub(crate) fn set_referenced(&self, referenced: bool) {
        let set = if referenced { self.api.reference } else { self.api.unreference };
        // SAFETY: the handle is open until `self` is dropped. libuv: both calls are idempotent.
        unsafe { set(self.handle) };
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and only this closes it. libuv calls `closed` in a later iteration of the loop.
        unsafe { (self.api.close)(self.handle, closed) };
    }
}

/// The errno of a status of libuv's, which is negated: on Unix, `UV_ENOSPC` is -ENOSPC.
fn errno(status: c_int) -> Errno {
    Errno::from_raw(-status).unwrap_or(Errno::INVAL)
}

/// The poll callback.
extern "C" fn ready(handle: Opaque, _status: c_int, _events: c_int) {
    // SAFETY: `Poll::start` has set the data. `closed` frees it, and libuv does not call that during this callback.
    let poll_data = unsafe { &*data(handle).cast::<PollData>() };
    (poll_data.on_ready)();
}

/// The close callback. When a worker ends, it runs after the end of the environment, which it must not use.
extern "C" fn closed(handle: Opaque) {
    // SAFETY: libuv does not use a handle after its close callback, and `Poll` is dropped.
    unsafe {
        let poll_data = Box::from_raw(data(handle).cast::<PollData>());
        dealloc(handle.cast(), poll_data.layout);
    }
}

/// `uv_handle_t.data`. uv.h declares it as the first field of every handle, so that it is read without a call of
/// `uv_handle_get_data`; it is public: docs.libuv.org/en/v1.x/handle.html.
///
/// # Safety
/// `Poll::start` or `ClosingPhase::request` has set the data of the handle.
pub(super) unsafe fn data(handle: Opaque) -> *mut c_void {
    // SAFETY: the handle is live, and a pointer is at its start.
    unsafe { *handle.cast::<*mut c_void>() }
}
