//! Descriptors that are passed over Unix sockets.

use std::os::fd::IntoRawFd;

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::byte_count;
use super::bytes::{Bytes, NOT_BYTES, Pieces};
use super::environment::Environment;
use super::numbers::to_handle;
use super::{number, status};
use crate::sys::{MAX_DESCRIPTORS, Message, RawFd};

/// The size of what `receive_descriptors` writes, in bytes: two numbers, and the descriptors.
const PASSED_SIZE: usize = (2 + MAX_DESCRIPTORS) * size_of::<RawFd>();

/// `sendmsg(2)` with `SCM_RIGHTS`: sends bytes, and open descriptors with the first of them, as int32. The bytes that the
/// kernel does not take with the first ones are queued. Returns 0 sent, 1 a part of the bytes is queued, 3 not sent (there
/// is no room, or something is queued), 4 closed; with nothing sent -EOPNOTSUPP for anything but a Unix socket, -EINVAL for
/// no bytes, or more than 253 descriptors, and the errno of sendmsg(2): -EBADF, -ETOOMANYREFS and others.
#[napi(ts_args_type = "handle: number, pieces: readonly Uint8Array[], descriptors: Uint8Array")]
pub fn send_descriptors(env: &Env, handle: f64, pieces: Pieces, descriptors: Bytes) -> i32 {
    let slices = match pieces.slices() {
        Ok(slices) => slices,
        Err(number) => return number,
    };
    let Some(bytes) = descriptors.get() else { return NOT_BYTES };
    // One more than there may be is refused.
    let numbers = bytes.chunks_exact(size_of::<RawFd>()).take(MAX_DESCRIPTORS + 1);
    let numbers: Vec<RawFd> =
        numbers.filter_map(|it| Some(RawFd::from_ne_bytes(*it.first_chunk()?))).collect();
    let environment = Environment::of(env);
    let sent = environment
        .registry()
        .with_socket(to_handle(handle), |socket| socket.send_descriptors(&slices, &numbers));
    environment.update_references();
    number(sent.map(|status| status as i32))
}

/// Takes note that the descriptor of a socket has been passed: `close` then discards no input, which is another process's to
/// receive. -EBADF for anything else.
#[napi]
pub fn set_passed(env: &Env, handle: f64) -> i32 {
    let mut registry = Environment::of(env).registry();
    status(registry.any_socket(to_handle(handle)).map(crate::core::Socket::set_passed))
}

/// `recvmsg(2)`: as `receive`, with the descriptors that were passed with the bytes. Writes int32: the number of
/// descriptors; 1 when some were lost (`MSG_CTRUNC`), else 0; and the descriptors, which are the caller's, and
/// close-on-exec. Where some were lost the others are closed, and are only counted. There has to be room for 255 int32.
#[napi(ts_args_type = "handle: number, into: Uint8Array, descriptors: Uint8Array")]
pub fn receive_descriptors(env: &Env, handle: f64, mut into: Bytes, mut descriptors: Bytes) -> i64 {
    if into.overlaps(&descriptors) {
        return NOT_BYTES.into();
    }
    let (Some(into), Some(passed)) = (into.get_mut(), descriptors.get_mut()) else {
        return NOT_BYTES.into();
    };
    if passed.len() < PASSED_SIZE {
        return NOT_BYTES.into();
    }
    let environment = Environment::of(env);
    let received = environment
        .registry()
        .with_socket(to_handle(handle), |socket| socket.receive_descriptors(into));
    environment.update_references();
    byte_count(received.map(|message| write_descriptors(message, passed)))
}

/// Gives the descriptors to JavaScript, and returns the number of bytes.
fn write_descriptors(message: Message, into: &mut [u8]) -> usize {
    let Message { length, descriptors, is_truncated } = message;
    let count = i32::try_from(descriptors.len()).unwrap_or(i32::MAX);
    // Those of a message that has lost others are dropped, and so closed.
    let given = descriptors.into_iter().take_while(|_| !is_truncated).map(IntoRawFd::into_raw_fd);
    let numbers = [count, is_truncated.into()].into_iter().chain(given);
    for (bytes, number) in into.chunks_exact_mut(size_of::<RawFd>()).zip(numbers) {
        bytes.copy_from_slice(&number.to_ne_bytes());
    }
    length
}
