//! Sockets, listeners and multiplexers, over `sys`; no unsafe code and no Node-API.

#![forbid(unsafe_code)]

mod descriptor;
mod handle;
mod interest;
mod listener;
mod multiplexer;
mod open_failure;
mod readiness;
mod receive_buffer;
mod registry;
mod relay;
mod send_queue;
mod slab;
mod socket;
mod source;
mod unix_path;

pub(crate) use handle::Handle;
pub(crate) use interest::{Interest, Mode};
pub(crate) use listener::Serving;
pub(crate) use multiplexer::Event;
pub(crate) use open_failure::{OpenCall, OpenFailure};
pub(crate) use receive_buffer::ReceiveBuffer;
pub(crate) use registry::Registry;
pub(crate) use send_queue::SendStatus;
pub(crate) use socket::{FAILURE_CALL_SHIFT, FileEnd, FileOutcome, FilePart, FileProgress, Socket};
pub(crate) use unix_path::probe_path;
