//! All state of one environment, in the addon's instance data.

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::os::fd::RawFd;
use std::ptr::null_mut;
use std::rc::{Rc, Weak};

use napi::bindgen_prelude::Env;
use napi::sys;

use super::callback::Callback;
use super::loop_watch::{Backend, LoopWatch};
use crate::core::{Handle, Registry};

/// A multiplexer's place in the host's loop.
struct LoopEntry {
    watch: LoopWatch,
    /// Owned here: the watch's own closure must not touch the environment when it is freed.
    _on_ready: Rc<Callback>,
    /// Whether a pending wait holds the process.
    referenced: bool,
}

/// What one main thread or worker has open.
pub(super) struct Environment {
    registry: RefCell<Registry>,
    watches: RefCell<HashMap<i32, LoopEntry>>,
    backend: Backend,
}

impl Environment {
    pub(super) fn new(env: &Env) -> Self {
        Self {
            registry: RefCell::new(Registry::new()),
            watches: RefCell::new(HashMap::new()),
            backend: Backend::of(env),
        }
    }

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

    pub(super) fn registry(&self) -> RefMut<'_, Registry> {
        self.registry.borrow_mut()
    }

    /// Who waits for multiplexers here.
    pub(super) fn backend(&self) -> Backend {
        self.backend
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
        backend: Backend,
        on_ready: Callback,
    ) -> std::result::Result<(), i32> {
        let on_ready = Rc::new(on_ready);
        let weak: Weak<Callback> = Rc::downgrade(&on_ready);
        let call = Box::new(move || {
            if let Some(callback) = weak.upgrade() {
                callback.call();
            }
        });
        let watch = LoopWatch::start(env, backend, fd, call)?;
        let entry = LoopEntry { watch, _on_ready: on_ready, referenced: false };
        self.watches.borrow_mut().insert(multiplexer.raw(), entry);
        Ok(())
    }

    pub(super) fn unwatch(&self, multiplexer: Handle) {
        self.watches.borrow_mut().remove(&multiplexer.raw());
    }

    /// Whether a pending wait of this multiplexer is to keep the process alive.
    pub(super) fn set_referenced(&self, multiplexer: Handle, referenced: bool) {
        if let Some(entry) = self.watches.borrow_mut().get_mut(&multiplexer.raw()) {
            entry.referenced = referenced;
            entry
                .watch
                .set_referenced(referenced || self.registry.borrow().is_referenced(multiplexer));
        }
    }

    /// Queued output keeps the process alive: after calls that may have begun or ended some.
    pub(super) fn update_references(&self) {
        if !self.registry.borrow().has_reference_changes() {
            return;
        }
        let changed = self.registry.borrow_mut().take_reference_changes();
        for multiplexer in changed {
            if let Some(entry) = self.watches.borrow().get(&multiplexer.raw()) {
                entry.watch.set_referenced(
                    entry.referenced || self.registry.borrow().is_referenced(multiplexer),
                );
            }
        }
    }
    /// Closes all that is open.
    pub(super) fn close(&self) {
        self.watches.borrow_mut().clear();
        *self.registry.borrow_mut() = Registry::new();
    }
}
