//! Non-blocking TCP and Unix stream sockets and an epoll multiplexer, as a Node addon.
//!
//! A call travels `bindings` -> `core` -> `sys` -> kernel and comes back as an int.

// A test program has no Node around it: napi-rs registers nothing there, and nobody calls in.
#![cfg_attr(test, allow(dead_code, reason = "the callers are JavaScript's"))]

mod bindings;
mod core;
mod sys;
mod thread;
mod uv;
