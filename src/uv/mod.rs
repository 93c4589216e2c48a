//! The only module that uses libuv: a `uv_poll_t` on an epoll descriptor, in Node's loop, and its close callbacks.
//!
//! The layout of libuv's structs is not stable, so that handles are opaque memory of the size that `uv_handle_size`
//! returns. The functions are looked up at run time: an addon does not load when a symbol that it imports is missing.

mod api;
mod closing_phase;
mod poll;

pub(crate) use api::Api;
pub(crate) use closing_phase::ClosingPhase;
pub(crate) use poll::Poll;
