//! The phase of libuv's loop in which it calls close callbacks: the last one of a turn, after that of `setImmediate`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

use super::Api;
use super::api::Opaque;
use super::poll::{ALIGNMENT, data};
use crate::sys::Errno;

/// The data of a handle, until its close callback has run.
struct ClosingData {
    on_close: Box<dyn FnOnce()>,
    layout: Layout,
}

/// The closing phase of one loop.
pub(crate) struct ClosingPhase {
    api: Api,
    event_loop: Opaque,
    layout: Layout,
}

impl ClosingPhase {
    /// # Errors
    /// ENOSYS when the runtime does not export libuv's functions.
    ///
    /// # Safety
    /// `event_loop` is the `uv_loop_t` of this thread, and it runs until all close callbacks have run.
    pub(crate) unsafe fn of(event_loop: Opaque) -> Result<Self, Errno> {
        let api = Api::load().ok_or(Errno::NOSYS)?;
        let layout =
            Layout::from_size_align(api.check_size(), ALIGNMENT).map_err(|_| Errno::NOMEM)?;
        Ok(Self { api, event_loop, layout })
    }

    /// `uv_close` of a new handle: calls back in the closing phase of the current turn, once. Until then the loop stays
    /// alive. Within that phase, the next one is that of the next turn.
    pub(crate) fn request(&self, on_close: Box<dyn FnOnce()>) {
        let layout = self.layout;
        // SAFETY: the size of a `uv_check_t` is not 0.
        let handle: Opaque = unsafe { alloc_zeroed(layout) }.cast();
        if handle.is_null() {
            handle_alloc_error(layout);
        }
        let closing_data = Box::into_raw(Box::new(ClosingData { on_close, layout }));
        // SAFETY: the memory has the size that libuv returned, and the loop is the promise of the caller of `of`.
        // uv_check_init(3) always succeeds. The data lives until `closed` frees it.
        unsafe {
            (self.api.check_init)(self.event_loop, handle);
            (self.api.set_data)(handle, closing_data.cast());
            (self.api.close)(handle, closed);
        }
    }
}

/// The close callback. When a worker ends, it runs after the end of the environment, which it must not use.
extern "C" fn closed(handle: Opaque) {
    // SAFETY: libuv does not use a handle after its close callback, and nothing else refers to it.
    let closing_data = unsafe {
        let closing_data = Box::from_raw(data(handle).cast::<ClosingData>());
        dealloc(handle.cast(), closing_data.layout);
        closing_data
    };
    (closing_data.on_close)();
}
