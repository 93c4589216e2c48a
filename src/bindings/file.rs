//! Files that are sent.

use napi::Task;
use napi::bindgen_prelude::{AsyncTask, Either, Env};
use napi_derive::napi;

use super::bytes::{Bytes, NOT_BYTES};
use super::environment::Environment;
use super::numbers::{to_descriptor, to_handle, to_size, to_unsigned};
use super::{number, status};
use crate::core::{FileEnd, FileOutcome, FilePart, FileProgress, Handle};
use crate::sys::Errno;

/// The size of what `file_progress` writes, in bytes.
const PROGRESS_SIZE: usize = 2 * size_of::<f64>();

/// What `file_progress` returns.
mod progress {
    pub(super) const NOTHING: i32 = 0;
    pub(super) const WANTS: i32 = 1;
    pub(super) const SENT: i32 = 2;
    pub(super) const UNREADABLE: i32 = 3;
    pub(super) const BROKEN: i32 = 4;
    pub(super) const DROPPED: i32 = 5;
}

/// `sendfile(2)`: sends the part of a file from `start` to before `end`, or to where it ends now, behind what is queued.
/// Returns the id of the file, or the negated errno. Of the descriptor: -EBADF (closed, or not open for reading),
/// -EISDIR, -ESPIPE (a pipe or a socket), -ENODEV (a device, or a file of a pseudo file system), -EMFILE. Of the socket:
/// -EPIPE, when nothing can be sent any more, and -ENOTCONN. A wait reports with bit 64 that `fileProgress` has something to say.
#[napi]
pub fn send_file(env: &Env, handle: f64, fd: f64, start: f64, end: f64) -> i32 {
    let (Some(start), Some(end)) = (to_size(start), to_size(end)) else {
        return Errno::INVAL.negated();
    };
    let environment = Environment::of(env);
    let (handle, part) = (to_handle(handle), start as u64..end as u64);
    let sent = environment.registry().send_file(handle, to_descriptor(fd), part);
    environment.update_references();
    number(sent.map(u32::cast_signed))
}

/// What is to be known of the files of a socket, also of one that is gone. Returns 0 nothing; 1 a part is to be brought
/// into the page cache, by `loadFile`; the oldest file has ended: 2 sent, 3 it could not be read, 4 the connection failed,
/// 5 dropped. Writes two float64 for a file that has ended, which is reported once: the number of bytes that the kernel
/// has taken, and for 3 the errno, for 4 the failure, as `failure` returns it.
#[napi(ts_args_type = "handle: number, into: Uint8Array")]
pub fn file_progress(env: &Env, handle: f64, mut into: Bytes) -> i32 {
    let Some(into) = into.get_mut().filter(|into| into.len() >= PROGRESS_SIZE) else {
        return NOT_BYTES;
    };
    match Environment::of(env).registry().file_progress(to_handle(handle)) {
        Ok(FileProgress::Nothing) => progress::NOTHING,
        Ok(FileProgress::Wants) => progress::WANTS,
        Ok(FileProgress::Ended(end)) => write_end(end, into),
        Err(errno) => errno.negated(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 bytes: 8 PiB")]
fn write_end(FileEnd { outcome, sent }: FileEnd, into: &mut [u8]) -> i32 {
    let (kind, code) = match outcome {
        FileOutcome::Sent => (progress::SENT, 0),
        FileOutcome::Unreadable(errno) => (progress::UNREADABLE, -errno.negated()),
        FileOutcome::Broken(code) => (progress::BROKEN, i32::try_from(code).unwrap_or(0)),
        FileOutcome::Dropped => (progress::DROPPED, 0),
    };
    for (bytes, value) in into.chunks_exact_mut(size_of::<f64>()).zip([sent as f64, code.into()]) {
        bytes.copy_from_slice(&value.to_ne_bytes());
    }
    kind
}

/// Brings what `fileProgress` has returned 1 for into the page cache, on libuv's pool, and goes on sending. The promise is
/// fulfilled after that, whatever has come of it. -EBADF when there is nothing to bring.
#[napi(ts_return_type = "Promise<void> | number")]
pub fn load_file(env: &Env, handle: f64) -> Either<AsyncTask<Load>, i32> {
    let handle = to_handle(handle);
    match Environment::of(env).registry().file_to_load(handle) {
        Some(part) => Either::A(AsyncTask::new(Load { handle, part, result: Ok(()) })),
        None => Either::B(Errno::BADF.negated()),
    }
}

/// A part of a file that is brought into the page cache.
pub struct Load {
    handle: Handle,
    part: FilePart,
    result: Result<(), Errno>,
}

impl Task for Load {
    type Output = ();
    type JsValue = ();

    fn compute(&mut self) -> napi::Result<()> {
        let FilePart { file, part, end, .. } = &self.part;
        let length = usize::try_from(part.end - part.start).unwrap_or(0);
        self.result = file.load(part.start, length, *end);
        Ok(())
    }

    fn resolve(&mut self, env: Env, (): ()) -> napi::Result<()> {
        let environment = Environment::of(&env);
        // EBADF: the socket is gone.
        let _ = environment.registry().file_loaded(self.handle, self.part.id, self.result);
        environment.update_references();
        Ok(())
    }
}

/// Takes all files of a socket for ready: `flush` then waits for the disk.
#[napi]
pub fn allow_file_waits(env: &Env, handle: f64) -> i32 {
    let mut registry = Environment::of(env).registry();
    let socket = registry.socket(to_handle(handle));
    status(socket.map(crate::core::Socket::allow_waits))
}

/// Sends a file no more: returns the number of bytes that the kernel has taken; -ENOENT when it has ended.
#[napi]
pub fn cancel_file(env: &Env, handle: f64, id: f64) -> i64 {
    let environment = Environment::of(env);
    let handle = to_handle(handle);
    let cancelled = to_unsigned(id).and_then(|id| environment.registry().cancel_file(handle, id));
    environment.update_references();
    cancelled.map_or_else(|errno| errno.negated().into(), u64::cast_signed)
}

/// The number of bytes that the kernel has not taken: of the send queue, and of files.
#[napi]
pub fn unsent(env: &Env, handle: f64) -> i64 {
    let mut registry = Environment::of(env).registry();
    let unsent = registry.any_socket(to_handle(handle)).map(|socket| socket.unsent_length());
    unsent.map_or_else(|errno| errno.negated().into(), u64::cast_signed)
}
