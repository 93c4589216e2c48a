//! The only home of libuv: one `uv_poll_t` on a descriptor of ours, in the loop that Node runs.
//!
//! libuv gives no promise about its structs, so handles stay opaque: their size is asked for.
//! The functions are looked up at run time, since an addon that names one which the host lacks
//! does not load at all.

mod api;
mod poll;

pub(crate) use api::Api;
pub(crate) use poll::Poll;
