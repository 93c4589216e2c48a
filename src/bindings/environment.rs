//! The state of one environment: the main thread of a process, or a worker.

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::os::fd::RawFd;
use std::ptr::null_mut;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use napi::bindgen_prelude::Env;
use napi::sys;

use super::callback::{Callback, Outcome};
use super::closing_phase::ClosingPhase;
use super::in_transit::{self, Owner};
use super::loop_status::LoopStatus;
use super::loop_watch::{Backend, LoopWatch};
use crate::core::{Handle, OpenFailure, Registry};
use crate::sys::Errno;

/// A multiplexer in the event loop.
struct LoopEntry {
    watch: LoopWatch,
    /// The only strong reference. The closure in `watch` has a weak one: it may be freed after the environment, when a
    /// callback must not be dropped any more.
    _on_ready: Rc<Callback>,
    /// Whether JavaScript has referenced the multiplexer.
    referenced: bool,
    status: Arc<LoopStatus>,
}

/// The most events that one wait of JavaScript reports.
const BATCH_SIZE: usize = 1000;

/// Everything that one environment has open.
pub(super) struct Environment {
    registry: RefCell<Registry>,
    entries: RefCell<HashMap<i32, LoopEntry>>,
    backend: Backend,
    closing_phase: RefCell<Option<ClosingPhase>>,
    /// For the closures of the loop, which may be freed after the environment.
    this: Weak<Self>,
}

impl Environment {
    pub(super) fn new(env: &Env) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            registry: RefCell::new(Registry::new()),
            entries: RefCell::new(HashMap::new()),
            backend: Backend::of(env),
            closing_phase: RefCell::new(None),
            this: this.clone(),
        })
    }

    /// The environment of a call: `napi_get_instance_data`.
    pub(super) fn of(env: &Env) -> &Self {
        let mut data = null_mut();
        // SAFETY: `init` sets the data before JavaScript can call a function, and Node frees it after the last call.
        // Shared references are sound, since all changes go through the RefCells.
        unsafe {
            sys::napi_get_instance_data(env.raw(), &raw mut data);
            &*data.cast::<Self>()
        }
    }

    pub(super) fn registry(&self) -> RefMut<'_, Registry> {
        self.registry.borrow_mut()
    }

    /// The backend of this runtime.
    pub(super) fn backend(&self) -> Backend {
        self.backend
    }

    /// Has the event loop call `on_ready` when a multiplexer's epoll descriptor is readable.
    ///
    /// # Errors
    /// As `LoopWatch::start`.
    pub(super) fn watch(
        &self,
        env: &Env,
        multiplexer: Handle,
        fd: RawFd,
        backend: Backend,
        on_ready: Callback,
    ) -> Result<(), OpenFailure> {
        let on_ready = Rc::new(on_ready);
        let weak: Weak<Callback> = Rc::downgrade(&on_ready);
        let environment = self.this.clone();
        let status = Arc::new(LoopStatus::default());
        let shared = Arc::clone(&status);
        let call = Box::new(move || {
            if environment.upgrade().is_some_and(|it| !it.has_work(multiplexer)) {
                return;
            }
            let Some(callback) = weak.upgrade() else { return };
            while call_with_status(&callback, multiplexer, &shared) {}
        });
        let watch = LoopWatch::start(env, backend, fd, call)?;
        let entry = LoopEntry { watch, _on_ready: on_ready, referenced: false, status };
        self.entries.borrow_mut().insert(multiplexer.raw(), entry);
        Ok(())
    }

    /// Serves the relays of a multiplexer, if it has any. Returns whether JavaScript has something to do.
    fn has_work(&self, multiplexer: Handle) -> bool {
        if !self.registry().has_relays(multiplexer) {
            return true;
        }
        // JavaScript gets an error from its own wait.
        let has_work = self.registry().serve_relays(multiplexer).unwrap_or(true);
        self.update_references();
        has_work
    }

    /// The memory that a multiplexer shares with JavaScript; `None` for a handle that is not a multiplexer's.
    pub(super) fn status(&self, multiplexer: Handle) -> Option<Arc<LoopStatus>> {
        let entries = self.entries.borrow();
        entries.get(&multiplexer.raw()).map(|entry| Arc::clone(&entry.status))
    }

    /// The loop has called JavaScript, and microtasks have run: does what has been left to the end of the call. Returns
    /// whether JavaScript is to be called once more, since there are events.
    fn end_call(&self, multiplexer: Handle, status: &LoopStatus) -> bool {
        let is_changed = |entry: &LoopEntry| entry.referenced != status.is_referenced();
        if self.entries.borrow().get(&multiplexer.raw()).is_some_and(is_changed) {
            let _ = self.set_referenced(multiplexer, status.is_referenced());
        }
        if !status.take_question() {
            return false;
        }
        // EBADF: it has been closed.
        let is_ready = self.registry().is_idle(multiplexer, BATCH_SIZE) == Ok(false);
        self.update_references();
        if is_ready {
            status.set_ready();
        }
        is_ready
    }

    pub(super) fn unwatch(&self, multiplexer: Handle) {
        self.entries.borrow_mut().remove(&multiplexer.raw());
    }

    /// Sets whether JavaScript references the multiplexer.
    ///
    /// # Errors
    /// EBADF for a handle that is not a multiplexer's.
    pub(super) fn set_referenced(
        &self,
        multiplexer: Handle,
        referenced: bool,
    ) -> std::result::Result<(), Errno> {
        let mut entries = self.entries.borrow_mut();
        let entry = entries.get_mut(&multiplexer.raw()).ok_or(Errno::BADF)?;
        entry.referenced = referenced;
        entry.status.set_referenced(referenced);
        let has_output = self.registry.borrow().is_referenced(multiplexer);
        entry.watch.set_referenced(referenced || has_output);
        Ok(())
    }

    /// References multiplexers with queued output, and unreferences those without. To be called after every call that
    /// may have filled or emptied a queue: that of a connection which is found to be broken is dropped.
    pub(super) fn update_references(&self) {
        if !self.registry.borrow().has_reference_changes() {
            return;
        }
        let changed = self.registry.borrow_mut().take_reference_changes();
        for multiplexer in changed {
            if let Some(entry) = self.entries.borrow().get(&multiplexer.raw()) {
                let has_output = self.registry.borrow().is_referenced(multiplexer);
                entry.watch.set_referenced(entry.referenced || has_output);
            }
        }
    }

    /// What calls JavaScript in the closing phase of the loop, once it is set up.
    pub(super) fn closing_phase(&self) -> RefMut<'_, Option<ClosingPhase>> {
        self.closing_phase.borrow_mut()
    }

    /// Closes all sources and multiplexers, and what is in transit from here.
    pub(super) fn close(&self) {
        self.entries.borrow_mut().clear();
        self.closing_phase.take();
        *self.registry.borrow_mut() = Registry::new();
        in_transit::close_all(Owner::of(self));
    }
}

/// Calls JavaScript until it has nothing more to do. Returns whether it is to be called once more.
fn call_with_status(callback: &Callback, multiplexer: Handle, status: &LoopStatus) -> bool {
    status.set_calling(true);
    let outcome = loop {
        let outcome = callback.call();
        if outcome != Outcome::Returned(true) {
            break outcome;
        }
    };
    status.set_calling(false);
    outcome != Outcome::Refused && Environment::of(&callback.env()).end_call(multiplexer, status)
}
