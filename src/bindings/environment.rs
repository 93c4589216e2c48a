//! All state of one environment, in the addon's instance data.

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::ffi::c_void;
use std::os::fd::RawFd;
use std::ptr::null_mut;
use std::rc::{Rc, Weak};

use napi::JsValue;
use napi::bindgen_prelude::{Env, Object, Result};
use napi::{check_status, sys};
use napi_derive::napi;

use super::callback::Callback;
use super::fast;
use super::loop_watch::{Waker, Way};
use crate::core::{Context, Handle};

/// A multiplexer's place in the host's loop.
struct Watch {
    waker: Waker,
    /// Owned here: the waker's own closure must not touch the environment when it is freed.
    _on_ready: Rc<Callback>,
    /// Whether a pending wait holds the process.
    awaited: bool,
}

/// What one main thread or worker has open.
pub(super) struct Environment {
    context: RefCell<Context>,
    watches: RefCell<HashMap<i32, Watch>>,
    way: Way,
}

impl Environment {
    /// The environment that a call comes from.
    pub(super) fn of(env: &Env) -> &Self {
        let mut data = null_mut();
        // SAFETY: the environment is live; `init` has set the data before any function could be
        // called, and it is freed only after the last one. All changes go through RefCells.
        unsafe {
            sys::napi_get_instance_data(env.raw(), &raw mut data);
            &*data.cast::<Self>()
        }
    }

    pub(super) fn context(&self) -> RefMut<'_, Context> {
        self.context.borrow_mut()
    }

    /// Who waits for multiplexers here.
    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// Has the host's loop told when an epoll descriptor is readable.
    ///
    /// # Errors
    /// An error number, negative.
    pub(super) fn watch(
        &self,
        env: &Env,
        multiplexer: Handle,
        fd: RawFd,
        way: Way,
        on_ready: Callback,
    ) -> std::result::Result<(), i32> {
        let on_ready = Rc::new(on_ready);
        let weak: Weak<Callback> = Rc::downgrade(&on_ready);
        let call = Box::new(move || {
            if let Some(callback) = weak.upgrade() {
                callback.call();
            }
        });
        let waker = Waker::start(env, way, fd, call)?;
        let watch = Watch { waker, _on_ready: on_ready, awaited: false };
        self.watches.borrow_mut().insert(multiplexer.raw(), watch);
        Ok(())
    }

    pub(super) fn unwatch(&self, multiplexer: Handle) {
        self.watches.borrow_mut().remove(&multiplexer.raw());
    }

    /// Whether a pending wait of this multiplexer is to keep the process alive.
    pub(super) fn await_for(&self, multiplexer: Handle, awaited: bool) {
        if let Some(watch) = self.watches.borrow_mut().get_mut(&multiplexer.raw()) {
            watch.awaited = awaited;
            watch.waker.hold(awaited || self.context.borrow().is_held(multiplexer));
        }
    }

    /// Queued output keeps the process alive: after calls that may have begun or ended some.
    pub(super) fn update_holds(&self) {
        if !self.context.borrow().has_hold_changes() {
            return;
        }
        let changed = self.context.borrow_mut().take_hold_changes();
        for multiplexer in changed {
            if let Some(watch) = self.watches.borrow().get(&multiplexer.raw()) {
                watch.waker.hold(watch.awaited || self.context.borrow().is_held(multiplexer));
            }
        }
    }
}

/// Gives each environment that loads the addon a state of its own.
#[napi(module_exports)]
pub fn init(exports: Object<'_>, env: Env) -> Result<()> {
    let environment = Box::into_raw(Box::new(Environment {
        context: RefCell::new(Context::new()),
        watches: RefCell::new(HashMap::new()),
        way: Way::of(&env),
    }));
    // SAFETY: the box is handed to the environment, which gives it back to `free` once, last.
    check_status!(unsafe {
        sys::napi_set_instance_data(env.raw(), environment.cast(), Some(free), null_mut())
    })?;
    // SAFETY: hooks run before the instance data is freed.
    check_status!(unsafe {
        sys::napi_add_env_cleanup_hook(env.raw(), Some(end), environment.cast())
    })?;
    // SAFETY: the instance data outlives every call.
    unsafe { fast::replace(env.raw(), exports.raw(), environment) }
}

/// The environment ends, also by `worker.terminate()`: libuv aborts on handles left open,
/// and a thread must not outlive what it waits on.
extern "C" fn end(data: *mut c_void) {
    // SAFETY: `init` registered this very pointer, and `free` has not run yet.
    let environment = unsafe { &*data.cast::<Environment>() };
    environment.watches.borrow_mut().clear();
    *environment.context.borrow_mut() = Context::new();
}

extern "C" fn free(_env: sys::napi_env, data: *mut c_void, _hint: *mut c_void) {
    // SAFETY: the pointer is the one that `init` gave away, and this runs once.
    drop(unsafe { Box::from_raw(data.cast::<Environment>()) });
}
