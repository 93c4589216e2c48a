//! A thread that polls a descriptor, for runtimes whose event loop cannot: Bun's `uv_poll_init` ends the process, and
//! Deno's calls back only once.
//!
//! The thread pauses after each report until it is resumed, since the descriptor stays readable until JavaScript has
//! handled it.

mod poll_thread;

pub(crate) use poll_thread::{PollThread, PollThreadBuilder, Resumer};
