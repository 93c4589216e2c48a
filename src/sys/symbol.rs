//! `dlsym(3)`.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// `dlsym(RTLD_DEFAULT)`: the address of a symbol of the program or of its shared libraries.
pub(crate) fn symbol(name: &CStr) -> Option<NonNull<c_void>> {
    // SAFETY: a `CStr` is NUL-terminated, and RTLD_DEFAULT is valid without dlopen(3).
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}
