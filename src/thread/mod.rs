//! A thread that waits on a descriptor, where the host's loop cannot: Bun's `uv_poll_init` ends the
//! process, and Deno's calls back only once.
//!
//! It tells once, and then sleeps until it is armed again: a descriptor that stays readable until
//! somebody has looked does not make it spin.

mod poll_thread;

pub(crate) use poll_thread::{PollThread, PollThreadBuilder, Resumer};
