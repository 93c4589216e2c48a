//! `src/thread` under loom, which plays a program in every order in which its threads can meet.
//!
//! The thread is in the file that is shipped. What it knows of the system is a model.

mod checks;
#[path = "../../../src/thread/poll_thread.rs"]
mod poll_thread;
mod program;
mod system;

pub use checks::{
    drop_during_a_report, drop_during_resumes, javascript, readiness_around_a_resume,
    resume_before_the_pause, resume_of_a_readable_descriptor, resume_twice, signals_during_poll,
};
