//! The only home of Node-API: convert, delegate, return an int.
//!
//! Every function takes the int that names a source or a multiplexer and returns a number that is
//! not negative, or a negated errno. Objects, errors and promises are made in TypeScript.

#![allow(unreachable_pub, reason = "`#[napi]` items are exported to JavaScript")]
#![allow(
    clippy::needless_pass_by_value,
    clippy::trivially_copy_pass_by_ref,
    reason = "napi-rs owns the arguments and lends the environment"
)]

mod address;
mod bytes;
mod callback;
mod environment;
mod fast;
mod listener;
mod loop_watch;
mod multiplexer;
mod socket;
mod sockopt;
mod thread_watch;

use crate::sys::Errno;

/// A result as JavaScript reads it: the number, or the errno negated.
fn number<T: Into<i32>>(result: Result<T, Errno>) -> i32 {
    result.map_or_else(Errno::negated, Into::into)
}

/// Success as 0, or the errno negated.
fn status(result: Result<(), Errno>) -> i32 {
    number(result.map(|()| 0))
}

/// A count of bytes, or the errno negated.
fn count(result: Result<usize, Errno>) -> i32 {
    result.map_or_else(Errno::negated, |count| i32::try_from(count).unwrap_or(i32::MAX))
}
