//! Non-blocking TCP and Unix stream sockets and an epoll multiplexer, as a Node addon.
//!
//! A call goes through `bindings`, `core` and `sys` to the kernel, and returns an int to JavaScript. `uv` and `thread`
//! watch a multiplexer's epoll descriptor for the event loop.

#![cfg_attr(
    test,
    allow(dead_code, reason = "only JavaScript calls it, and tests run without Node")
)]

mod bindings;
mod core;
mod sys;
mod thread;
mod uv;
