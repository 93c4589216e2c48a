//! Functions that run once per event or per connection, as bare Node-API callbacks.
//!
//! The wrapper that napi-rs generates for a `#[napi]` function opens a borrow scope on every call, which allocates and
//! costs as much as the rest of the call. `fast!` makes two things of one function: the `#[napi]` function, which
//! declares it in index.js and index.d.ts, and a bare callback. `install` puts the callbacks in the places of the
//! wrappers.

use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

use napi::bindgen_prelude::{FromNapiValue, Result};
use napi::{check_status, sys};

use super::bytes::Bytes;
use super::environment::Environment;
use super::{listener, multiplexer, socket, state, transfer};

/// The most arguments that a fast function takes.
const MAX_ARGUMENTS: usize = 5;

/// By the names that they have in JavaScript.
const FUNCTIONS: [(&CStr, sys::napi_callback); 18] = [
    (c"accept", Some(listener::accept::callback)),
    (c"add", Some(multiplexer::add::callback)),
    (c"receive", Some(transfer::receive::callback)),
    (c"send", Some(transfer::send::callback)),
    (c"write", Some(transfer::write::callback)),
    (c"tryWrite", Some(transfer::try_write::callback)),
    (c"end", Some(transfer::end::callback)),
    (c"endBatch", Some(transfer::end_batch::callback)),
    (c"flush", Some(transfer::flush::callback)),
    (c"flushCorked", Some(transfer::flush_corked::callback)),
    (c"modify", Some(multiplexer::modify::callback)),
    (c"state", Some(state::state::callback)),
    (c"setInterest", Some(multiplexer::set_interest::callback)),
    (c"wait", Some(multiplexer::wait::callback)),
    (c"idle", Some(multiplexer::idle::callback)),
    (c"setReferenced", Some(multiplexer::set_referenced::callback)),
    (c"totals", Some(state::totals::callback)),
    (c"close", Some(socket::close::callback)),
];

/// Declares a function to napi-rs, and makes a bare callback of it: `name::callback`, for `FUNCTIONS`.
///
/// The callback reads an argument that is missing or of another type as [`Argument`] says, and never throws.
macro_rules! fast {
    (
        $(#[$($attribute:tt)*])*
        pub fn $name:ident(
            $environment:ident: &Environment
            $(, $argument:ident: $type:ident $(<$inner:ident>)?)* $(,)?
        ) -> $result:ty $body:block
    ) => {
        $(#[$($attribute)*])*
        pub fn $name(env: &Env $(, $argument: $type $(<$inner>)?)*) -> $result {
            $name::body(Environment::of(env) $(, $argument)*)
        }

        pub(super) mod $name {
            use super::*;

            pub(super) fn body(
                $environment: &Environment
                $(, $argument: $type $(<$inner>)?)*
            ) -> $result $body

            pub extern "C" fn callback(
                env: napi::sys::napi_env,
                info: napi::sys::napi_callback_info,
            ) -> napi::sys::napi_value {
                $crate::bindings::fast::invoke(env, info, |call| {
                    body(call.environment() $(, call.next::<$type $(<$inner>)?>())*)
                })
            }
        }
    };
}
pub(super) use fast;

/// Puts the callbacks into an environment's exports.
///
/// # Safety
/// `environment` outlives every call of an exported function.
pub(super) unsafe fn install(
    env: sys::napi_env,
    exports: sys::napi_value,
    environment: *mut Environment,
) -> Result<()> {
    for (name, callback) in FUNCTIONS {
        let mut function = null_mut();
        // SAFETY: the environment and its exports are live during `init`; the name has the length that is given.
        check_status!(unsafe {
            let length = name.count_bytes().cast_signed();
            let data = environment.cast::<c_void>();
            sys::napi_create_function(env, name.as_ptr(), length, callback, data, &raw mut function)
        })?;
        // SAFETY: as above; the name is NUL-terminated.
        check_status!(unsafe {
            sys::napi_set_named_property(env, exports, name.as_ptr(), function)
        })?;
    }
    Ok(())
}

/// Calls a fast function's body with the arguments of a JavaScript call, and returns its number to JavaScript.
pub(super) fn invoke<T: Answer>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    body: impl FnOnce(&mut Call<'_>) -> T,
) -> sys::napi_value {
    let (mut count, mut arguments) = (MAX_ARGUMENTS, [null_mut(); MAX_ARGUMENTS]);
    let mut data = null_mut();
    // SAFETY: Node-API calls this with a live environment and call, and fills `arguments` up with undefined. The data
    // is the address that `install` was given, which is valid for as long as there are calls.
    let environment = unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &raw mut count,
            arguments.as_mut_ptr(),
            null_mut(),
            &raw mut data,
        );
        &*data.cast::<Environment>()
    };
    body(&mut Call { env, environment, arguments, count, next: 0 }).create(env)
}

