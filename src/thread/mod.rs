//! A thread that polls a descriptor, for runtimes whose event loop cannot: Bun's `uv_poll_init` ends the process, and
//! Deno's calls back only once.
//!
//! The thread pauses after each report until it is resumed, since the descriptor stays readable until JavaScript has
//! handled it.

mod poll_thread;

/// What the thread knows of the system. The model checker (`simulation/src/thread`) puts another module in its place.
mod system {
    pub(super) use std::thread::{Builder, JoinHandle};

    pub(super) use crate::sys::{Errno, EventFd, PollFd, flags, poll};
}

pub(crate) use poll_thread::{PollThread, PollThreadBuilder, Resumer};
