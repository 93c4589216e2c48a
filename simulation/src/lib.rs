//! `src/core` over a kernel in memory: `crate::sys` is the model here, under the names of `src/sys`.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::missing_panics_doc,
    reason = "a fault of the model ends a test"
)]
#![allow(
    clippy::duplicate_mod,
    reason = "the runner of scripts is there for the model and for the kernel"
)]
#![allow(missing_docs, reason = "most names are those of src/sys")]

mod conformance;
#[allow(dead_code, unused_imports, reason = "bindings use them")]
#[path = "../../src/core/mod.rs"]
mod core;
mod driver;
/// The real system calls, that the model is compared with.
#[allow(dead_code, unused_imports, reason = "bindings use them")]
#[path = "../../src/sys/mod.rs"]
mod kernel;
mod sys;
pub mod thread;
mod world;

pub use conformance::conform;
pub use driver::{Outcome, kind, play_seed, replay, shrunk};
