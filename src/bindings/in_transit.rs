//! Sockets that one environment has detached, and none has attached yet.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::environment::Environment;
use super::number;
use super::numbers::to_handle;
use super::status;
use crate::core::{Handle, Socket};
use crate::sys::Errno;

/// The environment that has detached a socket. Its address is unique for as long as it has any in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner(usize);

impl Owner {
    pub(super) fn of(environment: &Environment) -> Self {
        Self(std::ptr::from_ref(environment).addr())
    }
}

struct InTransit {
    owner: Owner,
    socket: Socket,
}

/// By their ids. The table belongs to the process, since a socket in it belongs to no environment that could use it; but
/// it ends with the one that has detached it. Calls of one thread move a socket from its registry to the table, or from
/// the table to its registry: it is always in one of them, whenever a thread ends.
static IN_TRANSIT: Mutex<BTreeMap<String, InTransit>> = Mutex::new(BTreeMap::new());

fn in_transit() -> MutexGuard<'static, BTreeMap<String, InTransit>> {
    IN_TRANSIT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes what an environment has detached, and none has attached.
pub(super) fn close_all(owner: Owner) {
    let mut closed = Vec::new();
    let mut table = in_transit();
    let all = std::mem::take(&mut *table);
    for (id, entry) in all {
        if entry.owner == owner {
            closed.push(entry);
        } else {
            table.insert(id, entry);
        }
    }
    // close(2) may block, for SO_LINGER.
    drop(table);
    drop(closed);
}

/// Frees the handle of a socket, and keeps the socket under an id, with its descriptor, what is unread and queued, its
/// halves and its counters, until `attach` in any thread. It leaves its multiplexer, and sends what is corked. If
/// this environment ends first, the descriptor is closed. -EEXIST for an id that is in use; -EBUSY for a relayed socket and
/// for one that sends a file; -ENOTCONN after a failed connect.
#[napi]
pub fn detach(env: &Env, handle: f64, id: String) -> i32 {
    let environment = Environment::of(env);
    let detached = match in_transit().entry(id) {
        Entry::Occupied(_) => Err(Errno::EXIST),
        Entry::Vacant(entry) => environment.registry().take_out(to_handle(handle)).map(|socket| {
            entry.insert(InTransit { owner: Owner::of(environment), socket });
        }),
    };
    environment.update_references();
    status(detached)
}

/// Takes a socket that a thread of this process has detached under an id; returns its handle. -ENOENT when there is none:
/// it has been attached, or that thread has ended.
#[napi]
pub fn attach(env: &Env, id: String) -> i32 {
    let mut registry = Environment::of(env).registry();
    if !registry.has_room() {
        return Errno::NFILE.negated();
    }
    let found = in_transit().remove(&id).ok_or(Errno::NOENT);
    number(found.and_then(|entry| registry.take_in(entry.socket)).map(Handle::raw))
}
