//! The verbs that run once per event or connection, as bare Node-API callbacks.
//!
//! What napi-rs generates opens a borrow scope on every call, which allocates and costs as much as
//! everything else at the seam. The generated functions declare these verbs, their names and their
//! typings; in each environment's exports these take their places.

use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

use napi::bindgen_prelude::{FromNapiValue, Result};
use napi::{check_status, sys};

use super::bytes::{Bytes, Part};
use super::environment::Environment;
use super::{listener, multiplexer, socket, state, transfer};

/// The most arguments that one of these verbs takes.
const ARITY: usize = 5;

const VERBS: [(&CStr, sys::napi_callback); 12] = [
    (c"accept", Some(accept)),
    (c"add", Some(add)),
    (c"receive", Some(receive)),
    (c"send", Some(send)),
    (c"write", Some(write)),
    (c"flush", Some(flush)),
    (c"flushCorked", Some(flush_corked)),
    (c"wait", Some(wait)),
    (c"idle", Some(idle)),
    (c"setReferenced", Some(hold)),
    (c"totals", Some(totals)),
    (c"close", Some(close)),
];

/// Puts the verbs into an environment's exports.
///
/// # Safety
/// `environment` outlives every call of an exported function.
pub(super) unsafe fn replace(
    env: sys::napi_env,
    exports: sys::napi_value,
    environment: *mut Environment,
) -> Result<()> {
    for (name, callback) in VERBS {
        let mut function = null_mut();
        // SAFETY: environment and exports are live; the name is a C string, and the length says so.
        check_status!(unsafe {
            let length = name.count_bytes().cast_signed();
            let data = environment.cast::<c_void>();
            sys::napi_create_function(env, name.as_ptr(), length, callback, data, &raw mut function)
        })?;
        // SAFETY: as above.
        check_status!(unsafe {
            sys::napi_set_named_property(env, exports, name.as_ptr(), function)
        })?;
    }
    Ok(())
}

extern "C" fn accept(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| listener::accept_next(call.environment, call.int(0)))
}

extern "C" fn add(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| {
        let (interest, mode) = (call.int(2).cast_unsigned(), call.int(3).cast_unsigned());
        multiplexer::add_source(call.environment, call.int(0), call.int(1), interest, mode)
    })
}

extern "C" fn receive(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| {
        transfer::receive_into(call.environment, call.int(0), call.bytes(1), call.part(2))
    })
}

extern "C" fn send(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| {
        transfer::send_bytes(call.environment, call.int(0), &call.bytes(1), call.part(2))
    })
}

extern "C" fn write(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| {
        let (bytes, cork) = (call.bytes(1), call.flag(2));
        transfer::write_bytes(call.environment, call.int(0), &bytes, cork, call.part(3))
    })
}

extern "C" fn flush(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| transfer::flush_queue(call.environment, call.int(0)))
}

extern "C" fn flush_corked(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| transfer::flush_all(call.environment))
}

extern "C" fn wait(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| {
        let (events, buffer) = (call.bytes(2), call.bytes(3));
        multiplexer::wait_for(
            call.environment,
            call.int(0),
            call.int(1),
            events,
            buffer,
            call.int(4),
        )
    })
}

extern "C" fn idle(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| multiplexer::idle_time(call.environment, call.int(0), call.int(1)))
}

extern "C" fn hold(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| {
        multiplexer::set_referenced_for(call.environment, call.int(0), call.flag(1));
        0
    })
}

extern "C" fn totals(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| state::totals_into(call.environment, call.int(0), call.bytes(1)))
}

extern "C" fn close(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    answer(env, info, |call| socket::close_handle(call.environment, call.int(0)))
}

/// One call from JavaScript.
struct Call<'a> {
    env: sys::napi_env,
    environment: &'a Environment,
    arguments: [sys::napi_value; ARITY],
    /// How many of them were given.
    count: usize,
}

impl Call<'_> {
    /// An int, or -1 for anything else: no handle, and no time.
    fn int(&self, index: usize) -> i32 {
        let mut int = -1;
        // SAFETY: `answer` has filled the arguments, with undefined where there was none.
        self.with(index, |value| unsafe {
            sys::napi_get_value_int32(self.env, value, &raw mut int);
        });
        int
    }

    /// A boolean; false for anything else.
    fn flag(&self, index: usize) -> bool {
        let mut flag = false;
        // SAFETY: as in `int`.
        self.with(index, |value| unsafe {
            sys::napi_get_value_bool(self.env, value, &raw mut flag);
        });
        flag
    }

    fn bytes(&self, index: usize) -> Bytes {
        let value = self.arguments.get(index).copied().unwrap_or(null_mut());
        // SAFETY: as in `int`; the bytes are used during this call alone.
        unsafe { Bytes::from_napi_value(self.env, value) }.unwrap_or(Bytes::NONE)
    }

    /// The two ints from `index` on, where they were given.
    fn part(&self, index: usize) -> Part {
        if self.count <= index {
            return Part::ALL;
        }
        Part { offset: self.int(index), length: self.int(index + 1) }
    }

    fn with(&self, index: usize, read: impl FnOnce(sys::napi_value)) {
        if let Some(value) = self.arguments.get(index) {
            read(*value);
        }
    }
}

/// Runs a verb on a call's arguments; its int is the answer.
fn answer(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    verb: impl FnOnce(&Call<'_>) -> i32,
) -> sys::napi_value {
    let (mut count, mut arguments) = (ARITY, [null_mut(); ARITY]);
    let (mut data, mut result) = (null_mut(), null_mut());
    // SAFETY: Node-API calls this with a live environment and call; arguments that were not given
    // become undefined. `replace` stored the environment's address, which is still good.
    unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &raw mut count,
            arguments.as_mut_ptr(),
            null_mut(),
            &raw mut data,
        );
        let environment = &*data.cast::<Environment>();
        let answered = verb(&Call { env, environment, arguments, count });
        sys::napi_create_int32(env, answered, &raw mut result);
    }
    result
}
