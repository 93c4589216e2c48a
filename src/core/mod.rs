//! What a socket is and what a multiplexer does, over `sys`; no unsafe code and no JavaScript.

#![forbid(unsafe_code)]

mod context;
mod handle;
mod inbox;
mod interest;
mod listener;
mod multiplexer;
mod readiness;
mod send_queue;
mod slab;
mod socket;
mod source;

pub(crate) use context::{Closed, Context};
pub(crate) use handle::Handle;
pub(crate) use inbox::Inbox;
pub(crate) use interest::{Interest, Mode};
pub(crate) use multiplexer::Event;
pub(crate) use send_queue::SendStatus;
