//! `dlsym(3)`.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// The address of a symbol in the running program and what it has loaded: `dlsym(RTLD_DEFAULT)`.
pub(crate) fn symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: the name is NUL-terminated, and RTLD_DEFAULT needs no handle.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}