/// A type of results.
pub(super) trait Answer {
    /// The number in JavaScript.
    fn create(self, env: sys::napi_env) -> sys::napi_value;
}

impl Answer for i32 {
    fn create(self, env: sys::napi_env) -> sys::napi_value {
        let mut number = null_mut();
        // SAFETY: `invoke` has the environment from the call that is under way.
        unsafe { sys::napi_create_int32(env, self, &raw mut number) };
        number
    }
}

/// An int where it is one: V8 keeps a float64 on the heap.
impl Answer for i64 {
    fn create(self, env: sys::napi_env) -> sys::napi_value {
        if let Ok(int) = i32::try_from(self) {
            return int.create(env);
        }
        let mut number = null_mut();
        // SAFETY: as for an int.
        unsafe { sys::napi_create_int64(env, self, &raw mut number) };
        number
    }
}

/// One call from JavaScript.
pub(super) struct Call<'a> {
    env: sys::napi_env,
    environment: &'a Environment,
    arguments: [sys::napi_value; MAX_ARGUMENTS],
    /// How many arguments were given.
    count: usize,
    /// The argument to read next.
    next: usize,
}

impl<'a> Call<'a> {
    pub(super) fn environment(&self) -> &'a Environment {
        self.environment
    }

    /// Reads the next argument.
    pub(super) fn next<T: Argument>(&mut self) -> T {
        let value = self.arguments.get(self.next).copied().unwrap_or(null_mut());
        let argument = T::read(self.env, value, self.next < self.count);
        self.next += 1;
        argument
    }
}

/// A type of arguments. `value` is undefined where none was given.
pub(super) trait Argument {
    fn read(env: sys::napi_env, value: sys::napi_value, given: bool) -> Self;
}

/// NaN for anything but a number: neither a handle nor a length.
impl Argument for f64 {
    fn read(env: sys::napi_env, value: sys::napi_value, _given: bool) -> Self {
        let mut number = Self::NAN;
        // SAFETY: `invoke` has the environment and the value from the call that is under way.
        unsafe { sys::napi_get_value_double(env, value, &raw mut number) };
        number
    }
}

impl Argument for Option<f64> {
    fn read(env: sys::napi_env, value: sys::napi_value, given: bool) -> Self {
        if !given {
            return None;
        }
        let number = f64::read(env, value, given);
        (!number.is_nan() || !is_undefined(env, value)).then_some(number)
    }
}

/// False for anything but a boolean.
impl Argument for bool {
    fn read(env: sys::napi_env, value: sys::napi_value, _given: bool) -> Self {
        let mut flag = false;
        // SAFETY: as for a number.
        unsafe { sys::napi_get_value_bool(env, value, &raw mut flag) };
        flag
    }
}

impl Argument for Bytes {
    fn read(env: sys::napi_env, value: sys::napi_value, _given: bool) -> Self {
        // SAFETY: as for a number; the bytes are used only during the call.
        unsafe { Self::from_napi_value(env, value) }.unwrap_or(Self::NONE)
    }
}

impl Argument for Option<Bytes> {
    fn read(env: sys::napi_env, value: sys::napi_value, given: bool) -> Self {
        let bytes = given.then(|| Bytes::read(env, value, given))?;
        (bytes.get().is_some() || !is_undefined(env, value)).then_some(bytes)
    }
}

fn is_undefined(env: sys::napi_env, value: sys::napi_value) -> bool {
    let mut kind = sys::ValueType::napi_object;
    // SAFETY: as for a number.
    unsafe { sys::napi_typeof(env, value, &raw mut kind) };
    kind == sys::ValueType::napi_undefined
}
