//! Random programs of what the bindings do, played against `core` over the world in memory, and what has to hold.

#![allow(
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "all steps and checks have the same shape"
)]

mod actions;
mod book;
mod check;
mod closing;
mod end;
mod file;
mod file_check;
mod generate;
mod open;
mod owed;
mod passing;
mod peer;
mod player;
mod register;
mod relay;
mod relay_check;
mod relay_end;
mod serve;
mod settle;
mod shrink;
mod step;
mod transfer;
mod travel;
mod wait;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::world;
use player::Player;
pub(crate) use step::Step;

/// The most trials by which a program is shrunk.
const SHRINK_TRIALS: usize = 20_000;

/// What came of a program.
pub struct Outcome {
    /// The number of its steps, with those of its end.
    pub steps: u64,
    /// What did not hold, and the step at which it showed.
    pub failure: Option<String>,
}

/// Plays the program of a seed.
#[must_use]
pub fn play_seed(seed: u64) -> Outcome {
    play(&generate::program(seed), None)
}

/// The smallest program that fails as the one of a seed does, as text: one line a step.
#[must_use]
pub fn shrunk(seed: u64) -> String {
    let steps = generate::program(seed);
    let kind = play(&steps, None).failure.map(|failure| kind(&failure));
    let fails =
        |steps: &[Step]| play(steps, None).failure.map(|failure| self::kind(&failure)) == kind;
    let steps = shrink::shrink(steps, SHRINK_TRIALS, fails);
    let lines: Vec<String> = steps.iter().map(Step::to_string).collect();
    lines.join("\n")
}

/// Plays a program that is given as text, and traces what it does.
///
/// # Errors
/// A line that is not a step.
pub fn replay(program: &str) -> Result<(Outcome, Vec<String>), String> {
    let lines = program.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let steps = lines.map(str::parse).collect::<Result<Vec<Step>, _>>()?;
    let mut trace = Vec::new();
    let outcome = play(&steps, Some(&mut trace));
    Ok((outcome, trace))
}

fn play(steps: &[Step], trace: Option<&mut Vec<String>>) -> Outcome {
    world::with(|world| {
        world.reset();
        world.trace = trace.is_some().then(Vec::new);
    });
    let mut count = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut player = Player::new();
        let result = player.play(steps);
        count = player.played;
        result
    }));
    let failure = match result {
        Ok(result) => result.err(),
        Err(panic) => Some(panic_text(panic.as_ref())),
    };
    if let Some(trace) = trace {
        *trace = world::with(|world| world.trace.take().unwrap_or_default());
    }
    Outcome { steps: count, failure }
}

/// A failure without its numbers, and without when it showed: a shrunk program has to fail the same way.
#[must_use]
pub fn kind(failure: &str) -> String {
    let what = failure.split_once(": ").map_or(failure, |(_, what)| what);
    what.chars().filter(|each| !each.is_ascii_digit()).take(40).collect()
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}
