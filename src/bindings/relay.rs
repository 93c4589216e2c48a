//! Relays.

use napi::bindgen_prelude::Env;
use napi_derive::napi;

use super::environment::Environment;
use super::numbers::to_handle;
use super::status;

/// Relays two sockets: from here on each of them sends what the other one receives, what is unread and queued first, by
/// `recv(2)`, `send(2)` and `splice(2)`, within the waits of the multiplexer and without a call of JavaScript. Its end, by
/// the ends of both or by a failure of one, is reported by a detached event of each. Both are open then, and sockets as
/// before. -EINVAL for one socket twice, or no sockets; -EEXIST for one that is in a multiplexer. The other functions
/// return -EBUSY for a relayed socket, but for those that return its state, and those that close or remove it, which end the relay.
#[napi]
pub fn relay(env: &Env, multiplexer: f64, one: f64, other: f64) -> i32 {
    let environment = Environment::of(env);
    let (one, other) = (to_handle(one), to_handle(other));
    let relayed = environment.registry().relay(to_handle(multiplexer), one, other);
    environment.update_references();
    status(relayed)
}

/// Ends what a relayed socket sends, behind what the other one has received: as if that one had ended.
#[napi]
pub fn end_relayed(env: &Env, handle: f64) -> i32 {
    let environment = Environment::of(env);
    let ended = environment.registry().end_relayed(to_handle(handle));
    environment.update_references();
    status(ended)
}
