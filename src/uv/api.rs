//! The functions of libuv that the runtime exports.

use std::ffi::{CStr, c_int, c_void};

use crate::sys;

/// A pointer to a `uv_loop_t`, `uv_handle_t` or `uv_poll_t`.
pub(crate) type Opaque = *mut c_void;

pub(super) type PollCallback = extern "C" fn(Opaque, c_int, c_int);
pub(super) type CloseCallback = extern "C" fn(Opaque);

/// `UV_CHECK` of `uv_handle_type`.
const HANDLE_TYPE_CHECK: c_int = 2;

/// `UV_POLL` of `uv_handle_type`.
const HANDLE_TYPE_POLL: c_int = 8;

/// Pointers to the functions that `Poll` and `ClosingPhase` call.
#[derive(Clone, Copy)]
pub(crate) struct Api {
    pub(super) poll_init: unsafe extern "C" fn(Opaque, Opaque, c_int) -> c_int,
    pub(super) poll_start: unsafe extern "C" fn(Opaque, c_int, PollCallback) -> c_int,
    pub(super) check_init: unsafe extern "C" fn(Opaque, Opaque) -> c_int,
    pub(super) close: unsafe extern "C" fn(Opaque, CloseCallback),
    pub(super) reference: unsafe extern "C" fn(Opaque),
    pub(super) unreference: unsafe extern "C" fn(Opaque),
    pub(super) set_data: unsafe extern "C" fn(Opaque, *mut c_void),
    pub(super) backend_fd: unsafe extern "C" fn(Opaque) -> c_int,
    handle_size: unsafe extern "C" fn(c_int) -> usize,
}

impl Api {
    /// Looks up all functions; `None` when one is missing.
    pub(crate) fn load() -> Option<Self> {
        // SAFETY: each symbol is libuv's function of that name, and its field has the signature that uv.h gives it.
        unsafe {
            Some(Self {
                poll_init: function(c"uv_poll_init")?,
                poll_start: function(c"uv_poll_start")?,
                check_init: function(c"uv_check_init")?,
                close: function(c"uv_close")?,
                reference: function(c"uv_ref")?,
                unreference: function(c"uv_unref")?,
                set_data: function(c"uv_handle_set_data")?,
                backend_fd: function(c"uv_backend_fd")?,
                handle_size: function(c"uv_handle_size")?,
            })
        }
    }

    /// `uv_handle_size(UV_CHECK)`, in bytes.
    pub(super) fn check_size(&self) -> usize {
        // SAFETY: uv_handle_size(3) only reads a table of constants.
        unsafe { (self.handle_size)(HANDLE_TYPE_CHECK) }
    }

    /// `uv_handle_size(UV_POLL)`, in bytes.
    pub(super) fn poll_size(&self) -> usize {
        // SAFETY: uv_handle_size(3) only reads a table of constants.
        unsafe { (self.handle_size)(HANDLE_TYPE_POLL) }
    }
}

/// # Safety
/// `F` must be a function pointer type with the symbol's signature.
unsafe fn function<F>(name: &CStr) -> Option<F> {
    let address = sys::symbol(name)?;
    // SAFETY: the type is the caller's promise. POSIX (dlsym) guarantees that a function pointer has the size and
    // representation of a data pointer.
    Some(unsafe { std::mem::transmute_copy(&address) })
}
